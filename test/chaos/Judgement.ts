import { counters, exits, finalLists, freshness, money, quotas } from "./AccountRules.ts"
import { billedCalls } from "./BilledCalls.ts"
import { gather } from "./Evidence.ts"
import type { Api, Experiment } from "./Experiment.ts"
import { messageRules } from "./MessageRules.ts"
import { noteFigures } from "./Report.ts"
import type { RoomUser } from "./RoomUser.ts"

export interface Judged {
  readonly users: ReadonlyArray<RoomUser>
  /** Where every user's list is compared with the rows. */
  readonly lists: ReadonlyArray<Api>
  /** Users who kept no records. */
  readonly unrecorded: ReadonlyArray<string>
  /** Prompts that a user may have in a day. */
  readonly limitOf: (userId: string) => number
}

/** Compares what users saw and what the model was asked with the database, when everything has settled. */
export const judge = async (experiment: Experiment, { limitOf, lists, unrecorded, users }: Judged): Promise<void> => {
  const evidence = await gather(experiment.database, unrecorded)
  for (const check of messageRules) check(evidence, experiment.ledger, experiment.model.calls)
  quotas(experiment, evidence, limitOf)
  money(experiment, evidence)
  billedCalls(experiment, evidence)
  counters(experiment, evidence)
  await finalLists(experiment, evidence, users, lists)
  freshness(experiment)
  exits(experiment)
  noteFigures(experiment, evidence)
}
