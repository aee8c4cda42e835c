import { installAudit } from "./Audit.ts"
import type { SimulatedUser } from "./SimulatedUser.ts"
import { startProcesses } from "./SupervisedProcess.ts"
import { Ledger } from "./Ledger.ts"
import { type Model, startModel } from "./Model.ts"
import type { Scene } from "./Disruptions.ts"
import { disrupt } from "./Monkey.ts"
import { Random } from "./Random.ts"
import { RestartablePostgres } from "./RestartablePostgres.ts"
import { judge } from "./Judgement.ts"
import { settle, awaitCleanUp } from "./Settling.ts"
import { awaitUp, isProOf, logInAll, logInRecovery, use } from "./Population.ts"
import { HostileUser } from "./HostileUser.ts"
import { latency, measureLatency } from "./Latency.ts"

export interface Plan {
  readonly seconds: number
  readonly seed: number
  /** Also suspends workers and crashes Postgres, and waits for every clean-up at its real pace. */
  readonly isHarsh: boolean
  /** One disruption at a time, each recovered from before the next: for recovery times that nothing else prolongs. */
  readonly isPaced: boolean
}

const population = { chatting: 16, editing: 4 }
/** Seconds in which hostile users attack and nothing else happens. Their effect is measured in a harsh run alone. */
const hostileSeconds = 30

/** Low enough that Basic users are refused in the end, high enough that Pro users keep everything busy. */
const limits = ({ seconds }: Plan) => ({ basic: 4 + Math.ceil(seconds / 15), pro: 20 + seconds })

/**
 * Runs hostile users, then the monkey, each for its time, and all users until they have finished what they began by then.
 */
const disruptAndUse = async (
  experiment: Scene,
  simulatedUsers: ReadonlyArray<SimulatedUser>,
  plan: Plan,
  random: Random
): Promise<void> => {
  const busy = Promise.all(use(simulatedUsers, population))
  await Promise.all([
    (plan.isHarsh ? measureLatency(experiment, experiment.hostile, experiment.recovery, hostileSeconds) : Promise.resolve())
      .then(() => disrupt(experiment, random.fork(), plan))
      .then(() => (experiment.isClosing = true)),
    busy
  ])
  await experiment.recovery.finished()
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
    await awaitUp(processes)
    await installAudit(database)
    const apis = processes.filter(({ role }) => role === "api")
    const [first, second] = apis
    if (first === undefined || second === undefined) throw new Error("there are two apis")
    let closesStreamsAt = Infinity
    const experiment: Omit<Scene, "hostile" | "recovery"> = {
      processes,
      apis: [first, second],
      database,
      model,
      ledger: new Ledger(),
      isClosing: false,
      measuredBeside: undefined,
      closesStreams: () => Date.now() > closesStreamsAt
    }
    const isPro = isProOf(population)
    const simulatedUsers = await logInAll(experiment, random, population)
    const recovery = await logInRecovery(experiment, random.fork(), simulatedUsers.length)
    simulatedUsers.push(recovery)
    const scene: Scene = Object.assign(experiment, { hostile: await HostileUser.logIn(experiment), recovery })
    await disruptAndUse(scene, simulatedUsers.slice(0, -1), plan, random)
    await settle(experiment)
    closesStreamsAt = Date.now() + 10_000
    await Promise.all(simulatedUsers.flatMap(({ following }) => [...following]))
    await awaitCleanUp(experiment, !plan.isHarsh)
    const limitOf = (userId: string) => (isPro(simulatedUsers.findIndex((user) => user.userId === userId)) ? pro : basic)
    await judge(scene, { users: simulatedUsers, lists: scene.apis, unrecorded: [scene.hostile.userId], limitOf })
    latency(scene)
    return experiment.ledger
  } finally {
    await Promise.all(processes.map((process) => process.dismiss()))
    await model.stop()
    await database.stop()
  }
}
