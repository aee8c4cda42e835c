import { setTimeout as sleep } from "node:timers/promises"
import type { Fault } from "../../simulators/gemini/GeminiSimulator.ts"
import type { SupervisedProcess } from "./SupervisedProcess.ts"
import type { Random } from "./Random.ts"
import type { Experiment } from "./Experiment.ts"

type Disruption = (experiment: Experiment, random: Random, endEarly: AbortSignal) => Promise<unknown>

const runningProcess = (
  { processes }: Experiment,
  random: Random,
  role: SupervisedProcess["role"]
): SupervisedProcess | undefined => {
  const running = processes.filter((process) => process.role === role && process.isRunning)
  return running.length === 0 ? undefined : random.pick(running)
}

const end =
  (role: SupervisedProcess["role"], signal: "SIGKILL" | "SIGTERM"): Disruption =>
  async (experiment, random) => {
    const process = runningProcess(experiment, random, role)
    if (process === undefined) return
    experiment.ledger.disruption(`${signal} ${process.name}`)
    experiment.ledger.count(`${signal} of ${role === "api" ? "an api" : "a worker"}`)
    process.end(signal)
  }

/** Suspends a worker, mostly for longer than a lease, so that another worker has its replies when it continues. */
const suspendWorker: Disruption = async (experiment, random, endEarly) => {
  const process = runningProcess(experiment, random, "worker")
  if (process === undefined) return
  const seconds = random.chance(0.7) ? random.between(31, 40) : random.between(2, 31)
  experiment.ledger.disruption(`SIGSTOP ${process.name} for ${seconds.toFixed(0)} s`)
  experiment.ledger.count("SIGSTOP of a worker")
  // Other disruptions happen during the suspension.
  void process.suspend(seconds * 1_000, endEarly).then(() => experiment.ledger.disruption(`SIGCONT ${process.name}`))
}

const restartPostgres =
  (how: "stop" | "crash"): Disruption =>
  async ({ database, ledger }, random) => {
    const seconds = random.between(0.2, 3)
    ledger.disruption(`${how} Postgres for ${seconds.toFixed(1)} s`)
    ledger.count(how === "stop" ? "restarts of Postgres" : "SIGKILL of Postgres")
    await database.restart(how, seconds * 1_000)
    ledger.disruption("Postgres is back")
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
const breakModel: Disruption = async ({ ledger, model }, random) => {
  const fault = random.pick(faults)
  const times = fault.kind === "status" && fault.status === 429 ? 2 : random.whole(2, 12)
  ledger.disruption(`the model: ${JSON.stringify(fault)} ${times} times`)
  ledger.count("faults of the model switched on")
  model.clearFaults()
  model.addFault({ fault, times })
}

/** Stalls one call of the model; its caller gives up after a minute. */
const stallModel: Disruption = async ({ ledger, model }) => {
  ledger.disruption("the model: a stall")
  ledger.count("faults of the model switched on")
  model.addFault({ fault: { kind: "stall", after: 2 }, times: 1 })
}

const gentle: ReadonlyArray<Disruption> = [
  end("api", "SIGKILL"),
  end("worker", "SIGKILL"),
  end("api", "SIGTERM"),
  end("worker", "SIGTERM"),
  end("worker", "SIGKILL"),
  restartPostgres("stop"),
  breakModel,
  breakModel
]
const harsh: ReadonlyArray<Disruption> = [
  ...gentle,
  end("api", "SIGKILL"),
  suspendWorker,
  suspendWorker,
  suspendWorker,
  restartPostgres("crash"),
  breakModel,
  stallModel
]

/** Disrupts the processes until the time is over: every kind of disruption once in random order, then again. */
export const disrupt = async (experiment: Experiment, random: Random, seconds: number, isHarsh: boolean): Promise<void> => {
  const until = Date.now() + seconds * 1_000
  const endEarly = new AbortController()
  let deck: Array<Disruption> = []
  while (Date.now() < until) {
    await sleep(Math.min(random.between(600, isHarsh ? 4_500 : 3_500), Math.max(0, until - Date.now())))
    if (Date.now() >= until) break
    if (deck.length === 0) deck = random.shuffled(isHarsh ? harsh : gentle)
    await deck.pop()?.(experiment, random, endEarly.signal)
  }
  endEarly.abort()
  experiment.model.clearFaults()
  experiment.ledger.disruption("no more disruptions")
}
