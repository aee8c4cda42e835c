import { spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { availableParallelism, cpus } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"

/** A process that has said that it is ready. */
export interface Running {
  readonly pid: number
  /** What the ready sign captured: a port, a URL. */
  readonly captured: string
  /** Milliseconds from the spawn to the sign. */
  readonly startMillis: number
  /** SIGTERM, and SIGKILL after thirty seconds. */
  readonly stop: () => Promise<void>
}

/** Arguments for the product's Node, such as `--cpu-prof`: for profiling under the very load of a benchmark. */
const extraArguments = (process.env["BENCH_NODE_ARGS"] ?? "").split(" ").filter((word) => word !== "")

/** Runs a file with nothing of our environment but PATH and HOME, until its output matches the sign. */
export const startNode = async (file: string, env: Readonly<Record<string, string>>, sign: RegExp): Promise<Running> => {
  const startedAt = performance.now()
  const { HOME = "", PATH = "" } = process.env
  const args = file.startsWith("simulators/") ? [file] : [...extraArguments, file]
  const child = spawn(process.execPath, args, { env: { HOME, PATH, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  let output = ""
  const captured = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output = (output + String(chunk)).slice(-20_000)
      const match = sign.exec(output)
      if (match !== null) resolve(match[1] ?? "")
    }
    child.stdout.on("data", read)
    child.stderr.on("data", read)
    void exited.then(() => reject(new Error(`${file} did not start:\n${output}`)))
  })
  return {
    pid: child.pid ?? 0,
    captured,
    startMillis: performance.now() - startedAt,
    stop: async () => {
      child.kill("SIGTERM")
      const patience = setTimeout(() => child.kill("SIGKILL"), 30_000)
      await exited
      clearTimeout(patience)
    }
  }
}

/** /proc counts CPU time in hundredths of a second, on every Linux there is. */
const ticksPerSecond = 100

interface ProcessTimes {
  readonly parent: number
  /** CPU seconds of the process alone, and of its children that have ended. */
  readonly own: number
  readonly ended: number
}

const timesOf = (pid: number): ProcessTimes | undefined => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
    const fields = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .map(Number)
    const [, parent = 0] = fields
    const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11)
    return { parent, own: (user + system) / ticksPerSecond, ended: (endedUser + endedSystem) / ticksPerSecond }
  } catch {
    return undefined // it is gone, or there is no /proc
  }
}

/** CPU seconds used so far by a process and its children (Postgres has one for each connection). */
const cpuSeconds = (pid: number): number => {
  const self = timesOf(pid)
  if (self === undefined) return Number.NaN
  const others = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((name) => timesOf(Number(name)))
  return others.reduce((sum, other) => sum + (other?.parent === pid ? other.own : 0), self.own + self.ended)
}

/** Seconds that the machine's cores had nothing to do so far. */
const idleSeconds = () => cpus().reduce((sum, { times }) => sum + times.idle / 1000, 0)

/**
 * Average cores used by each process between this call and the call of what it returns (NaN without /proc), and
 * how many were idle: what is missing to all of them went to others on the machine.
 */
export const meterCpu = (pids: Readonly<Record<string, number>>): (() => Record<string, number>) => {
  const startedAt = performance.now()
  const idleBefore = idleSeconds()
  const before = Object.entries(pids).map(([name, pid]) => [name, pid, cpuSeconds(pid)] as const)
  return () => {
    const seconds = (performance.now() - startedAt) / 1000
    const used = before.map(([name, pid, start]) => [name, (cpuSeconds(pid) - start) / seconds] as const)
    return { ...Object.fromEntries(used), idle: (idleSeconds() - idleBefore) / seconds }
  }
}

/** Of the machine's cores, the share that must be idle before what is measured begins, and how long to wait for it. */
const calmShare = 0.75
const patienceSeconds = Number(process.env["BENCH_PATIENCE"] ?? 60)

/**
 * Waits until others leave the machine alone, for two seconds in turn, or until patience ends. They may come back
 * at any time: the idle cores that are reported beside a figure tell.
 */
export const calm = async (): Promise<void> => {
  let calmFor = 0
  for (let waited = 0; waited < patienceSeconds && calmFor < 2; waited++) {
    const before = idleSeconds()
    await sleep(1_000)
    calmFor = idleSeconds() - before >= calmShare * availableParallelism() ? calmFor + 1 : 0
  }
}

/** Resident memory in MiB; NaN without /proc. */
export const residentMiB = (pid: number): number => {
  try {
    const [, kibibytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? []
    return Number(kibibytes) / 1024
  } catch {
    return Number.NaN
  }
}
