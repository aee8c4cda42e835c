import { type EndedStatus, hasEnded, type Message } from "../api/chat/Message.ts"
import { event, type ReplyEventData } from "../api/chat/StreamEvents.ts"
import type { MessageState } from "../chat/Messages.ts"
import { reconnectSoon, retry } from "./EventStream.ts"
import type { LiveText } from "./LiveText.ts"
import { ThoughtFeed } from "./ThoughtFeed.ts"

/** A position in a reply's text: the attempt, and UTF-16 units from its start. As an SSE id: `attempt:offset`. */
export interface Position {
  readonly attempt: number
  readonly offset: number
}

const id = ({ attempt, offset }: Position) => `${attempt}:${offset}`

export interface Progress {
  readonly text: string
  readonly ended: boolean
  /** Text or thoughts between the client's position and what is known are missing and have to be fetched. */
  readonly gap: boolean
}

/** The form of an event on the wire; `id` is the position after it. */
export type WriteEvent = (data: ReplyEventData, id?: string) => string

const writeEvent: WriteEvent = (data, id) => event(data.type, data, id)

/** What one client of a reply gets next, from what is known of the reply. */
export interface Feed {
  readonly next: (live: LiveText | undefined, state: MessageState, thoughts?: LiveText) => Progress
}

/** How one client sees a reply: what its stream begins with, what follows, and what it ends with before the reply does. */
export interface StreamView {
  readonly opening: string
  readonly feed: Feed
  readonly dismissal: () => string
  /** Milliseconds that the stream goes on in a process that drains; absent for none, where clients can reconnect. */
  readonly lingerMillis?: number
}

/** A reply as the API's own events, from a position on. */
export const eventsFrom = (position: Position | undefined): StreamView => ({
  opening: retry(1_000),
  feed: new ReplyFeed(position),
  dismissal: reconnectSoon
})

/**
 * The events that one client of a reply gets next, from its position and what is known of the reply. It keeps the
 * position and the last status and title it has sent, not the text.
 */
export class ReplyFeed implements Feed {
  private position: Position
  private sentStatus: string | undefined
  private sentTitle: string | null = null
  private readonly thoughts: ThoughtFeed
  private readonly write: WriteEvent

  constructor(position: Position | undefined, write: WriteEvent = writeEvent) {
    this.position = position ?? { attempt: 0, offset: 0 }
    this.write = write
    this.thoughts = new ThoughtFeed(this.position.attempt, (text, offset) => write({ type: "thought", text, offset }))
  }

  next(live: LiveText | undefined, state: MessageState, thoughts?: LiveText): Progress {
    const progress = this.follow(live, state, thoughts)
    return { ...progress, text: this.title(state.title) + progress.text }
  }

  private follow(live: LiveText | undefined, state: MessageState, thoughts: LiveText | undefined): Progress {
    const { message, retryAt, summaries } = state
    if (hasEnded(message)) {
      const thought = summaries ? this.thoughts.end(message.attempt, message.thoughts ?? "") : ""
      return { text: thought + this.reach(message.attempt, message.content) + this.ending(message), ended: true, gap: false }
    }
    const known = Math.max(live?.attempt ?? 0, thoughts?.attempt ?? 0)
    const attempt = Math.max(known, message.attempt)
    // A delta can arrive before the news of its attempt; the reply is being written then, whatever the row said.
    const status = known > message.attempt ? "processing" : message.status
    const shown = this.status(status, attempt, status === "waiting" ? retryAt : null)
    const thought = thoughts === undefined || thoughts.attempt < attempt ? "" : this.thoughts.append(thoughts)
    const text = shown + (thought ?? "")
    const gap = thought === undefined
    if (live === undefined || live.attempt === 0 || live.attempt < this.position.attempt) return { text, ended: false, gap }
    const reached = live.attempt === this.position.attempt ? this.position.offset : 0
    if (live.start > reached) return { text, ended: false, gap: true }
    const begun = summaries && live.text !== "" ? this.thoughts.begin(live.attempt) : ""
    return { text: text + begun + this.append(live), ended: false, gap }
  }

  /** The running text from the client's position on. */
  private append(live: LiveText): string {
    const end = live.start + live.text.length
    if (live.attempt !== this.position.attempt) return live.start === 0 ? this.reach(live.attempt, live.text) : ""
    if (end <= this.position.offset) return ""
    const text = live.text.slice(this.position.offset - live.start)
    this.position = { attempt: live.attempt, offset: end }
    return this.write({ type: "delta", text }, id(this.position))
  }

  /** Brings the client to the whole text of an attempt: by the missing part, or by all of it if it has another text. */
  private reach(attempt: number, whole: string): string {
    const before = this.position
    this.position = { attempt, offset: whole.length }
    const isFirst = before.offset === 0 || before.attempt === 0
    if (!isFirst && (before.attempt !== attempt || before.offset > whole.length)) {
      return this.write({ type: "replace", text: whole }, id(this.position))
    }
    const text = isFirst ? whole : whole.slice(before.offset)
    return text === "" ? "" : this.write({ type: "delta", text }, id(this.position))
  }

  /** An automatic title that the client does not know. */
  private title(title: string | null): string {
    if (title === this.sentTitle) return ""
    this.sentTitle = title
    return title === null ? "" : this.write({ type: "title", title })
  }

  private status(status: Message["status"], attempt: number, retryAt: string | null): string {
    const data = { status, attempt, ...(retryAt === null ? {} : { retryAt }) }
    const key = JSON.stringify(data)
    if (key === this.sentStatus) return ""
    this.sentStatus = key
    return this.write({ type: "status", ...data })
  }

  /** What the reply relies on, when it was made with tools. */
  private sources({ citations, searches, searchSuggestions, sources, urls }: Message): string {
    const isEmpty = sources.length + searches.length + urls.length === 0 && searchSuggestions === null
    return isEmpty ? "" : this.write({ type: "sources", sources, citations, searches, searchSuggestions, urls })
  }

  private ending(message: Message & { readonly status: EndedStatus }): string {
    const usage = message.usage === null ? "" : this.write({ type: "usage", ...message.usage })
    return usage + this.sources(message) + this.write({ type: message.status, ...message }, id(this.position))
  }
}

/** Parses `attempt:offset`; undefined when it is malformed. */
export const parsePosition = (text: string): Position | undefined => {
  const [, attempt, offset] = /^(\d{1,9}):(\d{1,9})$/.exec(text) ?? []
  return attempt === undefined || offset === undefined ? undefined : { attempt: Number(attempt), offset: Number(offset) }
}

/** Whether a client at this position has exactly the finished reply's text, which may differ from what was streamed. */
export const isFullyRead = (message: Message, position: Position): boolean =>
  message.attempt === position.attempt && position.offset === message.content.length
