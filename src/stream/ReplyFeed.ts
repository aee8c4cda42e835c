import { hasEnded, type Message } from "../api/chat/Message.ts"
import { event } from "../api/chat/StreamEvents.ts"
import type { MessageState } from "../chat/Messages.ts"
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

/**
 * The events that one client of a reply gets next, from its position and what is known of the reply. It keeps the
 * position and the last status and title it has sent, not the text.
 */
export class ReplyFeed {
  private position: Position
  private sentStatus: string | undefined
  private sentTitle: string | null = null
  private readonly thoughts: ThoughtFeed

  constructor(position: Position | undefined) {
    this.position = position ?? { attempt: 0, offset: 0 }
    this.thoughts = new ThoughtFeed(this.position.attempt)
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
    return event("delta", { text }, id(this.position))
  }

  /** Brings the client to the whole text of an attempt: by the missing part, or by all of it if it has another text. */
  private reach(attempt: number, whole: string): string {
    const before = this.position
    this.position = { attempt, offset: whole.length }
    if (before.offset === 0 || before.attempt === 0) return whole === "" ? "" : event("delta", { text: whole }, id(this.position))
    if (before.attempt !== attempt || before.offset > whole.length) return event("replace", { text: whole }, id(this.position))
    return before.offset === whole.length ? "" : event("delta", { text: whole.slice(before.offset) }, id(this.position))
  }

  /** An automatic title that the client does not know. */
  private title(title: string | null): string {
    if (title === this.sentTitle) return ""
    this.sentTitle = title
    return title === null ? "" : event("title", { title })
  }

  private status(status: string, attempt: number, retryAt: string | null): string {
    const data = { status, attempt, ...(retryAt === null ? {} : { retryAt }) }
    const key = JSON.stringify(data)
    if (key === this.sentStatus) return ""
    this.sentStatus = key
    return event("status", data)
  }

  /** What the reply relies on, when it was made with tools. */
  private sources({ citations, searches, searchSuggestions, sources, urls }: Message): string {
    const isEmpty = sources.length + searches.length + urls.length === 0 && searchSuggestions === null
    return isEmpty ? "" : event("sources", { sources, citations, searches, searchSuggestions, urls })
  }

  private ending(message: Message): string {
    const usage = message.usage === null ? "" : event("usage", message.usage)
    return usage + this.sources(message) + event(message.status, message, id(this.position))
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
