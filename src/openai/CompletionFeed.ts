import { hasEnded, type Message } from "../api/chat/Message.ts"
import type { ChatCompletionChunk, FinishReason } from "../api/openai/Completion.ts"
import type { ErrorBody } from "../api/openai/CompletionErrors.ts"
import type { MessageState } from "../chat/Messages.ts"
import type { LiveText } from "../stream/LiveText.ts"
import type { Feed, Progress } from "../stream/ReplyFeed.ts"
import { errorOfEnded, finishOf, usageOf } from "./Ending.ts"

/** What all chunks of an answer have in common. */
export interface ChunkHead {
  readonly id: string
  readonly created: number
  readonly model: string
}

type Delta = ChatCompletionChunk["choices"][number]["delta"]

const done = "data: [DONE]\n\n"
const dataOf = (value: ChatCompletionChunk | ErrorBody): string => `data: ${JSON.stringify(value)}\n\n`

/** A new attempt wrote another text than the one that the client has read, so that no continuation is right. */
const restarted: ErrorBody = {
  error: {
    message: "The answer was started over and differs from what was streamed. Repeat the request.",
    type: "server_error",
    param: null,
    code: "restarted"
  }
}

/** How an answer ends that has failed, and nothing of which was sent. */
export type Ended = { readonly message: Message } | "dismissed"

/**
 * A reply as the chunks of one client of OpenAI's API, which cannot take back text. What a new attempt writes is held back
 * while it repeats what the client has read; when it differs, an error ends the stream. Nothing is written before the first
 * text, so that a failure before it can be a refusal with a status.
 */
export class CompletionFeed implements Feed {
  /** Set when the reply has ended before anything was written, or the stream was dismissed before. */
  ended: Ended | undefined
  /** Whether the reply has ended: there is nothing to cancel when the client disconnects. */
  hasReplyEnded = false
  private readonly head: ChunkHead
  private readonly includeUsage: boolean
  private hasBegun = false
  private hasRole = false
  /** The text that the client has. */
  private told = ""
  private attempt = 0
  /** UTF-16 units of the attempt's text that equal what was told. */
  private matched = 0

  constructor(head: ChunkHead, includeUsage: boolean) {
    this.head = head
    this.includeUsage = includeUsage
  }

  /** From now on there is a response: what happens is told in events. */
  begin(): void {
    this.hasBegun = true
  }

  next(live: LiveText | undefined, { message }: MessageState): Progress {
    if (hasEnded(message)) return this.end(message)
    const progress = this.follow(live)
    const text = this.hasBegun ? this.role() + progress.text : progress.text
    return { ...progress, text }
  }

  /** The last event of a stream that the server ends before the reply. */
  dismiss(error: ErrorBody): string {
    if (!this.hasBegun) {
      this.ended ??= "dismissed"
      return ""
    }
    return this.over(dataOf(error)).text
  }

  private follow(live: LiveText | undefined): Progress {
    if (live === undefined || live.attempt < this.attempt || live.attempt === 0) return { text: "", ended: false, gap: false }
    if (live.attempt > this.attempt) {
      this.attempt = live.attempt
      this.matched = 0
    }
    if (live.start > this.matched) return { text: "", ended: false, gap: true }
    const text = this.tell(live.text.slice(this.matched - live.start))
    return text === undefined ? this.over(dataOf(restarted)) : { text, ended: false, gap: false }
  }

  /** The chunk of what a text adds to what was told; undefined when it differs from it. */
  private tell(text: string): string | undefined {
    const known = this.told.slice(this.matched, this.matched + text.length)
    if (!text.startsWith(known)) return undefined
    this.matched += text.length
    const added = text.slice(known.length)
    if (added === "") return ""
    this.told += added
    this.hasBegun = true
    return this.role() + this.chunk({ content: added })
  }

  private end(message: Message): Progress {
    this.hasReplyEnded = true
    const finish = finishOf(message)
    if (finish === undefined) {
      if (this.hasBegun) return this.over(dataOf(errorOfEnded(message)))
      this.ended = { message }
      return { text: "", ended: true, gap: false }
    }
    this.hasBegun = true
    this.matched = 0
    // A failed reply has no text of its own.
    if (message.status !== "completed") return this.over(this.role() + this.finish(finish, message))
    const text = this.tell(message.content)
    const isWhole = text !== undefined && this.matched === this.told.length
    return this.over(isWhole ? this.role() + text + this.finish(finish, message) : dataOf(restarted))
  }

  private finish(finish: FinishReason, message: Message): string {
    const usage = this.includeUsage ? dataOf({ ...this.frame(), choices: [], usage: usageOf(message) }) : ""
    return this.chunk({}, finish) + usage
  }

  private over(text: string): Progress {
    return { text: text + done, ended: true, gap: false }
  }

  /** The first chunk, once. */
  private role(): string {
    if (this.hasRole) return ""
    this.hasRole = true
    return this.chunk({ role: "assistant", content: "" })
  }

  private frame() {
    return { id: this.head.id, object: "chat.completion.chunk" as const, created: this.head.created, model: this.head.model }
  }

  private chunk(delta: Delta, finish: FinishReason | null = null): string {
    const choices = [{ index: 0 as const, delta, logprobs: null, finish_reason: finish }]
    return dataOf({ ...this.frame(), choices, ...(this.includeUsage ? { usage: null } : {}) })
  }
}

/** A reply that is told as a whole: nothing is written before it has ended. */
export class WholeFeed implements Feed {
  ended: Ended | undefined
  hasReplyEnded = false

  next(_: LiveText | undefined, { message }: MessageState): Progress {
    if (!hasEnded(message)) return { text: "", ended: false, gap: false }
    this.ended = { message }
    this.hasReplyEnded = true
    return { text: "", ended: true, gap: false }
  }

  dismiss(): string {
    this.ended ??= "dismissed"
    return ""
  }
}
