import { ApiError } from "@google/genai"
import { Option, Predicate, Schema } from "effect"
import type { TokenUsage } from "../api/chat/Message.ts"

/** Google leaves out what has no value; a gateway in front of it may write null. */
const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))

/** Read leniently below: an odd count or name must not cost the answer. */
const lenient = Schema.optionalKey(Schema.Unknown)

const Part = Schema.Struct({ text: optional(Schema.String), thought: optional(Schema.Boolean) })
const Candidate = Schema.Struct({
  content: optional(Schema.Struct({ parts: optional(Schema.Array(Part)) })),
  finishReason: lenient,
  continuationToken: lenient
})

/** What is read of an event: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent */
const AnswerEvent = Schema.Struct({
  candidates: optional(Schema.Array(Candidate)),
  promptFeedback: lenient,
  usageMetadata: lenient,
  modelVersion: lenient,
  error: lenient
})
export type AnswerEvent = typeof AnswerEvent.Type

const decode = Schema.decodeUnknownOption(AnswerEvent)
// Without the schema's own words, which would quote the answer in the log.
const unexpected = () => new Error("the event has an unexpected shape")

const member = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)

/** The largest value of the columns that hold counts. */
const maximumCount = 2 ** 31 - 1

/** A count that can be stored; undefined for anything else, as if Google had left it out. */
const countOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maximumCount ? value : undefined

/** A name that can be stored; undefined for anything else. */
const nameOf = (value: unknown): string | undefined =>
  typeof value === "string" && /^[\x20-\x7e]{1,200}$/.test(value) ? value : undefined

/** A token in base64, at most 64 KiB; undefined for anything else. */
const tokenOf = (value: unknown): string | undefined =>
  typeof value === "string" && /^[\w+/=-]{1,65536}$/.test(value) ? value : undefined

/** Reads one event. Throws the SDK's `ApiError` for an error that Google sends in mid-stream, also in a list of one. */
export const parseEvent = (data: string): AnswerEvent => {
  const value: unknown = JSON.parse(data)
  const event = Option.getOrThrowWith(decode(Array.isArray(value) && value.length === 1 ? value[0] : value), unexpected)
  if (Predicate.isObject(event.error)) {
    throw new ApiError({ message: data, status: countOf(member(event.error, "code")) ?? 500 })
  }
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
  /** With which the same request goes on. */
  readonly continuationToken?: string | undefined
}

export const toDelta = ({ candidates, modelVersion, promptFeedback, usageMetadata: usage }: AnswerEvent): AnswerDelta => {
  const candidate = candidates?.[0]
  // Thoughts are not part of the answer; their tokens are counted.
  const text = (candidate?.content?.parts ?? []).map((part) => (part.thought === true ? "" : (part.text ?? ""))).join("")
  return {
    // Characters that Postgres cannot store are removed here, so that the streamed text equals the stored one.
    text: text.replaceAll("\u0000", "").toWellFormed(),
    finishReason: nameOf(candidate?.finishReason),
    continuationToken: tokenOf(candidate?.continuationToken),
    blockReason: nameOf(member(promptFeedback, "blockReason")),
    modelVersion: nameOf(modelVersion),
    usage: Predicate.isObject(usage)
      ? {
          promptTokens: countOf(member(usage, "promptTokenCount")) ?? 0,
          replyTokens: countOf(member(usage, "candidatesTokenCount")) ?? 0,
          thoughtTokens: countOf(member(usage, "thoughtsTokenCount")) ?? 0,
          cachedTokens: countOf(member(usage, "cachedContentTokenCount")) ?? 0,
          toolTokens: countOf(member(usage, "toolUsePromptTokenCount")) ?? 0
        }
      : undefined
  }
}
