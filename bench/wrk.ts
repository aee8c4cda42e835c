import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import type { Target, Window } from "./load.ts"
import { meterCpu } from "./process.ts"

/** Whether wrk is on PATH. It takes about half of the CPU that the driver takes, which counts on two cores. */
export const hasWrk = (() => {
  try {
    execFileSync("sh", ["-c", "command -v wrk"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

const unitMillis: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 }
const millis = (text: string, share: number): number => {
  const [, value = "", unit = ""] = new RegExp(`^ +${share}%\\s+([\\d.]+)(us|ms|s|m)$`, "m").exec(text) ?? []
  return Number(value) * (unitMillis[unit] ?? Number.NaN)
}
const count = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0)

/** A window of load by wrk, which repeats the first request of the target. */
export const runWrk = async (target: Target, seconds: number, pids: Readonly<Record<string, number>>): Promise<Window> => {
  const [request = ""] = target.requests
  const [first = "", ...lines] = request.trimEnd().split("\r\n")
  const [method, path = ""] = first.split(" ")
  if (method !== "GET") throw new Error(`wrk is used for GET alone, not for ${first}`)
  const headers = lines.filter((line) => !line.startsWith("host:")).flatMap((line) => ["-H", line])
  const meter = meterCpu(pids)
  const child = spawn(
    "wrk",
    [
      "-t1",
      `-c${target.connections}`,
      `-d${Math.ceil(seconds)}s`,
      "--latency",
      ...headers,
      `http://127.0.0.1:${target.port}${path}`
    ],
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  let output = ""
  child.stdout.on("data", (chunk: Buffer) => (output += String(chunk)))
  await once(child, "close")
  const cores = meter()
  const answers = count(output, /(\d+) requests in/)
  const wrong = count(output, /Non-2xx or 3xx responses: (\d+)/)
  const [, ...failures] = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output) ?? []
  const failed = failures.reduce((sum, text) => sum + Number(text), 0)
  const measured = Number(/Requests\/sec:\s+([\d.]+)/.exec(output)?.[1] ?? Number.NaN)
  return {
    statuses: { "200": answers - wrong, ...(wrong > 0 ? { other: wrong } : {}), ...(failed > 0 ? { failed } : {}) },
    hits: 0,
    seconds: answers / measured,
    p50: millis(output, 50),
    p99: millis(output, 99),
    driverCores: Number.NaN,
    next: 0,
    cores
  }
}
