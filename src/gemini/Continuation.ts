import type { TokenUsage } from "../api/chat/Message.ts"
import type { AnswerDelta, EventDelta } from "./AnswerEvent.ts"
import type { HopGrounding } from "./Grounding.ts"

/** Requests that one answer may take. */
const maximumHops = 8
/** Requests in a row that may bring neither text nor a new token. */
const maximumReconnects = 3

const addUsage = (one: TokenUsage, other: TokenUsage): TokenUsage => ({
  promptTokens: one.promptTokens + other.promptTokens,
  replyTokens: one.replyTokens + other.replyTokens,
  thoughtTokens: one.thoughtTokens + other.thoughtTokens,
  cachedTokens: one.cachedTokens + other.cachedTokens,
  toolTokens: one.toolTokens + other.toolTokens
})

/**
 * An answer over several requests ("hops"). Google ends a long answer with the finish reason `CONTINUATION` and a token,
 * and goes on with it when the same request comes again with that token:
 * https://ai.google.dev/api/generate-content#Candidate. The rules are those of the SDK's own continuation, which is off
 * because it knows neither the lease nor a bound.
 *
 * Every hop counts its own tokens, the prompt included, and is billed for them: the answer's usage is the sum.
 */
export class Continuation {
  /** The token that the next request is sent with. */
  token: string | undefined
  private hops = 0
  private reconnects = 0
  private earlier: TokenUsage | undefined
  private usage: TokenUsage | undefined
  /** UTF-16 units of the answer so far, and where the hop began. */
  private units = 0
  private hopStart = 0
  private readonly grounding: Array<HopGrounding> = []
  private newToken: string | undefined
  private finishReason: string | undefined
  private isBlocked = false
  private hasText = false
  private hasTextSinceToken = false

  startHop(): void {
    this.hops++
    this.earlier = this.usage
    this.hopStart = this.units
    this.grounding.push({ textStart: this.hopStart })
    this.newToken = undefined
    this.finishReason = undefined
    this.hasText = false
    this.hasTextSinceToken = false
  }

  /** Notes a piece of the hop, and returns it as a piece of the whole answer. */
  observe({ continuationToken, grounding, ...delta }: EventDelta): AnswerDelta {
    this.units += delta.text.length
    // A stream repeats its metadata, and adds to it: the newest of each member counts.
    if (grounding !== undefined) this.grounding.push({ ...this.grounding.pop(), ...grounding, textStart: this.hopStart })
    // Thoughts, too, would come again.
    if (delta.text !== "" || delta.thought !== undefined) this.hasText = this.hasTextSinceToken = true
    if (continuationToken !== undefined && continuationToken !== this.token) {
      this.newToken = continuationToken
      this.hasTextSinceToken = false
    }
    if (delta.usage !== undefined) this.usage = this.earlier === undefined ? delta.usage : addUsage(this.earlier, delta.usage)
    this.finishReason = delta.finishReason ?? this.finishReason
    this.isBlocked ||= delta.blockReason !== undefined
    const { finishReason: _, ...unfinished } = delta
    return {
      ...(this.goesOn ? unfinished : delta),
      ...(delta.usage === undefined ? {} : { usage: this.usage }),
      ...(grounding === undefined ? {} : { grounding: [...this.grounding] })
    }
  }

  /** Whether the hop has a finish reason, so that it did not break off. */
  get isFinished(): boolean {
    return this.finishReason !== undefined || this.isBlocked
  }

  /** Whether another hop follows: it ended with a new token, or broke off where it can go on. */
  endHop(): boolean {
    if (this.hops >= maximumHops) return false
    if (this.goesOn) return this.resumeFrom(this.newToken, 0)
    if (this.isFinished) return false
    // Text since the last token would come again: that is a new attempt.
    if (this.newToken !== undefined && !this.hasTextSinceToken) return this.resumeFrom(this.newToken, 0)
    if (this.token === undefined || this.hasText || this.reconnects >= maximumReconnects) return false
    return this.resumeFrom(this.token, this.reconnects + 1)
  }

  private get goesOn(): boolean {
    return this.finishReason === "CONTINUATION" && this.newToken !== undefined && this.hops < maximumHops
  }

  private resumeFrom(token: string | undefined, reconnects: number): true {
    this.token = token
    this.reconnects = reconnects
    return true
  }
}
