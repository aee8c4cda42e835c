import { createParser } from "eventsource-parser"
import type { ReplyEvent } from "../../src/api/chat/StreamEvents.ts"
import { withSession } from "./client.ts"
import { addAnswer } from "./exchanges.ts"
import { Problem, Unreachable } from "./problem.ts"
import { exchange, readAnswer } from "./transport.ts"

export type StreamEvent = (typeof ReplyEvent.Encoded)["data"]

interface Reply {
  readonly chatroomId: string
  readonly id: string
}

export interface StreamHandlers {
  readonly onEvent: (event: StreamEvent) => void
  /** The connection was lost; another try follows. */
  readonly onLost: () => void
  /** It goes on where it was lost. */
  readonly onResumed: () => void
  /** The server has nothing more to send. */
  readonly onEnd: () => void
  readonly onRefused: (problem: Problem) => void
}

/** Longer than two heartbeats of the server: the connection is dead. */
const silenceMillis = 40_000
const pauses = [300, 1_000, 2_000, 4_000, 8_000]
const endings = new Set<string>(["completed", "failed", "cancelled"])

/** Reads the events of one connection. True when the reply has ended. */
const readEvents = async (
  number: number,
  body: ReadableStream<Uint8Array>,
  onEvent: (event: StreamEvent, id?: string) => void
) => {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let isOver = false
  const parser = createParser({
    onEvent: ({ data, id }) => {
      // What a later release adds has another type, which the handler skips.
      const event = JSON.parse(data) as StreamEvent
      isOver ||= endings.has(event.type)
      onEvent(event, id)
    }
  })
  for (;;) {
    const timer = setTimeout(() => void reader.cancel().catch(() => {}), silenceMillis)
    const { done, value } = await reader.read().finally(() => clearTimeout(timer))
    if (done) return isOver
    const text = decoder.decode(value, { stream: true })
    addAnswer(number, text)
    parser.feed(text)
  }
}

/** Resolves after a pause, or as soon as the browser is online again. */
const pause = (millis: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      removeEventListener("online", done)
      resolve()
    }
    const timer = setTimeout(done, millis)
    addEventListener("online", done)
    signal.addEventListener("abort", done, { once: true })
  })

/**
 * Follows a reply to its end. When the connection is lost, it connects again with the id of the last event, and the server
 * goes on at the next character.
 */
export const follow = async ({ chatroomId, id }: Reply, handlers: StreamHandlers, signal: AbortSignal): Promise<void> => {
  let position: string | undefined
  let failures = 0
  const connect = async () => {
    const parts = { params: { id: chatroomId, mid: id }, headers: { "last-event-id": position }, signal }
    const { number, response } = await exchange("GET /chatroom/:id/message/:mid/stream", parts)
    if (!response.ok) await readAnswer(number, response)
    if (response.status === 204 || response.body === null) return true
    if (failures > 0) handlers.onResumed()
    return readEvents(number, response.body, (event, eventId) => {
      failures = 0
      position = eventId ?? position
      handlers.onEvent(event)
    })
  }
  while (!signal.aborted) {
    try {
      if (await withSession(connect)) return handlers.onEnd()
    } catch (error) {
      const isFinal = error instanceof Problem && error.retryAfter === undefined && error.status < 500
      if (isFinal) return handlers.onRefused(error)
      if (signal.aborted) return
      if (!(error instanceof Problem || error instanceof Unreachable || error instanceof TypeError)) throw error
    }
    if (failures === 0) handlers.onLost()
    await pause(pauses[failures] ?? 10_000, signal)
    failures++
  }
}
