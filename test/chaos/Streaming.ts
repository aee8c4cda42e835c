import { setTimeout as sleep } from "node:timers/promises"
import { isTerminal, openStream, type SseStream } from "../stream/SseClient.ts"
import type { Slot } from "./Fleet.ts"
import type { Shown } from "./Ledger.ts"
import type { Random } from "./Random.ts"
import { other, patience, type World } from "./World.ts"

interface Followed {
  readonly token: string
  readonly roomId: string
  readonly replyId: string
}

/** Where a reader is. */
interface Place {
  readonly text: string
  readonly lastId: string | undefined
}

/** Each id is how far the text goes; lines are those of the format. */
const checkPlaces = ({ ledger }: World, { events, parser }: SseStream, replyId: string): void => {
  for (const { id, name, text } of events) {
    const offset = id === undefined ? undefined : Number(id.split(":")[1])
    if (offset !== undefined && ["delta", "replace"].includes(name) && offset !== text.length) {
      ledger.violate("stream-place", `${replyId}: ${name} ${id} after ${text.length} units`)
    }
  }
  if (parser.strange.length > 0) ledger.violate("stream-place", `${replyId}: lines ${JSON.stringify(parser.strange)}`)
}

/** Reads a while: to its end, until the connection breaks, or until this reader goes, as browsers do. */
const readOn = async (stream: SseStream, random: Random): Promise<void> => {
  const leaving = setTimeout(stream.leave, random.chance(0.5) ? random.between(50, 3_000) : patience)
  await stream.closed
  clearTimeout(leaving)
}

/**
 * Follows a reply to its end, and resumes on the other process whenever it is cut off. The pieces it has put
 * together by then are noted, to be compared with what is stored.
 */
export const follow = async (
  world: World,
  first: Slot,
  { replyId, roomId, token }: Followed,
  random: Random,
  until: () => boolean
): Promise<void> => {
  const { ledger } = world
  let api = first
  let place: Place = { text: "", lastId: undefined }
  let resumes = 0
  const done = (terminal: string) => {
    ledger.streamed.push({ replyId, text: place.text, resumes, terminal })
    ledger.count("streams read to the end")
  }
  for (; !until(); api = other(world, api)) {
    const from = place.lastId === undefined ? {} : { lastEventId: place.lastId, having: place.text }
    const opening = openStream(api.url, { token }, { room: roomId, reply: replyId }, from).catch(() => undefined)
    const stream = await Promise.race([opening, sleep(patience, "late" as const, { ref: false })])
    if (stream === "late") return ledger.violate("answers-in-time", `${api.name} stream of ${replyId}`)
    if (stream?.status === 200) {
      if (place.lastId !== undefined) {
        resumes++
        ledger.count("stream resumes")
      }
      await readOn(stream, random)
      checkPlaces(world, stream, replyId)
      place = { text: stream.text(), lastId: stream.parser.lastId ?? place.lastId }
      const terminal = stream.events.find(isTerminal)
      if (terminal !== undefined) {
        ledger.show(terminal.data as Shown, `the stream of ${api.name}`)
        return done(terminal.name)
      }
    } else if (stream?.status === 204) {
      return done("204")
    } else if (stream !== undefined && ![429, 503].includes(stream.status)) {
      const rule = stream.status === 401 ? "no-401" : stream.status >= 500 ? "no-5xx" : "expected-answer"
      ledger.violate(rule, `${api.name} stream of ${replyId}: ${stream.status} ${JSON.stringify(stream.problem)}`)
      return
    }
    await sleep(random.between(50, 400))
  }
  ledger.violate("stream-ends", `${replyId} after ${resumes} resumes at ${place.lastId ?? "its start"}`)
}
