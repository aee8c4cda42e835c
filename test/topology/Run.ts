import { setTimeout as sleep } from "node:timers/promises"
import type { Failure, Ledger } from "../chaos/Ledger.ts"
import { judge } from "../chaos/Judgement.ts"
import { isProOf, logInAll, logInRecovery, type Population, use } from "../chaos/Population.ts"
import { Random } from "../chaos/Random.ts"
import type { Recovery } from "../chaos/Recovery.ts"
import { awaitCleanUp, settle } from "../chaos/Settling.ts"
import { newUser } from "../support/Users.ts"
import { times } from "../support/times.ts"
import { Deliveries } from "./Deliveries.ts"
import { type Fault, watching } from "./Faults.ts"
import { FileUser } from "./FileUser.ts"
import { startTopology, type Topology } from "./Topology.ts"

export interface Plan {
  readonly seed: number
  readonly faults: ReadonlyArray<Fault>
  readonly population: Population
  /** Seconds of load before the first fault and after the last. */
  readonly calmSeconds: number
  /** Whether clean-ups after dead processes are awaited. */
  readonly awaitsCleanUp: boolean
}

/** What clients saw of a fault, from its beginning until all had recovered. */
export interface Injected {
  readonly name: string
  readonly seconds: number
  readonly failures: ReadonlyArray<Failure>
}

export interface Outcome {
  readonly ledger: Ledger
  readonly injected: ReadonlyArray<Injected>
  /** From the first request to the last. */
  readonly seconds: number
  /** What each process has written. */
  readonly logs: ReadonlyMap<string, string>
}

const limits = { basic: 30, pro: 2_000 }
const fileUsers = 3

/** Waits until every process is ready again, the databases replicate and all that was watched has recovered. */
const calm = async (topology: Topology, recovery: Recovery, fault: Fault): Promise<void> => {
  await fault.repair?.(topology)
  const deadline = Date.now() + 60_000
  while (Date.now() < deadline && !topology.processes.every(({ isRunning }) => isRunning)) await sleep(100)
  await recovery.finished()
}

/** Injects one fault after the other, each recovered from before the next. */
const injectAll = async (topology: Topology, recovery: Recovery, { calmSeconds, faults }: Plan): Promise<Array<Injected>> => {
  const { ledger } = topology
  const injected: Array<Injected> = []
  await sleep(calmSeconds * 1_000)
  for (const fault of faults) {
    const begun = Date.now()
    const before = ledger.failures.length
    ledger.disruption(fault.name)
    ledger.count("faults injected")
    await fault.inject(topology, watching(recovery, topology, fault.name))
    ledger.disruption(`over: ${fault.name}`)
    await calm(topology, recovery, fault)
    await sleep(Math.min(calmSeconds, 3) * 1_000)
    const failures = ledger.failures.slice(before)
    injected.push({ name: fault.name, seconds: (Date.now() - begun) / 1_000, failures })
    if (fault.isSeamless === true) for (const { what } of failures) ledger.violate("seamless", what)
  }
  return injected
}

const logInFileUsers = (topology: Topology, random: Random, from: number): Promise<Array<FileUser>> =>
  Promise.all(
    times(fileUsers, async (index) => {
      const person = await newUser(topology.apis[0].url, topology.database)
      return new FileUser(topology, from + index, person, random.fork())
    })
  )

/** Builds the topology, loads it, injects the faults, waits until all is settled, and checks every rule. */
export const run = async (plan: Plan): Promise<Outcome> => {
  const random = new Random(plan.seed)
  const topology = await startTopology(limits)
  try {
    let closesStreamsAt = Infinity
    Object.assign(topology, { closesStreams: () => Date.now() > closesStreamsAt })
    const { ledger, processes } = topology
    const users = await logInAll(topology, random, plan.population)
    const recovery = await logInRecovery(topology, random.fork(), users.length)
    const files = await logInFileUsers(topology, random, users.length + 1)
    const deliveries = await Deliveries.begin(topology)
    const begun = Date.now()
    const busy = Promise.all([...use(users, plan.population), ...files.map((user) => user.keepFiles()), deliveries.run()])
    const injected = await injectAll(topology, recovery, plan)
    topology.isClosing = true
    await busy
    const seconds = (Date.now() - begun) / 1_000
    await settle(topology)
    closesStreamsAt = Date.now() + 10_000
    const all = [...users, recovery]
    await Promise.all(all.flatMap(({ following }) => [...following]))
    if (plan.awaitsCleanUp) await awaitCleanUp(topology, true)
    await Promise.all(files.map((user) => user.compareAll()))
    await deliveries.check()
    const isPro = isProOf(plan.population)
    await judge(topology, {
      users: all,
      lists: processes.filter(({ role }) => role === "api"),
      unrecorded: [],
      limitOf: (userId) => (isPro(all.findIndex((user) => user.userId === userId)) ? limits.pro : limits.basic)
    })
    const logs = new Map(processes.map(({ incarnations, name }) => [name, incarnations.map(({ output }) => output()).join("")]))
    return { ledger, injected, seconds, logs }
  } finally {
    await topology.stop()
  }
}
