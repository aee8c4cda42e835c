import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import type { Job, Load } from "./driver.ts"
import { meterCpu, nodeArguments } from "./process.ts"
import type { Sample } from "./references/bare.ts"

/** A request as the driver sends it; `more` contains further header lines, each with its line break. */
export const requestText = (method: "GET" | "POST", path: string, token: string, body?: object, more = ""): string => {
  const json = body === undefined ? "" : JSON.stringify(body)
  const entity = body === undefined ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n`
  return `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${token}\r\n${more}${entity}\r\n${json}`
}

/** Sends a job to a child process and waits for its answer; fails when the process ends first. */
export const ask = async <A>(child: ChildProcess, message: object): Promise<A> => {
  const settled = new AbortController()
  const { signal } = settled
  const gone = once(child, "exit", { signal }).then(() => Promise.reject(new Error("a child process ended")))
  try {
    child.send(message)
    const [answer] = await Promise.race([once(child, "message", { signal }), gone])
    return answer
  } finally {
    gone.catch(() => {})
    settled.abort()
  }
}

/** A window of load, with the average cores that each process used and those that were idle. */
export interface Window extends Load {
  readonly cores: Readonly<Record<string, number>>
}

/** The requests that one server gets, repeatedly. */
export interface Target {
  readonly port: number
  readonly requests: ReadonlyArray<string>
  readonly connections: number
  /** Requests after which the load ends, also before its time is over. */
  readonly most?: number
}

export interface Driver {
  /** Runs load for some seconds; each call continues with the requests where the last call for that port stopped. */
  readonly run: (target: Target, seconds: number, pids: Readonly<Record<string, number>>) => Promise<Window>
  readonly stop: () => void
}

export const startDriver = (): Driver => {
  const child = fork(new URL("./driver.ts", import.meta.url))
  const positions = new Map<number, number>()
  return {
    run: async (target, seconds, pids) => {
      const meter = meterCpu(pids)
      const job: Job = { ...target, seconds, first: positions.get(target.port) ?? 0 }
      const load = await ask<Load>(child, job)
      positions.set(target.port, load.next)
      return { ...load, cores: { driver: load.driverCores, ...meter() } }
    },
    stop: () => void child.kill()
  }
}

/** Headers that Node itself adds to the responses of both servers. */
const ofNode = new Set(["connection", "date", "keep-alive"])

/** Asks the product once and starts a server that repeats its answer. */
export const startReference = async (
  url: string,
  method: "GET" | "POST",
  token: string,
  body?: object,
  more: Readonly<Record<string, string>> = {}
) => {
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      "accept-encoding": "identity", // fetch would decode the body and keep the Content-Length of the encoded one
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...more
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  const sample: Sample = {
    status: response.status,
    headers: Object.fromEntries([...response.headers].filter(([name]) => !ofNode.has(name))),
    body: await response.text()
  }
  if (sample.status >= 400) throw new Error(`${method} ${url} answered ${sample.status}: ${sample.body}`)
  const child = fork(new URL("./references/bare.ts", import.meta.url), { execArgv: [...nodeArguments] })
  const port = await ask<number>(child, sample)
  return { port, pid: child.pid ?? 0, bytes: Buffer.byteLength(sample.body), stop: () => void child.kill() }
}
