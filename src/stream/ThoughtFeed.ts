import { event } from "../api/chat/StreamEvents.ts"
import type { LiveText } from "./LiveText.ts"

type WriteThought = (text: string, offset: number) => string

const writeThought: WriteThought = (text, offset) => event("thought", { text, offset })

/**
 * The `thought` events that one client gets next. They have no id, so what the client has is unknown at first: a new
 * connection gets all thoughts of the attempt, and one that may have those of an earlier attempt loses them first.
 */
export class ThoughtFeed {
  /** The attempt whose thoughts the client has, or may have. */
  private attempt: number
  private offset = 0
  private hasSent = false
  private readonly write: WriteThought

  constructor(attempt: number, write: WriteThought = writeThought) {
    this.attempt = attempt
    this.write = write
  }

  /** What replaces all thoughts that the client has. */
  private whole(text: string): string {
    return text === "" ? "" : this.write(text, 0)
  }

  private voided(): string {
    return this.write("", 0)
  }

  /** To be sent before the first text or thought of an attempt: thoughts of an earlier one are void. */
  begin(attempt: number): string {
    if (attempt <= this.attempt) return ""
    const mayHave = this.attempt > 0 || attempt > 1
    this.attempt = attempt
    this.offset = 0
    this.hasSent = true
    return mayHave ? this.voided() : ""
  }

  /** Running thoughts from the client's position on; undefined when those before them are missing. */
  append(live: LiveText): string | undefined {
    if (live.attempt < this.attempt || live.text === "") return ""
    const reached = live.attempt === this.attempt ? this.offset : 0
    if (live.start > reached) return undefined
    const begun = this.begin(live.attempt)
    const text = live.text.slice(reached - live.start)
    if (text === "") return begun
    this.offset = reached + text.length
    this.hasSent = true
    return begun + this.write(text, reached)
  }

  /** Brings the client to the thoughts of a reply that has ended. */
  end(attempt: number, thoughts: string): string {
    const before = this.offset
    const isFirst = !this.hasSent
    const begun = this.begin(attempt)
    this.attempt = attempt
    this.offset = thoughts.length
    this.hasSent = true
    if (begun !== "") return begun + this.whole(thoughts)
    if (isFirst) return thoughts === "" ? this.voided() : this.whole(thoughts)
    if (before > thoughts.length) return this.voided() + this.whole(thoughts)
    return before === thoughts.length ? "" : this.write(thoughts.slice(before), before)
  }
}
