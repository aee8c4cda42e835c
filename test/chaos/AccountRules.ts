import type { Evidence } from "./Evidence.ts"
import type { Incarnation, SupervisedProcess } from "./SupervisedProcess.ts"
import type { Stale } from "./Ledger.ts"
import type { Api, Experiment } from "./Experiment.ts"
import type { RoomUser } from "./RoomUser.ts"

/** Milliseconds within which a change must reach all processes, and for which its writer must live to announce it. */
const maximumStaleness = 2_000
const announcementMillis = 1_000
/** Milliseconds for which a process whose connections have gone silent may trust its cache. */
const unnoticedSilence = 15_000

export const quotas = (
  { ledger }: Experiment,
  { replies, usage, users }: Evidence,
  limitOf: (userId: string) => number
): void => {
  const charged = Map.groupBy(replies, ({ quota_day, user_id }) => `${user_id} ${quota_day}`)
  const counted = new Map(usage.map(({ day, used, user_id }) => [`${user_id} ${day}`, used]))
  for (const key of new Set([...charged.keys(), ...counted.keys()])) {
    const rows = charged.get(key) ?? []
    const refunded = rows.filter(({ quota_state }) => quota_state === "refunded").length
    const used = counted.get(key) ?? 0
    if (used !== rows.length - refunded)
      ledger.violate("quota-exact", `${key}: ${used} used, ${rows.length} accepted, ${refunded} refunded`)
    const limit = limitOf(key.split(" ")[0] ?? "")
    if (Math.max(used, rows.length - refunded) > limit)
      ledger.violate("quota-limit", `${key}: ${used} used of ${limit}, ${rows.length} accepted`)
    const open = rows.filter(({ quota_state }) => quota_state === "reserved").length
    if (open > 0) ledger.violate("quota-exact", `${key}: ${open} replies have ended and are neither spent nor refunded`)
  }
  if (users.length === 0) ledger.violate("settles", "there are no users")
}

/** The ledger of the model's calls against the days. */
export const money = ({ ledger }: Experiment, { money }: Evidence): void => {
  for (const { cost, day_cost, day_tokens, reserved, tokens, user_id } of money) {
    if (reserved !== 0) ledger.violate("money-exact", `${user_id}: ${reserved} stay reserved`)
    if (cost !== day_cost || tokens !== day_tokens)
      ledger.violate("money-exact", `${user_id}: days ${day_cost}, ${day_tokens} tokens; ledger ${cost}, ${tokens} tokens`)
  }
}

export const counters = ({ ledger }: Experiment, { rooms, users }: Evidence): void => {
  for (const { id, unfinished } of rooms) if (unfinished !== 0) ledger.violate("room-counter", `room ${id} counts ${unfinished}`)
  const byUser = Map.groupBy(rooms, ({ user_id }) => user_id)
  for (const { chatrooms, id } of users) {
    const count = byUser.get(id)?.length ?? 0
    if (count !== chatrooms) ledger.violate("rooms-counter", `user ${id} counts ${chatrooms} of ${count}`)
  }
}

const livedToAnnounce = (by: Incarnation | undefined, at: number) =>
  by !== undefined && (by.exit === undefined || by.exit.at >= at + announcementMillis)

/** A process that dies before it has announced its change may leave other caches stale, so those changes are excused. */
export const freshness = ({ ledger }: Experiment): void => {
  const isExcused = ({ change }: Stale) => !livedToAnnounce(change.by, change.at)
  ledger.most("staleness, max (ms)", 0)
  for (const stale of ledger.stale) {
    const { askedAt, cache, change, process, silentFor } = stale
    if (isExcused(stale)) {
      ledger.most("staleness after a writer's death, max (ms)", askedAt - change.at)
      continue
    }
    const staleness = askedAt - change.at
    if (silentFor !== undefined && silentFor < unnoticedSilence) {
      ledger.most("staleness in the first 15 s of a silence, max (ms)", staleness)
      continue
    }
    ledger.most("staleness, max (ms)", staleness)
    if (staleness > maximumStaleness)
      ledger.violate(
        "list-fresh",
        `${change.what} by ${change.by?.process} was ${staleness} ms old and not in the list of ${process} (${cache})`
      )
  }
}

/** Compares the first page of each process, cached or not, with the rows. */
export const finalLists = async (
  experiment: Experiment,
  { rooms }: Evidence,
  simulatedUsers: ReadonlyArray<RoomUser>,
  apis: ReadonlyArray<Api>
): Promise<void> => {
  for (const simulatedUser of simulatedUsers) {
    const expected = rooms
      .filter(({ user_id }) => user_id === simulatedUser.userId)
      .slice(0, 100)
      .map(({ id, last_message_at, title }) => `${id} ${title} ${last_message_at?.toISOString() ?? null}`)
    for (const api of apis) {
      const { body, headers, status } = await simulatedUser.list(api)
      const listed =
        status === 200 ? body.data.map(({ id, lastMessageAt, title }) => `${id} ${title} ${lastMessageAt}`) : [`${status}`]
      if (listed.join("\n") !== expected.join("\n")) {
        experiment.ledger.violate(
          "list-final",
          `user ${simulatedUser.userId} at ${api.name} (${headers.get("cache-status")}): ${listed.join("; ")} instead of ${expected.join("; ")}`
        )
      }
    }
  }
}

/** A process ends on a signal alone, also when Postgres is lost; after SIGTERM it exits with 0. */
export const exits = ({ database, ledger, processes }: Experiment): void => {
  const lastLinesOf = (incarnation: Incarnation) => incarnation.output().trim().split("\n").slice(-4).join(" | ").slice(-600)
  const check = (process: SupervisedProcess, incarnation: Incarnation) => {
    const { exit, signalled } = incarnation
    if (exit === undefined || signalled?.signal === "SIGKILL") return
    const name = `${process.name}, start ${incarnation.number}: ${JSON.stringify(exit)}`
    if (signalled === undefined) {
      ledger.count("processes that ended by themselves")
      ledger.disruption(`(noticed in the end) ${name} by itself: ${lastLinesOf(incarnation)}`)
      ledger.violate("exits", `${name} by itself: ${lastLinesOf(incarnation)}`)
      return
    }
    ledger.most("slowest exit after SIGTERM (ms)", exit.at - signalled.at)
    if (exit.at - signalled.at > 27_000) ledger.violate("exits", `${name} took ${exit.at - signalled.at} ms`)
    if (exit.code !== 0 && !database.wasDown(signalled.at - 15_000, exit.at))
      ledger.violate("exits", `${name} after SIGTERM: ${lastLinesOf(incarnation)}`)
  }
  for (const process of processes) for (const incarnation of process.incarnations) check(process, incarnation)
}
