import type { Message } from "../api/chat/Message.ts"
import type { ChatCompletion, CompletionUsage, FinishReason } from "../api/openai/Completion.ts"
import {
  CompletionFailed,
  CompletionUnavailable,
  type ErrorBody,
  ModelExhausted,
  RejectedByModel
} from "../api/openai/CompletionErrors.ts"
import type { ChunkHead } from "./CompletionFeed.ts"
import { errorOf } from "./ErrorResponse.ts"

/** How an answer has ended for OpenAI's clients; undefined when it has failed. */
export const finishOf = ({ error, status, truncated }: Message): FinishReason | undefined => {
  if (status === "completed") return truncated ? "length" : "stop"
  if (error?.code === "blocked") return "content_filter"
  return error?.code === "max_tokens" ? "length" : undefined
}

export const usageOf = ({ usage }: Message): CompletionUsage => {
  const { cachedTokens, promptTokens, replyTokens, thoughtTokens, toolTokens } = usage ?? noUsage
  const prompt = promptTokens + toolTokens
  const completion = replyTokens + thoughtTokens
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: { reasoning_tokens: thoughtTokens }
  }
}
const noUsage = { promptTokens: 0, replyTokens: 0, thoughtTokens: 0, cachedTokens: 0, toolTokens: 0 }

export const completionOf = ({ created, id, model }: ChunkHead, message: Message, finish: FinishReason): ChatCompletion => ({
  id,
  object: "chat.completion",
  created,
  model,
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: message.content, refusal: null },
      logprobs: null,
      finish_reason: finish
    }
  ],
  usage: usageOf(message)
})

/** Seconds after which a failed answer is worth another try. */
const retrySoon = 1

/** Why an answer has failed; `over_budget` when the day's budget was used up while it was made. */
export const failureOf = ({ error }: Message) => {
  const detail = error?.message ?? "The answer was cancelled"
  switch (error?.code) {
    case "budget_exceeded":
      return "over_budget" as const
    case "schema_rejected":
      return new RejectedByModel({ detail, param: "response_format" })
    case "attachment_rejected":
      return new RejectedByModel({ detail, param: "messages" })
    case "model_quota_exhausted":
      return new ModelExhausted({ detail, retryAfter: retrySoon })
    case "model_unavailable":
    case "moderation_unavailable":
      return new CompletionUnavailable({ detail, retryAfter: retrySoon })
    default:
      return new CompletionFailed({ detail })
  }
}

/** The same as the last event of a stream. */
export const errorOfEnded = (message: Message): ErrorBody => {
  const failure = failureOf(message)
  return errorOf(failure === "over_budget" ? { status: 429, code: "budget_exceeded", detail: message.error?.message } : failure)
}
