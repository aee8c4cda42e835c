import { ApiError } from "@google/genai"
import { Option, Schema } from "effect"
import type { TokenUsage } from "../api/chat/Message.ts"

/** Google leaves out what has no value; a gateway in front of it may write null. */
const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

const Part = Schema.Struct({ text: optional(Schema.String), thought: optional(Schema.Boolean) })
const Candidate = Schema.Struct({
  content: optional(Schema.Struct({ parts: optional(Schema.Array(Part)) })),
  finishReason: optional(Schema.String)
})

/** What is read of an event: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent */
const AnswerEvent = Schema.Struct({
  candidates: optional(Schema.Array(Candidate)),
  promptFeedback: optional(Schema.Struct({ blockReason: optional(Schema.String) })),
  usageMetadata: optional(
    Schema.Struct({
      promptTokenCount: optional(Schema.Finite),
      candidatesTokenCount: optional(Schema.Finite),
      thoughtsTokenCount: optional(Schema.Finite),
      cachedContentTokenCount: optional(Schema.Finite)
    })
  ),
  modelVersion: optional(Schema.String),
  error: optional(Schema.Struct({ code: optional(Schema.Finite) }))
})
export type AnswerEvent = typeof AnswerEvent.Type

const decode = Schema.decodeUnknownOption(AnswerEvent)
// Without the schema's own words, which would quote the answer in the log.
const unexpected = () => new Error("the event has an unexpected shape")

/** Reads one event. Throws the SDK's `ApiError` for an error that Google sends in mid-stream. */
export const parseEvent = (data: string): AnswerEvent => {
  const event = Option.getOrThrowWith(decode(JSON.parse(data)), unexpected)
  if (event.error) throw new ApiError({ message: data, status: event.error.code ?? 500 })
  return event
}

/** One piece of an answer: some text, and what else the model said with it. */
export interface AnswerDelta {
  readonly text: string
  readonly finishReason?: string | undefined
  /** The prompt itself was refused. */
  readonly blockReason?: string | undefined
  readonly usage?: TokenUsage | undefined
  readonly modelVersion?: string | undefined
}

export const toDelta = ({ candidates, modelVersion, promptFeedback, usageMetadata: usage }: AnswerEvent): AnswerDelta => {
  const candidate = candidates?.[0]
  // Thoughts are not part of the answer; their tokens are counted.
  const text = (candidate?.content?.parts ?? []).map((part) => (part.thought === true ? "" : (part.text ?? ""))).join("")
  return {
    // Characters that Postgres cannot store are removed here, so that the streamed text equals the stored one.
    text: text.replaceAll("\u0000", "").toWellFormed(),
    finishReason: candidate?.finishReason ?? undefined,
    blockReason: promptFeedback?.blockReason ?? undefined,
    modelVersion: modelVersion ?? undefined,
    usage: usage
      ? {
          promptTokens: usage.promptTokenCount ?? 0,
          replyTokens: usage.candidatesTokenCount ?? 0,
          thoughtTokens: usage.thoughtsTokenCount ?? 0,
          cachedTokens: usage.cachedContentTokenCount ?? 0
        }
      : undefined
  }
}
