import type { Fault } from "../../simulators/gemini/GeminiSimulator.ts"
import type { SupervisedProcess } from "./SupervisedProcess.ts"
import type { Random } from "./Random.ts"
import type { Experiment } from "./Experiment.ts"
import { attacks, type HostileUser } from "./HostileUser.ts"
import type { Recovery } from "./Recovery.ts"
import type { RestartablePostgres } from "./RestartablePostgres.ts"

/** What disruptions act on, and the user who measures what follows them. */
export interface Scene extends Experiment {
  readonly apis: readonly [SupervisedProcess, SupervisedProcess]
  readonly database: RestartablePostgres
  readonly hostile: HostileUser
  readonly recovery: Recovery
}

export type Disruption = (scene: Scene, random: Random, endEarly: AbortSignal) => Promise<unknown>

const runningProcess = (
  { processes }: Experiment,
  random: Random,
  role: SupervisedProcess["role"]
): SupervisedProcess | undefined => {
  const running = processes.filter((process) => process.role === role && process.isRunning)
  return running.length === 0 ? undefined : random.pick(running)
}

export const end =
  (role: SupervisedProcess["role"], signal: "SIGKILL" | "SIGTERM"): Disruption =>
  async (scene, random) => {
    const process = runningProcess(scene, random, role)
    if (process === undefined) return
    const what = `${signal} of ${role === "api" ? "an api" : "a worker"}`
    scene.ledger.disruption(`${signal} ${process.name}`)
    scene.ledger.count(what)
    process.end(signal)
    // After SIGTERM a process still answers, which is not a recovery.
    scene.recovery.watch(what, role === "api" && signal === "SIGKILL" ? [process] : [])
  }

/** Suspends a worker, mostly for longer than a lease, so that another worker has its replies when it continues. */
export const suspendWorker: Disruption = async (scene, random, endEarly) => {
  const process = runningProcess(scene, random, "worker")
  if (process === undefined) return
  const seconds = random.chance(0.7) ? random.between(31, 40) : random.between(2, 31)
  scene.ledger.disruption(`SIGSTOP ${process.name} for ${seconds.toFixed(0)} s`)
  scene.ledger.count("SIGSTOP of a worker")
  // Other disruptions happen during the suspension.
  void process.suspend(seconds * 1_000, endEarly).then(() => scene.ledger.disruption(`SIGCONT ${process.name}`))
  scene.recovery.watch("SIGSTOP of a worker", [])
}

/** Suspends an api for less time than its clients wait. */
export const suspendApi: Disruption = async (scene, random, endEarly) => {
  const process = runningProcess(scene, random, "api")
  if (process === undefined) return
  const seconds = random.between(2, 12)
  scene.ledger.disruption(`SIGSTOP ${process.name} for ${seconds.toFixed(0)} s`)
  scene.ledger.count("SIGSTOP of an api")
  void process.suspend(seconds * 1_000, endEarly).then(() => {
    scene.ledger.disruption(`SIGCONT ${process.name}`)
    scene.recovery.watch("SIGSTOP of an api, from SIGCONT on", [process])
  })
}

/** Silences the connections of a process to Postgres for longer than it takes to notice. */
export const silenceConnections =
  (role: SupervisedProcess["role"]): Disruption =>
  async (scene, random, endEarly) => {
    const process = runningProcess(scene, random, role)
    if (process === undefined) return
    const what = `silent connections of ${role === "api" ? "an api" : "a worker"}`
    scene.ledger.disruption(`silent connections of ${process.name} for 40 s`)
    scene.ledger.count(what)
    void process
      .silence(40_000, endEarly, { newOnes: false })
      .then(() => scene.ledger.disruption(`${process.name}'s old connections forward again`))
    scene.recovery.watch(what, role === "api" ? [process] : [])
  }

/** Cuts a process off without closing anything: new connections to Postgres are silent as well. */
export const isolate: Disruption = async (scene, random, endEarly) => {
  const process = runningProcess(scene, random, random.chance(0.5) ? "api" : "worker")
  if (process === undefined) return
  const seconds = random.between(4, 12)
  scene.ledger.disruption(`no Postgres for ${process.name} for ${seconds.toFixed(0)} s`)
  scene.ledger.count("isolations from Postgres")
  void process.silence(seconds * 1_000, endEarly, { newOnes: true }).then(() => {
    scene.ledger.disruption(`Postgres for ${process.name} again`)
    scene.recovery.watch("isolation from Postgres, from its end on", process.role === "api" ? [process] : [])
  })
}

/** Starts a worker again with a clock that is minutes ahead of or behind the database's. */
export const skewClock: Disruption = async (scene, random) => {
  const process = runningProcess(scene, random, "worker")
  if (process === undefined) return
  const offset = random.pick([660, 150, -150])
  scene.ledger.disruption(`restart of ${process.name} with a clock that is ${offset} s off`)
  scene.ledger.count("restarts of a worker with a wrong clock")
  process.restartWithClock(offset)
  scene.recovery.watch("restart of a worker with a wrong clock", [])
}

export const attack: Disruption = async (scene, random, endEarly) => {
  const [kind, api] = [random.pick(attacks), random.pick(scene.apis)]
  scene.ledger.disruption(`${kind} of a hostile user at ${api.name} for 8 s`)
  scene.ledger.count("attacks")
  void scene.hostile.attack(kind, api, AbortSignal.any([endEarly, AbortSignal.timeout(8_000)]))
}

export const restartPostgres =
  (how: "stop" | "crash", seconds: number): Disruption =>
  async ({ apis, database, ledger, recovery }) => {
    const what = how === "stop" ? `restart of Postgres, ${seconds} s away` : "SIGKILL of Postgres"
    ledger.disruption(what)
    ledger.count(what)
    await database.restart(how, seconds * 1_000)
    ledger.disruption("Postgres is back")
    recovery.watch(`${what}, from its return on`, apis)
  }

const faults: ReadonlyArray<Fault> = [
  { kind: "status", status: 503 },
  { kind: "status", status: 500 },
  { kind: "status", status: 429, retryDelaySeconds: 2 },
  { kind: "html" },
  { kind: "reset" },
  { kind: "drop", after: 2 },
  { kind: "cut", after: 1 },
  { kind: "empty" }
]

/** Switches on a fault of the model for some calls of any worker, or until the next fault. */
export const breakModel: Disruption = async ({ ledger, model }, random) => {
  const fault = random.pick(faults)
  const times = fault.kind === "status" && fault.status === 429 ? 2 : random.whole(2, 12)
  ledger.disruption(`the model: ${JSON.stringify(fault)} ${times} times`)
  ledger.count("faults of the model switched on")
  model.clearFaults()
  model.addFault({ fault, times })
}

/** Stalls one call of the model; its caller gives up after a minute. */
export const stallModel: Disruption = async ({ ledger, model }) => {
  ledger.disruption("the model: a stall")
  ledger.count("faults of the model switched on")
  model.addFault({ fault: { kind: "stall", after: 2 }, times: 1 })
}
