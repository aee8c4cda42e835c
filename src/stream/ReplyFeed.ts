import { hasEnded, type Message } from "../api/chat/Message.ts"
import { event } from "../api/chat/StreamEvents.ts"
import type { LiveText } from "./LiveText.ts"

/** A place in a reply's text: which attempt, and how many UTF-16 units of it. As an SSE id: `attempt:offset`. */
export interface Position {
  readonly attempt: number
  readonly offset: number
}

const id = ({ attempt, offset }: Position) => `${attempt}:${offset}`

export interface Progress {
  readonly text: string
  readonly ended: boolean
  /** The text between the reader's place and what is known here is missing: it has to be fetched. */
  readonly gap: boolean
}

/**
 * What one reader of a reply is to be told next, given where it is and what is known. It holds a position and
 * the last status it told; the text is not its own.
 */
export class ReplyFeed {
  private position: Position
  private told: string | undefined

  constructor(position: Position | undefined) {
    this.position = position ?? { attempt: 0, offset: 0 }
  }

  next(live: LiveText | undefined, message: Message, retryAt: string | null): Progress {
    if (hasEnded(message))
      return { text: this.advance(message.attempt, message.content) + this.ending(message), ended: true, gap: false }
    const attempt = Math.max(live?.attempt ?? 0, message.attempt)
    // A delta can be here before the news of its attempt: then the reply is being written, whatever was read last.
    const status = live !== undefined && live.attempt > message.attempt ? "processing" : message.status
    const text = this.status(status, attempt, status === "waiting" ? retryAt : null)
    if (live === undefined || live.attempt === 0 || live.attempt < this.position.attempt)
      return { text, ended: false, gap: false }
    const reached = live.attempt === this.position.attempt ? this.position.offset : 0
    if (live.start > reached) return { text, ended: false, gap: true }
    return { text: text + this.follow(live), ended: false, gap: false }
  }

  private follow(live: LiveText): string {
    const end = live.start + live.text.length
    if (live.attempt !== this.position.attempt) return live.start === 0 ? this.advance(live.attempt, live.text) : ""
    if (end <= this.position.offset) return ""
    const text = live.text.slice(this.position.offset - live.start)
    this.position = { attempt: live.attempt, offset: end }
    return event("delta", { text }, id(this.position))
  }

  /** Brings the reader to the whole text of an attempt: by what it lacks, or all over again when it has another's. */
  private advance(attempt: number, whole: string): string {
    const { attempt: mine, offset } = this.position
    this.position = { attempt, offset: whole.length }
    if (offset === 0 || mine === 0) return whole === "" ? "" : event("delta", { text: whole }, id(this.position))
    if (mine !== attempt || offset > whole.length) return event("replace", { text: whole }, id(this.position))
    return offset === whole.length ? "" : event("delta", { text: whole.slice(offset) }, id(this.position))
  }

  private status(status: string, attempt: number, retryAt: string | null): string {
    const data = { status, attempt, ...(retryAt === null ? {} : { retryAt }) }
    const key = JSON.stringify(data)
    if (key === this.told) return ""
    this.told = key
    return event("status", data)
  }

  private ending(message: Message): string {
    const usage = message.usage === null ? "" : event("usage", message.usage)
    return usage + event(message.status, message, id(this.position))
  }
}

/** `attempt:offset` as a client sends it back; undefined when it is none. */
export const parsePosition = (text: string): Position | undefined => {
  const [, attempt, offset] = /^(\d{1,9}):(\d{1,9})$/.exec(text) ?? []
  return attempt === undefined || offset === undefined ? undefined : { attempt: Number(attempt), offset: Number(offset) }
}

/** Whether the reader of a finished reply has its text and no more: what it read may have been taken back since. */
export const isFullyRead = (message: Message, position: Position): boolean =>
  message.attempt === position.attempt && position.offset === message.content.length
