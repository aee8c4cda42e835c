import { setTimeout as sleep } from "node:timers/promises"
import type { Fault } from "../../simulators/gemini/GeminiSimulator.ts"
import type { Slot } from "./Fleet.ts"
import type { Random } from "./Random.ts"
import type { World } from "./World.ts"

type Deed = (world: World, random: Random, hurry: AbortSignal) => Promise<unknown>

const freeSlot = ({ slots }: World, random: Random, role: Slot["role"]): Slot | undefined => {
  const free = slots.filter((slot) => slot.role === role && slot.isFree)
  return free.length === 0 ? undefined : random.pick(free)
}

const end =
  (role: Slot["role"], signal: "SIGKILL" | "SIGTERM"): Deed =>
  async (world, random) => {
    const slot = freeSlot(world, random, role)
    if (slot === undefined) return
    world.ledger.deed(`${signal} ${slot.name}`)
    world.ledger.count(`${signal} of ${role === "api" ? "an api" : "a worker"}`)
    slot.end(signal)
  }

/** Mostly for longer than a lease lasts: then another has its replies when it wakes up and goes on with them. */
const stopWorker: Deed = async (world, random, hurry) => {
  const slot = freeSlot(world, random, "worker")
  if (slot === undefined) return
  const seconds = random.chance(0.7) ? random.between(31, 40) : random.between(2, 31)
  world.ledger.deed(`SIGSTOP ${slot.name} for ${seconds.toFixed(0)} s`)
  world.ledger.count("SIGSTOP of a worker")
  // It goes on beside all the rest.
  void slot.stop(seconds * 1_000, hurry).then(() => world.ledger.deed(`SIGCONT ${slot.name}`))
}

const restartPostgres =
  (how: "stop" | "crash"): Deed =>
  async ({ database, ledger }, random) => {
    const seconds = random.between(0.2, 3)
    ledger.deed(`${how} Postgres for ${seconds.toFixed(1)} s`)
    ledger.count(how === "stop" ? "restarts of Postgres" : "SIGKILL of Postgres")
    await database.restart(how, seconds * 1_000)
    ledger.deed("Postgres is back")
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

/** The model has a bad moment: a fault for a number of calls, whoever makes them, unless it passes before. */
const breakModel: Deed = async ({ ledger, model }, random) => {
  const fault = random.pick(faults)
  const times = fault.kind === "status" && fault.status === 429 ? 2 : random.whole(2, 12)
  ledger.deed(`the model: ${JSON.stringify(fault)} ${times} times`)
  ledger.count("faults of the model switched on")
  model.clearFaults()
  model.addFault({ fault, times })
}

/** A model that falls silent: it takes a minute until its caller gives it up. */
const hushModel: Deed = async ({ ledger, model }) => {
  ledger.deed("the model: a stall")
  ledger.count("faults of the model switched on")
  model.addFault({ fault: { kind: "stall", after: 2 }, times: 1 })
}

const gentle: ReadonlyArray<Deed> = [
  end("api", "SIGKILL"),
  end("worker", "SIGKILL"),
  end("api", "SIGTERM"),
  end("worker", "SIGTERM"),
  end("worker", "SIGKILL"),
  restartPostgres("stop"),
  breakModel,
  breakModel
]
const harsh: ReadonlyArray<Deed> = [
  ...gentle,
  end("api", "SIGKILL"),
  stopWorker,
  stopWorker,
  stopWorker,
  restartPostgres("crash"),
  breakModel,
  hushModel
]

/** Breaks things until the time is over: every kind of deed once, in an order of chance, and then all over again. */
export const unleash = async (world: World, random: Random, seconds: number, isHarsh: boolean): Promise<void> => {
  const until = Date.now() + seconds * 1_000
  const hurry = new AbortController()
  let deck: Array<Deed> = []
  while (Date.now() < until) {
    await sleep(Math.min(random.between(600, isHarsh ? 4_500 : 3_500), Math.max(0, until - Date.now())))
    if (Date.now() >= until) break
    if (deck.length === 0) deck = random.shuffled(isHarsh ? harsh : gentle)
    await deck.pop()?.(world, random, hurry.signal)
  }
  hurry.abort()
  world.model.clearFaults()
  world.ledger.deed("the monkey rests")
}
