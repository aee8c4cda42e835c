import { setTimeout as sleep } from "node:timers/promises"
import type { Recovery } from "../chaos/Recovery.ts"
import type { SupervisedProcess } from "../chaos/SupervisedProcess.ts"
import { until } from "../support/wait.ts"
import type { Topology } from "./Topology.ts"

/** A fault of the topology. It ends when what it broke has been put right again. */
export interface Fault {
  readonly name: string
  /** `watch` begins to measure the recovery: at the beginning of the fault, or at its end where nothing can work before. */
  readonly inject: (topology: Topology, watch: () => void) => Promise<void>
  /** Makes whole what the fault has destroyed, after the recovery has begun. */
  readonly repair?: (topology: Topology) => Promise<void>
  /** Whether no client may see an error. */
  readonly isSeamless?: boolean
}

const never = new AbortController().signal

const processOf = ({ processes }: Topology, name: string): SupervisedProcess => {
  const process = processes.find((candidate) => candidate.name === name)
  if (process === undefined) throw new Error(`no process ${name}`)
  return process
}

/** Ends a process by a signal, and waits until its next start is ready. */
const restart = async (process: SupervisedProcess): Promise<void> => {
  const before = process.current
  process.end("SIGTERM")
  await until(`${process.name} is restarted`, () => process.current !== before && process.isRunning, { seconds: 90 })
}

/** Restarts processes of one kind in turn, as a deployment does. */
const restartInTurn = async (topology: Topology, names: ReadonlyArray<string>): Promise<void> => {
  for (const name of names) {
    await restart(processOf(topology, name))
    // The load balancer needs two checks to see that it is ready.
    await sleep(1_500)
  }
}

const counted = ({ length }: ReadonlyArray<string>, what: string) =>
  length === 1 ? `one ${what}` : `${length} ${what}${what.endsWith("s") ? "es" : "s"}`

const restartOf = (apis: ReadonlyArray<string>, workers: ReadonlyArray<string>): Fault => ({
  name: `rolling restart of ${counted(apis, "API process")} and ${counted(workers, "worker")}`,
  isSeamless: true,
  inject: async (topology, watch) => {
    watch()
    await Promise.all([restartInTurn(topology, apis), restartInTurn(topology, workers)])
  }
})

const rollingRestart = restartOf(["api-1", "api-2", "api-3"], ["worker-1", "worker-2", "worker-3"])

const cutHost = (name: string, seconds: number): Fault => ({
  name: `host of ${name} cut off without a FIN, ${seconds} s`,
  inject: async (topology, watch) => {
    const { network } = topology
    watch()
    const [begin, end] = [() => network.cut(name), () => network.join(name)]
    await processOf(topology, name).cutOff(seconds * 1_000, never, { begin, end })
  }
})

const restartPooler: Fault = {
  name: "PgBouncer killed and restarted",
  inject: ({ database, pooler }, watch) =>
    database.during(async () => {
      watch()
      await pooler.stop()
      await sleep(1_000)
      await pooler.start()
    })
}

const stopPostgres = (seconds: number): Fault => ({
  name: `Postgres stopped for ${seconds} s, from its return on`,
  inject: async ({ database }, watch) => {
    await database.stopFor(seconds * 1_000)
    watch()
  }
})

const failOver: Fault = {
  name: "primary lost, standby promoted",
  inject: async ({ database }, watch) => {
    watch()
    await database.failOver()
  },
  repair: ({ database }) => database.rebuild()
}

const halfOpenListen: Fault = {
  name: "half-open LISTEN connection, 25 s",
  inject: async (topology, watch) => {
    watch()
    await processOf(topology, "api-2").silence(25_000, never, { newOnes: false })
  }
}

const fullDisk: Fault = {
  name: "full disk of the primary for 10 s, from its end on",
  inject: async ({ database }, watch) => {
    await database.fillDiskFor(10_000)
    watch()
  }
}

const wrongClock = (name: string): Fault => ({
  name: `${name} restarted with a clock ten minutes ahead, 20 s`,
  inject: async (topology, watch) => {
    const process = processOf(topology, name)
    const before = process.current
    watch()
    process.restartWithClock(600)
    await until("it runs with the wrong clock", () => process.current !== before && process.current?.readyAt !== undefined, {
      seconds: 60
    })
    await sleep(20_000)
    const wrong = process.current
    process.end("SIGKILL")
    await until("it runs with the right clock", () => process.current !== wrong && process.isRunning, { seconds: 60 })
  }
})

/** Every fault that a run of some minutes injects. */
export const allFaults: ReadonlyArray<Fault> = [
  rollingRestart,
  cutHost("api-1", 15),
  cutHost("worker-1", 40),
  restartPooler,
  stopPostgres(1),
  stopPostgres(8),
  stopPostgres(60),
  failOver,
  halfOpenListen,
  fullDisk,
  wrongClock("api-3"),
  wrongClock("worker-2")
]

/** What the tests of every change inject: a part of the restarts, and a loss of the primary that stays without a standby. */
export const fewFaults: ReadonlyArray<Fault> = [
  restartOf(["api-1"], ["worker-1"]),
  { name: failOver.name, inject: failOver.inject }
]

/** Begins to measure how long it takes until users get answers and replies again. */
export const watching =
  (recovery: Recovery, { apis }: Topology, name: string, since = Date.now) =>
  () =>
    recovery.watch(name, [apis[0]], since())
