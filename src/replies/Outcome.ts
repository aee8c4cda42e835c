import { Effect } from "effect"
import type { Grounding } from "../api/chat/Grounding.ts"
import type { BlockDetail, ErrorCode, TokenUsage } from "../api/chat/Message.ts"
import type { ResponseFormat } from "../api/chat/Settings.ts"
import type { AnswerDelta } from "../gemini/AnswerEvent.ts"
import type { AnswerEnd as CallEnd } from "../gemini/Gemini.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import { isOutput } from "../models/JsonOutput.ts"

/** How an answer ended; `full` when its text reached the limit and the call was ended. */
export type AnswerEnd = CallEnd | "full"

/** How a reply ends. */
export interface Outcome {
  readonly status: "completed" | "failed" | "cancelled"
  /** Null keeps what the attempt has streamed so far. */
  readonly content: string | null
  readonly finishReason: string | null
  readonly truncated: boolean
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly detail?: BlockDetail | undefined } | null
  readonly model: string | null
  readonly usage: TokenUsage | null
  /** The answer in JSON, when that was asked for and it fits. */
  readonly output?: string | null | undefined
  /** Summaries of the model's thoughts about the text that is kept. */
  readonly thoughts?: string | null | undefined
  /** What the answer relies on, when it was made with tools. */
  readonly grounding?: Grounding | undefined
}

const messages: Record<ErrorCode, string> = {
  attachment_rejected: "The model cannot read one of the files.",
  blocked: "Safety rules refused this question or its answer.",
  budget_exceeded: "The budget for today was used up before the reply was complete.",
  empty_response: "The model gave an empty answer twice.",
  invalid_output: "The model's answer was not JSON that fits the schema, twice.",
  max_tokens: "The model used all its tokens before it wrote any text.",
  model_misconfigured: "The model rejects our requests; the operator has been alerted.",
  model_quota_exhausted: "The model's quota for today is used up.",
  model_stopped: "The model stopped before it had finished, twice.",
  moderation_unavailable: "The question could not be checked; please ask again.",
  model_unavailable: "The model could not be reached; please ask again.",
  schema_rejected: "The model rejects this schema; a simpler one may work."
}

/** These reasons are about the user's content, not faults: https://ai.google.dev/api/generate-content#FinishReason */
const blockingReasons = new Set(["SAFETY", "RECITATION", "PROHIBITED_CONTENT", "SPII", "BLOCKLIST", "MODEL_ARMOR"])
/** Also reasons that Google is yet to add, such as IMAGE_SAFETY. */
const isBlocking = (reason: string): boolean => blockingReasons.has(reason) || /SAFETY|PROHIBITED|RECITATION|BLOCK/.test(reason)

/** A failed reply refunds its unit of quota, unless it is blocked: that is about the user's content. */
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

/** The question or its answer may not be: `from` says what is known of the answer. */
const blocked = (detail: BlockDetail, from: Partial<Outcome> = {}): Outcome => ({
  ...failed("blocked", from),
  error: { code: "blocked", message: messages.blocked, detail }
})

/** Moderation has refused the question. */
export const refused = (category: string | null): Outcome =>
  blocked({ reason: "MODERATION", about: "question", categories: category === null ? [] : [category] })

/**
 * The outcome of an answer in this format: one whose text is complete is parsed and checked. The text that does not fit
 * is kept.
 */
export const withOutput = (outcome: Outcome, format: ResponseFormat | undefined): Outcome => {
  if (format?.type !== "json" || outcome.status !== "completed" || outcome.truncated) return outcome
  const text = outcome.content ?? ""
  return isOutput(text, format.schema) ? { ...outcome, output: text } : failed("invalid_output", outcome)
}

/** The outcome with the thoughts that led to its text; a reply whose text is discarded has none. */
export const withThoughts = (outcome: Outcome, thoughts: string | null): Outcome =>
  outcome.status === "completed" ? { ...outcome, thoughts } : outcome

/** The user stopped it: what was written stays. */
export const cancelled = (
  content: string | null,
  model: string | null,
  usage: TokenUsage | null = null,
  thoughts: string | null = null
): Outcome => ({
  status: "cancelled",
  content,
  finishReason: null,
  truncated: false,
  error: null,
  model,
  usage,
  thoughts
})

/** What the model has answered: the sum of its deltas. */
export interface ModelAnswer {
  readonly text: string
  readonly finishReason: string | null
  readonly blockReason: string | null
  readonly blockedCategories: ReadonlyArray<string>
  readonly usage: TokenUsage | null
  readonly model: string | null
}

export const emptyAnswer: ModelAnswer = {
  text: "",
  finishReason: null,
  blockReason: null,
  blockedCategories: [],
  usage: null,
  model: null
}

export const appendDelta = (answer: ModelAnswer, delta: AnswerDelta): ModelAnswer => ({
  text: answer.text + delta.text,
  finishReason: delta.finishReason ?? answer.finishReason,
  blockReason: delta.blockReason ?? answer.blockReason,
  blockedCategories: delta.blockedCategories ?? answer.blockedCategories,
  usage: delta.usage ?? answer.usage,
  model: delta.modelVersion ?? answer.model
})

/**
 * How a reply with this answer ends; undefined for an empty answer, which is worth asking again. An answer without a
 * finish reason was cut off, which is transient. One with another reason (`LANGUAGE`, `OTHER`) cannot be judged and
 * seldom ends otherwise the next time: it is worth one more attempt. `CONTINUATION` is left of an answer that took as
 * many requests as one may.
 */
export const outcomeOf = (answer: ModelAnswer, end: AnswerEnd): Effect.Effect<Outcome | undefined, GeminiError> => {
  const { blockReason, blockedCategories: categories, finishReason, model, text, usage } = answer
  const base = { finishReason: finishReason ?? blockReason, model, usage }
  if (blockReason !== null) return Effect.succeed(blocked({ reason: blockReason, about: "question", categories }, base))
  if (finishReason !== null && isBlocking(finishReason)) {
    return Effect.succeed(blocked({ reason: finishReason, about: "answer", categories }, base))
  }
  if (end === "full") return Effect.succeed({ ...base, status: "completed", content: text, truncated: true, error: null })
  if (finishReason === "MAX_TOKENS" && text === "") return Effect.succeed(failed("max_tokens", base))
  if (finishReason === "STOP" || finishReason === "MAX_TOKENS" || (finishReason === "CONTINUATION" && text !== "")) {
    if (text === "") return Effect.undefined
    return Effect.succeed({
      ...base,
      status: "completed",
      content: text,
      truncated: finishReason !== "STOP" || end === "given_up",
      error: null
    })
  }
  return Effect.fail(
    finishReason === null
      ? new GeminiError({ kind: "unavailable", detail: "the answer was cut off" })
      : new GeminiError({ kind: "stopped", detail: `finish reason ${finishReason}`, finishReason, maximumAttempts: 2 })
  )
}
