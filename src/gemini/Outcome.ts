import { Effect } from "effect"
import type { ErrorCode } from "../chat/Message.ts"
import type { Delta, TokenUsage } from "./Gemini.ts"
import { GeminiError } from "./GeminiError.ts"

/** How a reply ends. */
export interface Outcome {
  readonly status: "completed" | "failed" | "cancelled"
  /** Null keeps what the attempt has streamed so far. */
  readonly content: string | null
  readonly finishReason: string | null
  readonly truncated: boolean
  readonly error: { readonly code: ErrorCode; readonly message: string } | null
  readonly model: string | null
  readonly usage: TokenUsage | null
}

const messages: Record<ErrorCode, string> = {
  blocked: "The model's safety rules refused this question or its answer.",
  empty_response: "The model answered with nothing, twice.",
  max_tokens: "The model used up its tokens before it wrote anything.",
  model_misconfigured: "The model refuses our requests; the operator has been told.",
  model_quota_exhausted: "The model's quota for today is used up.",
  model_unavailable: "The model could not be reached; please ask again."
}

/** These reasons are the user's content, not a fault: https://ai.google.dev/api/generate-content#FinishReason */
const blockingReasons = new Set(["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST"])

/** A failure that is not the user's gives the unit of quota back. */
export const isRefunded = (outcome: Outcome): boolean => outcome.error !== null && outcome.error.code !== "blocked"

export const failed = (code: ErrorCode, from: Partial<Outcome> = {}): Outcome => ({
  content: "",
  finishReason: null,
  truncated: false,
  model: null,
  usage: null,
  ...from,
  status: "failed",
  error: { code, message: messages[code] }
})

/** The user stopped it: what was written stays. */
export const cancelled = (content: string | null, model: string | null): Outcome => ({
  status: "cancelled",
  content,
  finishReason: null,
  truncated: false,
  error: null,
  model,
  usage: null
})

/** What an answer's deltas add up to. */
export interface Answer {
  readonly text: string
  readonly finishReason: string | null
  readonly blockReason: string | null
  readonly usage: TokenUsage | null
  readonly model: string | null
}

export const nothing: Answer = { text: "", finishReason: null, blockReason: null, usage: null, model: null }

export const add = (answer: Answer, delta: Delta): Answer => ({
  text: answer.text + delta.text,
  finishReason: delta.finishReason ?? answer.finishReason,
  blockReason: delta.blockReason ?? answer.blockReason,
  usage: delta.usage ?? answer.usage,
  model: delta.modelVersion ?? answer.model
})

/**
 * The contract's "When Gemini refuses or breaks". An answer without a finish reason was cut off and one with an
 * unknown reason is not understood: both are failures that may pass. `undefined` is an empty STOP.
 */
export const outcomeOf = (answer: Answer): Effect.Effect<Outcome | undefined, GeminiError> => {
  const { blockReason, finishReason, model, text, usage } = answer
  const base = { finishReason: finishReason ?? blockReason, model, usage }
  if (blockReason !== null || blockingReasons.has(finishReason ?? "")) return Effect.succeed(failed("blocked", base))
  if (finishReason === "MAX_TOKENS" && text === "") return Effect.succeed(failed("max_tokens", base))
  if (finishReason === "STOP" || finishReason === "MAX_TOKENS") {
    if (text === "") return Effect.undefined
    return Effect.succeed({ ...base, status: "completed", content: text, truncated: finishReason === "MAX_TOKENS", error: null })
  }
  const detail = finishReason === null ? "the answer was cut off" : `finish reason ${finishReason}`
  return Effect.fail(new GeminiError({ kind: "unavailable", detail }))
}
