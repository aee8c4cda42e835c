/**
 * An open-loop load in a process of its own: requests are sent at a fixed rate, whether or not the last ones were
 * answered, as independent users do. Latency counts from the time at which a request is due. Clients that wait too long
 * hang up.
 */
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"

export interface OpenJob {
  readonly port: number
  /** Whole HTTP requests, sent in turn. */
  readonly requests: ReadonlyArray<string>
  /** Requests per second. */
  readonly rate: number
  readonly seconds: number
  /** Maximum of open connections; a request that finds none free counts as unsent. */
  readonly connections: number
  /** Milliseconds after which a client hangs up. */
  readonly maxWaitMillis: number
}

export interface OpenLoad {
  /** Milliseconds of the answers by status, sorted. */
  readonly latencies: Readonly<Record<string, ReadonlyArray<number>>>
  readonly sent: number
  readonly unsent: number
  readonly givenUp: number
  readonly resets: number
  readonly seconds: number
}

interface Connection {
  readonly socket: Socket
  dueAt: number
  timer: NodeJS.Timeout | undefined
}

/** Finds the end of an answer by its Content-Length; chunked answers do not occur here. */
const reader = (answered: (status: string) => void) => {
  let head = ""
  let missing = 0
  return (chunk: Buffer) => {
    if (missing > 0) missing -= chunk.length
    else {
      head += chunk.toString("latin1")
      const end = head.indexOf("\r\n\r\n")
      if (end === -1) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head.slice(0, end))?.[1] ?? 0)
      missing = length - (head.length - end - 4)
    }
    if (missing > 0) return
    const status = head.slice(9, 12)
    head = ""
    answered(status)
  }
}

const drive = async (job: OpenJob): Promise<OpenLoad> => {
  const requests = job.requests.map((text) => Buffer.from(text))
  const latencies: Record<string, Array<number>> = {}
  const idle: Array<Connection> = []
  const open = new Set<Connection>()
  let [sent, unsent, givenUp, resets, next] = [0, 0, 0, 0, 0]

  const send = (connection: Connection, dueAt: number) => {
    const request = requests[next++ % requests.length]
    if (request === undefined) throw new Error("no requests")
    sent++
    connection.dueAt = dueAt
    connection.timer = setTimeout(() => {
      givenUp++
      connection.timer = undefined
      connection.socket.destroy()
    }, job.maxWaitMillis)
    connection.socket.write(request)
  }
  const openOne = (): Connection => {
    const socket = connect({ port: job.port, host: "127.0.0.1", noDelay: true })
    const connection: Connection = { socket, dueAt: 0, timer: undefined }
    open.add(connection)
    socket.on(
      "data",
      reader((status) => {
        clearTimeout(connection.timer)
        connection.timer = undefined
        ;(latencies[status] ??= []).push(performance.now() - connection.dueAt)
        idle.push(connection)
      })
    )
    socket.on("error", () => {})
    socket.on("close", () => {
      open.delete(connection)
      const at = idle.indexOf(connection)
      if (at >= 0) idle.splice(at, 1)
      if (connection.timer === undefined) return
      clearTimeout(connection.timer)
      resets++
    })
    return connection
  }

  const startedAt = performance.now()
  let due = 0
  await new Promise<void>((resolve) => {
    const tick = setInterval(() => {
      const elapsed = Math.min(performance.now() - startedAt, job.seconds * 1000)
      for (; due < (elapsed / 1000) * job.rate; due++) {
        const connection = idle.pop() ?? (open.size < job.connections ? openOne() : undefined)
        if (connection === undefined) unsent++
        else send(connection, startedAt + (due / job.rate) * 1000)
      }
      if (elapsed < job.seconds * 1000) return
      clearInterval(tick)
      resolve()
    }, 2)
  })
  while ([...open].some(({ timer }) => timer !== undefined)) await sleep(50)
  for (const { socket } of open) socket.destroy()
  for (const values of Object.values(latencies)) values.sort((a, b) => a - b)
  return { latencies, sent, unsent, givenUp, resets, seconds: job.seconds }
}

process.on("message", (job: OpenJob) => {
  void drive(job).then(
    (load) => process.send?.(load),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
