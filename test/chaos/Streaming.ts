import { setTimeout as sleep } from "node:timers/promises"
import { isTerminal, openStream, type SseStream } from "../stream/SseClient.ts"
import type { Shown } from "./Ledger.ts"
import type { Random } from "./Random.ts"
import { type Api, maxWaitMillis, other, statusAt, type Experiment } from "./Experiment.ts"

interface Followed {
  readonly token: string
  readonly roomId: string
  readonly replyId: string
}

/** What a client has received. */
interface Received {
  readonly text: string
  readonly lastId: string | undefined
}

/** Checks that each id is the length of the text, and that all lines belong to the format. */
const checkPositions = ({ ledger }: Experiment, { events, parser }: SseStream, replyId: string): void => {
  for (const { id, name, text } of events) {
    const offset = id === undefined ? undefined : Number(id.split(":")[1])
    if (offset !== undefined && ["delta", "replace"].includes(name) && offset !== text.length) {
      ledger.violate("stream-position", `${replyId}: ${name} ${id} after ${text.length} units`)
    }
  }
  if (parser.strange.length > 0) ledger.violate("stream-position", `${replyId}: lines ${JSON.stringify(parser.strange)}`)
}

/**
 * Reads to the end, until the connection breaks, or until this client disconnects, as browsers do. True when it broke.
 */
const readOn = async (stream: SseStream, random: Random): Promise<boolean> => {
  let hasLeft = false
  const leave = () => {
    hasLeft = true
    stream.leave()
  }
  const leaving = setTimeout(leave, random.chance(0.5) ? random.between(50, 3_000) : maxWaitMillis)
  const how = await stream.closed
  clearTimeout(leaving)
  return how === "cut" && !hasLeft
}

/**
 * Follows a reply to its end, and resumes on the other process whenever it is cut off. The ledger keeps the received
 * text, to be compared with the stored one.
 */
export const follow = async (
  experiment: Experiment,
  first: Api,
  { replyId, roomId, token }: Followed,
  random: Random,
  until: () => boolean
): Promise<void> => {
  const { ledger } = experiment
  let api = first
  let received: Received = { text: "", lastId: undefined }
  let resumes = 0
  const failed = (askedAt: number, what: string) =>
    ledger.failures.push({ askedAt, at: Date.now(), what: `stream of ${replyId}: ${what}` })
  const done = (terminal: string) => {
    ledger.streamed.push({ replyId, text: received.text, resumes, terminal })
    ledger.count("streams read to the end")
  }
  for (; !until(); api = other(experiment, api)) {
    const from = received.lastId === undefined ? {} : { lastEventId: received.lastId, having: received.text }
    const opening = openStream(api.url, { token }, { room: roomId, reply: replyId }, from).catch(() => undefined)
    const askedAt = Date.now()
    const stream = await Promise.race([opening, sleep(maxWaitMillis, "late" as const, { ref: false })])
    const status = stream === undefined || stream === "late" ? 0 : statusAt(api, stream.status)
    if (status === 0 || status >= 500) failed(askedAt, `${status}`)
    if (stream === "late") return ledger.violate("answers-in-time", `${api.name} stream of ${replyId}`)
    if (stream?.status === 200) {
      if (received.lastId !== undefined) {
        resumes++
        ledger.count("stream resumes")
      }
      if (await readOn(stream, random)) failed(Date.now(), "cut")
      checkPositions(experiment, stream, replyId)
      received = { text: stream.text(), lastId: stream.parser.lastId ?? received.lastId }
      const terminal = stream.events.find(isTerminal)
      if (terminal !== undefined) {
        ledger.show(terminal.data as Shown, `the stream of ${api.name}`)
        return done(terminal.name)
      }
    } else if (stream?.status === 204) {
      return done("204")
    } else if (stream !== undefined && ![0, 429, 503].includes(status)) {
      const rule = stream.status === 401 ? "no-401" : stream.status >= 500 ? "no-5xx" : "expected-answer"
      ledger.violate(rule, `${api.name} stream of ${replyId}: ${stream.status} ${JSON.stringify(stream.problem)}`)
      return
    }
    await sleep(random.between(50, 400))
  }
  ledger.violate("stream-ends", `${replyId} after ${resumes} resumes at ${received.lastId ?? "its start"}`)
}
