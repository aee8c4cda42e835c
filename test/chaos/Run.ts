import { setTimeout as sleep } from "node:timers/promises"
import { counters, exits, finalLists, freshness, money, quotas } from "./AccountRules.ts"
import { installAudit } from "./Audit.ts"
import { billedCalls } from "./BilledCalls.ts"
import { SimulatedUser } from "./SimulatedUser.ts"
import { gather } from "./Evidence.ts"
import { startProcesses, type SupervisedProcess } from "./SupervisedProcess.ts"
import { Ledger } from "./Ledger.ts"
import { messageRules } from "./MessageRules.ts"
import { type Model, startModel } from "./Model.ts"
import type { Scene } from "./Disruptions.ts"
import { disrupt } from "./Monkey.ts"
import { Random } from "./Random.ts"
import { RestartablePostgres } from "./RestartablePostgres.ts"
import { noteFigures } from "./Report.ts"
import { settle, awaitCleanUp } from "./Settling.ts"
import type { Experiment } from "./Experiment.ts"
import { HostileUser } from "./HostileUser.ts"
import { latency, measureLatency } from "./Latency.ts"
import { Recovery } from "./Recovery.ts"
import { newUser } from "../support/Users.ts"

export interface Plan {
  readonly seconds: number
  readonly seed: number
  /** Also suspends workers and crashes Postgres, and waits for every clean-up at its real pace. */
  readonly isHarsh: boolean
  /** One disruption at a time, each recovered from before the next: for recovery times that nothing else prolongs. */
  readonly isPaced: boolean
}

/** Users who chat in two windows each, some of them on Pro; and users who only change their rooms. */
const chattingUsers = 16
const editingUsers = 4
/** Seconds in which hostile users attack and nothing else happens. Their effect is measured in a harsh run alone. */
const hostileSeconds = 30
const roomsOf = (number: number) => (number < chattingUsers ? 4 : 20)

/** Low enough that Basic users are refused in the end, high enough that Pro users keep everything busy. */
const limits = ({ seconds }: Plan) => ({ basic: 4 + Math.ceil(seconds / 15), pro: 20 + seconds })

const isUp = async (processes: ReadonlyArray<SupervisedProcess>) => {
  for (const deadline = Date.now() + 120_000; !processes.every((process) => process.isRunning); await sleep(50)) {
    if (Date.now() > deadline)
      throw new Error(`the processes did not start: ${processes.map((process) => process.current?.output()).join("\n")}`)
  }
}

const logInAll = async (
  experiment: Experiment,
  random: Random,
  isPro: (number: number) => boolean
): Promise<Array<SimulatedUser>> => {
  const simulatedUsers: Array<SimulatedUser> = []
  for (let number = 0; number < chattingUsers + editingUsers; number++) {
    const person = await newUser(experiment.apis[number % 2 === 0 ? 0 : 1].url, experiment.database)
    if (isPro(number))
      await experiment.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
    const simulatedUser = new SimulatedUser(experiment, number, person, random.fork())
    for (let rooms = 0; rooms < roomsOf(number); rooms++) {
      const room = await simulatedUser.openRoom(experiment.apis[0], number < chattingUsers ? 0 : 1_500)
      if (room !== undefined) simulatedUser.rooms.push(room)
    }
    simulatedUsers.push(simulatedUser)
  }
  return simulatedUsers
}

/** A user of its own, on Pro, with a first room. */
const logInRecovery = async (experiment: Experiment, random: Random): Promise<Recovery> => {
  const person = await newUser(experiment.apis[1].url, experiment.database)
  await experiment.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
  const recovery = new Recovery(experiment, chattingUsers + editingUsers, person, random)
  const room = await recovery.openRoom(experiment.apis[1])
  if (room !== undefined) recovery.rooms.push(room)
  return recovery
}

/**
 * Runs hostile users, then the monkey, each for its time, and all users until they have finished what they began by then.
 */
const disruptAndUse = async (
  experiment: Scene,
  simulatedUsers: ReadonlyArray<SimulatedUser>,
  plan: Plan,
  random: Random
): Promise<void> => {
  const sessions = simulatedUsers.flatMap((simulatedUser, number) =>
    number < chattingUsers ? [simulatedUser.chat(), simulatedUser.chat()] : [simulatedUser.editRooms()]
  )
  const busy = Promise.all(sessions)
  await Promise.all([
    (plan.isHarsh ? measureLatency(experiment, experiment.hostile, experiment.recovery, hostileSeconds) : Promise.resolve())
      .then(() => disrupt(experiment, random.fork(), plan))
      .then(() => (experiment.isClosing = true)),
    busy
  ])
  await experiment.recovery.finished()
}

const judge = async (
  experiment: Scene,
  simulatedUsers: ReadonlyArray<SimulatedUser>,
  limitOf: (userId: string) => number
): Promise<void> => {
  const evidence = await gather(experiment.database, [experiment.hostile.userId])
  for (const check of messageRules) check(evidence, experiment.ledger, experiment.model.calls)
  quotas(experiment, evidence, limitOf)
  money(experiment, evidence)
  billedCalls(experiment, evidence)
  counters(experiment, evidence)
  await finalLists(experiment, evidence, simulatedUsers)
  freshness(experiment)
  exits(experiment)
  latency(experiment)
  noteFigures(experiment, evidence)
}

/** Runs processes, users and disruptions, waits until all is settled, and checks that nothing was lost, doubled or mixed up. */
export const run = async (plan: Plan): Promise<Ledger> => {
  const random = new Random(plan.seed)
  const { basic, pro } = limits(plan)
  const database = await RestartablePostgres.start()
  const model: Model = await startModel()
  const processes = await startProcesses({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: model.url,
    MIGRATE: "on",
    TRUSTED_PROXIES: "127.0.0.1",
    BASIC_DAILY_PROMPTS: `${basic}`,
    PRO_DAILY_PROMPTS: `${pro}`
  })
  try {
    await isUp(processes)
    await installAudit(database)
    const apis = processes.filter(({ role }) => role === "api")
    const [first, second] = apis
    if (first === undefined || second === undefined) throw new Error("there are two apis")
    let closesStreamsAt = Infinity
    const experiment: Experiment = {
      processes,
      apis: [first, second],
      database,
      model,
      ledger: new Ledger(),
      isClosing: false,
      measuredBeside: undefined,
      closesStreams: () => Date.now() > closesStreamsAt
    }
    const isPro = (number: number) => number % 2 === 1 || number >= chattingUsers
    const simulatedUsers = await logInAll(experiment, random, isPro)
    const recovery = await logInRecovery(experiment, random.fork())
    simulatedUsers.push(recovery)
    const scene: Scene = Object.assign(experiment, { hostile: await HostileUser.logIn(experiment), recovery })
    await disruptAndUse(scene, simulatedUsers.slice(0, -1), plan, random)
    await settle(experiment)
    closesStreamsAt = Date.now() + 10_000
    await Promise.all(simulatedUsers.flatMap(({ following }) => [...following]))
    await awaitCleanUp(experiment, !plan.isHarsh)
    await judge(scene, simulatedUsers, (userId) =>
      isPro(simulatedUsers.findIndex((simulatedUser) => simulatedUser.userId === userId)) ? pro : basic
    )
    return experiment.ledger
  } finally {
    await Promise.all(processes.map((process) => process.dismiss()))
    await model.stop()
    await database.stop()
  }
}
