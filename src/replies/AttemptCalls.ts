import { v5 as uuid } from "uuid"
import type { TokenUsage } from "../api/chat/Message.ts"
import type { Tier } from "../api/auth/User.ts"
import type { AnswerDelta } from "../gemini/AnswerEvent.ts"
import { type HopGrounding, searchesOf } from "../gemini/Grounding.ts"
import type { CallCost, FinishedCall } from "../models/Prices.ts"
import { tokensOfBytes } from "../models/TokenEstimate.ts"

export type CallKind = "reply" | "title" | "summary"

/** A row of `model_calls`, by the names of its columns. */
export interface CallRow {
  readonly id: string
  readonly attempt: number
  readonly kind: CallKind
  readonly tier: Tier
  readonly model: string
  readonly model_version: string | null
  readonly prompt_tokens: number
  readonly cached_tokens: number
  readonly tool_tokens: number
  readonly reply_tokens: number
  readonly thought_tokens: number
  readonly searches: number
  readonly cost_micros: number | null
  readonly is_priced: boolean
  /** The model told no counts, or its process was lost before it could write them. */
  readonly is_estimated: boolean
}

/** The attempt that makes the calls. */
interface CallsOf {
  /** Of the reply, or of one job for a title or a summary: with the attempt, the ids of the calls are made of it. */
  readonly id: string
  readonly kind: CallKind
  readonly attempt: number
  readonly model: string
  readonly tier: Tier
}

interface Call {
  /** Milliseconds since 1970, by the database's clock. */
  readonly startedAt: number
  /** Whether the model has begun to answer: a request that it refuses costs nothing. */
  isAnswered: boolean
  usage: TokenUsage | null
  modelVersion: string | null
  grounding: ReadonlyArray<HopGrounding>
  bytes: number
  thoughtBytes: number
}

/** Any UUID: the ids of calls are made of it, so that a call that is written twice has one id. */
const namespace = "5d4f2a52-6f0e-4d2a-9d1d-3a1d0f6b7c10"

/** The calls of the model that one attempt at a reply makes, with what each has counted so far. */
export class AttemptCalls {
  /** Whether the ledger has them. */
  isRecorded = false
  private readonly calls: Array<Call> = []
  private readonly reply: CallsOf
  private readonly promptTokens: number

  /** `promptTokens` is an estimate, for calls that tell no counts. */
  constructor(reply: CallsOf, promptTokens: number) {
    this.reply = reply
    this.promptTokens = promptTokens
  }

  begin(startedAt: number): void {
    this.calls.push({ startedAt, isAnswered: false, usage: null, modelVersion: null, grounding: [], bytes: 0, thoughtBytes: 0 })
  }

  observe({ grounding, modelVersion, text, thought = "", usage }: AnswerDelta): void {
    const call = this.calls.at(-1)
    if (call === undefined) return
    call.isAnswered = true
    call.usage = usage ?? call.usage
    call.modelVersion = modelVersion ?? call.modelVersion
    call.grounding = grounding ?? call.grounding
    call.bytes += Buffer.byteLength(text)
    call.thoughtBytes += Buffer.byteLength(thought)
  }

  /** A call of the attempt before, whose process was lost when it had written so many bytes of text and of thoughts, which cost the same. */
  addLost(bytes: number, startedAt: number): void {
    this.calls.push({ startedAt, isAnswered: bytes > 0, usage: null, modelVersion: null, grounding: [], bytes, thoughtBytes: 0 })
  }

  /** The counts of the last call, null when it has told none. */
  get lastUsage(): TokenUsage | null {
    return this.calls.at(-1)?.usage ?? null
  }

  /** What the last call has said of its grounding. */
  get lastGrounding(): ReadonlyArray<HopGrounding> {
    return this.calls.at(-1)?.grounding ?? []
  }

  rows(costOf: (call: FinishedCall, startedAt: number) => CallCost): ReadonlyArray<CallRow> {
    const { attempt, id, kind, model, tier } = this.reply
    return this.calls.flatMap((call, index) => {
      if (!call.isAnswered) return []
      const estimate = {
        replyTokens: tokensOfBytes(call.bytes),
        thoughtTokens: tokensOfBytes(call.thoughtBytes),
        cachedTokens: 0,
        toolTokens: 0
      }
      const usage = call.usage ?? { promptTokens: this.promptTokens, ...estimate }
      const searches = searchesOf(call.grounding)
      const { costMicros, isPriced } = costOf({ model, modelVersion: call.modelVersion, usage, searches }, call.startedAt)
      return [
        {
          id: uuid(`${id}/${attempt}/${index}`, namespace),
          attempt,
          kind,
          tier,
          model,
          model_version: call.modelVersion,
          prompt_tokens: usage.promptTokens,
          cached_tokens: usage.cachedTokens,
          tool_tokens: usage.toolTokens,
          reply_tokens: usage.replyTokens,
          thought_tokens: usage.thoughtTokens,
          searches,
          cost_micros: costMicros,
          is_priced: isPriced,
          is_estimated: call.usage === null
        }
      ]
    })
  }
}
