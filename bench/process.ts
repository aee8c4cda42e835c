import { spawn } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { availableParallelism, cpus } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"

/** A process that has reported that it is ready. */
export interface Running {
  readonly pid: number
  /** What the pattern of its ready line captured: a port, a URL. */
  readonly captured: string
  /** Milliseconds from the spawn to the ready line. */
  readonly startMillis: number
  /** Sends SIGTERM, and SIGKILL after thirty seconds. */
  readonly stop: () => Promise<void>
}

/** Further arguments for Node, such as `--cpu-prof`, to profile the servers under the load of a benchmark. */
const extraArguments = (process.env["BENCH_NODE_ARGS"] ?? "").split(" ").filter((word) => word !== "")

/** As in the Dockerfile; the same for the product and for what it is compared with. */
export const nodeArguments: ReadonlyArray<string> = ["--enable-source-maps", ...extraArguments]

/** Runs a file, with only PATH and HOME of this environment, and waits until its output matches `readyLine`. */
export const startNode = async (file: string, env: Readonly<Record<string, string>>, readyLine: RegExp): Promise<Running> => {
  const startedAt = performance.now()
  const { HOME = "", PATH = "" } = process.env
  const args = file.startsWith("simulators/") ? [file] : [...nodeArguments, file]
  const child = spawn(process.execPath, args, {
    env: { HOME, PATH, NODE_ENV: "production", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  let output = ""
  const captured = await new Promise<string>((resolve, reject) => {
    const read = (chunk: Buffer) => {
      output = (output + String(chunk)).slice(-20_000)
      const match = readyLine.exec(output)
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
      const killTimer = setTimeout(() => child.kill("SIGKILL"), 30_000)
      await exited
      clearTimeout(killTimer)
    }
  }
}

/** /proc counts CPU time in hundredths of a second, on every Linux. */
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
    return undefined // the process has ended, or there is no /proc
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

/** Idle seconds of all cores so far. */
const idleSeconds = () => cpus().reduce((sum, { times }) => sum + times.idle / 1000, 0)

/**
 * Average cores used by each process between this call and the call of the returned function (NaN without /proc), and
 * the cores that were idle. The rest of the machine's cores went to other processes.
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

/** The share of the machine's cores that must be idle before a measurement begins, and how long to wait for it. */
const calmShare = 0.75
const maxWaitSeconds = Number(process.env["BENCH_PATIENCE"] ?? 60)

/**
 * Waits until the machine has been idle for two seconds in a row, or for at most `maxWaitSeconds`. Other processes may
 * start again at any time; the idle cores reported beside a figure show it.
 */
export const calm = async (): Promise<void> => {
  let calmFor = 0
  for (let waited = 0; waited < maxWaitSeconds && calmFor < 2; waited++) {
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
