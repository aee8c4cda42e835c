/**
 * A client of many streams, a process of its own: asks a question in each room, follows the reply's stream, and
 * measures from the simulator's clock (`[[clock]]`) to the arrival of the text. While streams run it only records bytes
 * and times and parses them afterwards, so that it disturbs the measured machine little.
 */
import http from "node:http"
import type { Room } from "./seed.ts"

/** A question, and when its reply begins, in milliseconds since 1970. */
export interface Question extends Room {
  readonly startAt: number
}

export interface ReadJob {
  readonly port: number
  readonly questions: ReadonlyArray<Question>
  /** Chunks of each reply, and milliseconds between two. */
  readonly chunks: number
  readonly chunkMillis: number
}

export interface Read {
  readonly replyId: string
  /** The text as the contract says: the last `replace` and all deltas after it. */
  readonly text: string
  /** The name of the stream's last event. */
  readonly end: string
  readonly replaces: number
  /** Milliseconds from the opening of the stream to the reply's first chunk; negative when it opened too late. */
  readonly early: number
  /** For each chunk, when it was sent, in milliseconds since 1970, and the milliseconds until its arrival. */
  readonly sent: ReadonlyArray<number>
  readonly took: ReadonlyArray<number>
}

/** Requests in flight while asking. */
const parallel = 8

const now = () => performance.timeOrigin + performance.now()

/** Follows a stream to its end and parses it then. */
const follow = (
  { port }: ReadJob,
  { id, startAt, token }: Question,
  replyId: string
): Promise<{ readonly ended: Promise<Read> }> =>
  new Promise((resolve, reject) => {
    const request = http.get(
      {
        port,
        host: "127.0.0.1",
        agent: false,
        path: `/chatroom/${id}/message/${replyId}/stream`,
        headers: { authorization: `Bearer ${token}` }
      },
      (response) => {
        const early = startAt - now()
        const arrived: Array<Buffer> = []
        const at: Array<number> = []
        response.on("data", (bytes: Buffer) => {
          at.push(now())
          arrived.push(bytes)
        })
        const ended = new Promise<Read>((done) => response.once("close", () => done({ replyId, early, ...parse(arrived, at) })))
        if (response.statusCode === 200) resolve({ ended })
        else reject(new Error(`a stream answered ${response.statusCode}`))
      }
    )
    request.once("error", reject)
  })

/** Parses what arrived. A chunk's time is the arrival of the end of its event. */
const parse = (arrived: ReadonlyArray<Buffer>, at: ReadonlyArray<number>): Omit<Read, "replyId" | "early"> => {
  const sent: Array<number> = []
  const took: Array<number> = []
  let text = ""
  let end = "nothing"
  let replaces = 0
  let rest = ""
  for (const [index, bytes] of arrived.entries()) {
    // Everything is ASCII except the data of the terminal event, of which only the name is read.
    const events = (rest + bytes.toString("latin1")).split("\n\n")
    rest = events.pop() ?? ""
    for (const event of events) {
      const [, name] = /^event: (\w+)$/m.exec(event) ?? []
      if (name === undefined) continue
      end = name
      if (name !== "delta" && name !== "replace") continue
      const [, data = ""] = /^data: (.*)$/m.exec(event) ?? []
      const { text: piece } = JSON.parse(data) as { text: string }
      if (name === "replace") replaces++
      text = name === "replace" ? piece : text + piece
      for (const [, stamp] of piece.matchAll(/@(\d+\.\d+);/g)) {
        sent.push(Number(stamp))
        took.push((at[index] ?? Number.NaN) - Number(stamp))
      }
    }
  }
  return { text, end, replaces, sent, took }
}

const replyOf = (body: unknown): string => {
  if (typeof body === "object" && body !== null && "reply" in body) {
    const { reply } = body
    if (typeof reply === "object" && reply !== null && "id" in reply) return String(reply.id)
  }
  throw new Error(`not accepted: ${JSON.stringify(body)}`)
}

const read = async (job: ReadJob): Promise<ReadonlyArray<Read>> => {
  const waiting = [...job.questions]
  const ends: Array<Promise<Read>> = []
  const askNext = async () => {
    for (let question = waiting.shift(); question !== undefined; question = waiting.shift()) {
      const latency = Math.max(0, Math.round(question.startAt - now()))
      const content = `[[clock]] [[latency ${latency}]] [[chunks ${job.chunks} delay ${job.chunkMillis}]]`
      const response = await fetch(`http://127.0.0.1:${job.port}/chatroom/${question.id}/message`, {
        method: "POST",
        headers: { authorization: `Bearer ${question.token}`, "content-type": "application/json" },
        body: JSON.stringify({ content })
      })
      const { ended } = await follow(job, question, replyOf(await response.json()))
      ends.push(ended)
    }
  }
  await Promise.all(Array.from({ length: parallel }, askNext))
  return Promise.all(ends)
}

process.on("message", (job: ReadJob) => {
  void read(job).then(
    (reads) => process.send?.(reads),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
})
