import { writeChunk, streamEnd } from "../api/aisdk/UiChunk.ts"
import type { UiMetadata } from "../api/aisdk/UiMessage.ts"
import { hasEnded, type Message } from "../api/chat/Message.ts"
import type { ReplyEventData } from "../api/chat/StreamEvents.ts"
import type { MessageState } from "../chat/Messages.ts"
import type { LiveText } from "../stream/LiveText.ts"
import { type Feed, type Progress, ReplyFeed, type StreamView } from "../stream/ReplyFeed.ts"
import { endOf, sourcePart } from "./UiMessages.ts"

/**
 * A reply as chunks of the AI SDK: what `ReplyFeed` says, in the SDK's words. The parts of a message belong to one attempt:
 * those of an earlier attempt are removed (`reset-step`) before the first text or thought of the next one.
 */
export class UiFeed implements Feed {
  private readonly feed = new ReplyFeed(undefined, (data) => this.write(data))
  /** The newest known attempt, which all events are about. */
  private newest = 0
  /** The attempt whose parts the client has. */
  private attempt = 0
  private hasParts = false
  private hasText = false
  /** UTF-16 units of the attempt's thoughts that the client has. */
  private thoughtUnits = 0
  /** Parts so far, of all attempts: their ids. */
  private parts = 0
  private openText: string | undefined
  private openThought: string | undefined

  next(live: LiveText | undefined, state: MessageState, thoughts?: LiveText): Progress {
    const { message } = state
    this.newest = hasEnded(message) ? message.attempt : Math.max(live?.attempt ?? 0, thoughts?.attempt ?? 0, message.attempt)
    const isOld = live !== undefined && live.attempt < this.newest
    return this.feed.next(isOld ? undefined : live, state, thoughts)
  }

  private write(data: ReplyEventData): string {
    switch (data.type) {
      case "status": {
        const { attempt, retryAt, status } = data
        const shown = { status, attempt, ...(retryAt === undefined ? {} : { retryAt }) }
        return writeChunk({ type: "data-status", data: shown, transient: true })
      }
      case "title":
        return writeChunk({ type: "data-title", data: { title: data.title }, transient: true })
      case "thought":
        return this.renew() + this.think(data.text, data.offset)
      case "delta":
        return this.renew() + this.append(data.text)
      case "replace":
        return this.renew() + (this.hasText ? this.reset() : "") + this.append(data.text)
      case "usage": {
        const { type: _, ...usage } = data
        return writeChunk({ type: "message-metadata", messageMetadata: { usage } })
      }
      case "sources":
        return data.sources.map((source, index) => writeChunk(sourcePart(source, index))).join("")
      default:
        return this.end(data)
    }
  }

  /** Removes the parts of an earlier attempt. */
  private renew(): string {
    if (this.newest === this.attempt) return ""
    this.attempt = this.newest
    return this.reset()
  }

  private reset(): string {
    const hadParts = this.hasParts
    this.hasParts = false
    this.hasText = false
    this.thoughtUnits = 0
    this.openText = undefined
    this.openThought = undefined
    return hadParts ? writeChunk({ type: "reset-step" }) : ""
  }

  private newPart(kind: "text" | "reasoning"): string {
    this.hasParts = true
    return `${kind}-${++this.parts}`
  }

  private append(text: string): string {
    if (text === "") return ""
    this.hasText = true
    const before = this.closeThought()
    const id = this.openText ?? this.newPart("text")
    const start = this.openText === undefined ? writeChunk({ type: "text-start", id }) : ""
    this.openText = id
    return before + start + writeChunk({ type: "text-delta", id, delta: text })
  }

  /** Thoughts that do not follow those before them are a shorter form of these; the client keeps what it has. */
  private think(text: string, offset: number): string {
    if (text === "" || offset !== this.thoughtUnits) return ""
    this.thoughtUnits += text.length
    const id = this.openThought ?? this.newPart("reasoning")
    const start = this.openThought === undefined ? writeChunk({ type: "reasoning-start", id }) : ""
    this.openThought = id
    return start + writeChunk({ type: "reasoning-delta", id, delta: text })
  }

  private closeThought(): string {
    const id = this.openThought
    this.openThought = undefined
    return id === undefined ? "" : writeChunk({ type: "reasoning-end", id })
  }

  private closeText(): string {
    const id = this.openText
    this.openText = undefined
    return id === undefined ? "" : writeChunk({ type: "text-end", id })
  }

  private end(message: Extract<ReplyEventData, { readonly type: "completed" | "failed" | "cancelled" }>): string {
    const closed = this.closeThought() + this.closeText()
    const messageMetadata = endOf(message)
    const step = writeChunk({ type: "finish-step" })
    const metadata = writeChunk({ type: "message-metadata", messageMetadata })
    switch (message.type) {
      case "completed": {
        const finishReason = message.truncated ? "length" : "stop"
        return closed + step + writeChunk({ type: "finish", finishReason, messageMetadata }) + streamEnd
      }
      case "cancelled":
        return closed + metadata + step + writeChunk({ type: "abort", reason: "cancelled" }) + streamEnd
      case "failed": {
        const isBlocked = message.error?.code === "blocked"
        const finish = isBlocked ? writeChunk({ type: "finish", finishReason: "content-filter", messageMetadata }) : metadata
        // The SDK reads nothing after an error.
        const error = writeChunk({ type: "error", errorText: message.error?.message ?? "The reply failed" })
        return closed + step + finish + error + streamEnd
      }
    }
  }
}

/** What a client gets when its stream ends before the reply: the SDK would take a mere end for the end of the reply. */
const dismissal = () => writeChunk({ type: "error", errorText: "The connection ended before the reply did. Resume the stream." })

/** A reply from its start, with what its `start` says besides. */
export const uiView = (reply: Message, metadata: UiMetadata): StreamView => ({
  opening: writeChunk({ type: "start", messageId: reply.id, messageMetadata: metadata }) + writeChunk({ type: "start-step" }),
  feed: new UiFeed(),
  dismissal
})
