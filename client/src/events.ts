import { createParser } from "eventsource-parser"
import type { Message, ReplyEvent } from "./contract.ts"

/** An event, and the position in the text behind it. */
export interface Received {
  readonly event: ReplyEvent
  /** `attempt:offset`, for `Last-Event-ID`; undefined for events that have no place in the text. */
  readonly position: string | undefined
}

/** A later release may add events, which are skipped. */
const known: Readonly<Record<ReplyEvent["type"], true>> = {
  status: true,
  delta: true,
  replace: true,
  thought: true,
  title: true,
  usage: true,
  sources: true,
  completed: true,
  failed: true,
  cancelled: true
}

const isKnown = (event: { readonly type: string }): event is ReplyEvent => Object.hasOwn(known, event.type)

export interface Reading {
  /** Milliseconds without a byte after which the connection counts as lost. The server sends a comment every 15 seconds. */
  readonly silence: number
  /** The server's `retry:` in milliseconds. */
  readonly onRetry?: ((millis: number) => void) | undefined
  /** The text of the stream as it comes. */
  readonly onText?: ((text: string) => void) | undefined
}

/** The events of one connection, until it ends or goes silent. Fails when it breaks. */
export const readEvents = async function* (body: ReadableStream<Uint8Array>, reading: Reading): AsyncGenerator<Received, void> {
  const reader = body.getReader()
  const cancel = () => void reader.cancel().catch(() => {})
  const decoder = new TextDecoder()
  let received: Array<Received> = []
  const parser = createParser({
    onEvent: ({ data, id }) => {
      const event: { readonly type: string } = JSON.parse(data)
      if (isKnown(event)) received.push({ event, position: id })
    },
    ...(reading.onRetry === undefined ? {} : { onRetry: reading.onRetry })
  })
  try {
    for (;;) {
      const timer = setTimeout(cancel, reading.silence)
      const { done, value } = await reader.read().finally(() => clearTimeout(timer))
      if (done) return
      const text = decoder.decode(value, { stream: true })
      reading.onText?.(text)
      parser.feed(text)
      const ready = received
      received = []
      yield* ready
    }
  } finally {
    cancel()
  }
}

/** Whether an event is the last one of its stream. Its data is the stored reply. */
export const isEnd = (event: ReplyEvent): event is Extract<ReplyEvent, Message> =>
  event.type === "completed" || event.type === "failed" || event.type === "cancelled"

/** The reply after an event. Begin with `content: ""` and `thoughts: null`: a stream tells the whole text. */
export const applyEvent = <Reply extends Message>(reply: Reply, event: ReplyEvent): Reply => {
  switch (event.type) {
    case "status":
      return { ...reply, status: event.status, attempt: event.attempt }
    case "delta":
      return { ...reply, content: reply.content + event.text }
    case "replace":
      return { ...reply, content: event.text }
    case "thought":
      return { ...reply, thoughts: (reply.thoughts ?? "").slice(0, event.offset) + event.text }
    case "usage": {
      const { type: _, ...usage } = event
      return { ...reply, usage }
    }
    case "sources": {
      const { type: _, ...sources } = event
      return { ...reply, ...sources }
    }
    case "title":
      return reply
    case "completed":
    case "failed":
    case "cancelled": {
      const { type: _, ...message } = event
      return { ...reply, ...message }
    }
  }
}
