/**
 * The load driver, a process of its own: a closed loop on keep-alive connections, one request at a time on each. Plain
 * sockets and prepared bytes, because on two cores a client library would take as much CPU as the server it measures.
 */
import { connect } from "node:net"

export interface Job {
  readonly port: number
  /** Whole HTTP requests, sent in turn from `first` on. */
  readonly requests: ReadonlyArray<string>
  readonly first: number
  readonly connections: number
  readonly seconds: number
  /** Requests after which the load ends, also before its time is over. */
  readonly most?: number
}

export interface Load {
  /** Responses within `seconds`, by status. Later responses are awaited but not counted. */
  readonly statuses: Readonly<Record<string, number>>
  /** Responses from a cache of the server, by their Cache-Status. */
  readonly hits: number
  readonly seconds: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Average cores used by the driver itself. */
  readonly driverCores: number
  /** Index of the request to continue with. */
  readonly next: number
}

const drive = async (job: Job): Promise<Load> => {
  const requests = job.requests.map((text) => Buffer.from(text))
  const statuses: Record<string, number> = {}
  const latencies: Array<number> = []
  let next = job.first
  let hits = 0
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  const deadline = startedAt + job.seconds * 1000
  const end = job.first + (job.most ?? Infinity)

  const drain = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect({ port: job.port, host: "127.0.0.1", noDelay: true })
      let sentAt = 0
      const send = () => {
        const request = requests[next++ % requests.length]
        if (request === undefined) return reject(new Error("no requests"))
        sentAt = performance.now()
        socket.write(request)
      }
      const answered = (status: string, hit: boolean) => {
        const now = performance.now()
        if (now >= deadline) return void socket.end()
        statuses[status] = (statuses[status] ?? 0) + 1
        if (hit) hits++
        latencies.push(now - sentAt)
        if (next >= end) return void socket.end()
        send()
      }
      socket.on("data", reader(answered, reject)).once("connect", send).once("error", reject)
      socket.once("close", () =>
        performance.now() < deadline && next < end ? reject(new Error("the server hung up")) : resolve()
      )
    })

  await Promise.all(Array.from({ length: job.connections }, drain))
  const { system, user } = process.cpuUsage(cpu)
  const elapsed = performance.now() - startedAt
  const seconds = Math.min(job.seconds, elapsed / 1000)
  latencies.sort((a, b) => a - b)
  const quantile = (share: number) => latencies[Math.floor(latencies.length * share)] ?? Number.NaN
  return {
    statuses,
    hits,
    seconds,
    p50: quantile(0.5),
    p99: quantile(0.99),
    driverCores: (user + system) / 1000 / elapsed,
    next: next % requests.length
  }
}

const nothing: Buffer = Buffer.alloc(0)

/** Finds the end of each response by its Content-Length, which every JSON response has; a 304 has no body. */
const reader = (answered: (status: string, hit: boolean) => void, failed: (error: Error) => void) => {
  let head: Buffer = nothing
  let status = ""
  let hit = false
  let missing = 0
  return (chunk: Buffer) => {
    if (missing > 0) {
      missing -= chunk.length
    } else {
      head = head.length === 0 ? chunk : Buffer.concat([head, chunk])
      const end = head.indexOf("\r\n\r\n")
      if (end === -1) return
      const text = head.toString("latin1", 0, end)
      status = text.slice(9, 12)
      hit = text.includes("chatrooms; hit")
      const [, length] = status === "304" ? ["", "0"] : (/\r\ncontent-length: (\d+)/i.exec(text) ?? [])
      if (length === undefined) return failed(new Error(`no Content-Length:\n${text}`))
      missing = Number(length) - (head.length - end - 4)
      head = nothing
    }
    if (missing <= 0) answered(status, hit)
  }
}

process.on("message", (job: Job) => {
  void drive(job).then(
    (load) => process.send?.(load),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
