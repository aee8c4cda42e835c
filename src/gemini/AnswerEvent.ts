import { ApiError } from "@google/genai"
import { Predicate } from "effect"
import type { TokenUsage } from "../api/chat/Message.ts"
import { type GroundingMetadata, type HopGrounding, readGrounding } from "./Grounding.ts"

/**
 * An event: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent. A member of another type than
 * documented is read as absent, because it must not cost the answer.
 */
export type AnswerEvent = object

export const member = (value: unknown, name: string): unknown => (Predicate.hasProperty(value, name) ? value[name] : undefined)

const isAbsent = (value: unknown): boolean => value === undefined || value === null

/**
 * A candidate's text, and its thoughts, which are not part of the answer. Signatures of thoughts, which may come in a part
 * with an empty text, are needed for function calls alone and are ignored.
 */
const textOf = (candidate: unknown) => {
  const content = member(candidate, "content")
  const parts = member(content, "parts")
  let text = ""
  let thought = ""
  let isOdd = !(isAbsent(content) || Predicate.isObject(content)) || !(isAbsent(parts) || Array.isArray(parts))
  for (const part of Array.isArray(parts) ? parts : []) {
    const piece = member(part, "text")
    if (typeof piece === "string") {
      if (member(part, "thought") === true) thought += piece
      else text += piece
    } else isOdd ||= !isAbsent(piece)
  }
  return { text, thought, isOdd }
}

/** The largest value of the columns that hold counts. */
const maximumCount = 2 ** 31 - 1

/** A count that can be stored; undefined for anything else, as if Google had left it out. */
const countOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maximumCount ? value : undefined

/** A name that can be stored; undefined for anything else. */
export const nameOf = (value: unknown): string | undefined =>
  typeof value === "string" && /^[\x20-\x7e]{1,200}$/.test(value) ? value : undefined

/** A reason; undefined for the value that stands for none in protobuf (`FINISH_REASON_UNSPECIFIED`). */
const reasonOf = (value: unknown): string | undefined => {
  const name = nameOf(value)
  return name?.endsWith("_UNSPECIFIED") === true ? undefined : name
}

/** A token in base64, at most 64 KiB; undefined for anything else. */
const tokenOf = (value: unknown): string | undefined =>
  typeof value === "string" && /^[\w+/=-]{1,65536}$/.test(value) ? value : undefined

const maximumCategories = 16

/** The categories whose rating says `blocked`; undefined when there are none, as in all but the last event. */
const blockedCategoriesOf = (ratings: unknown): ReadonlyArray<string> | undefined => {
  if (!Array.isArray(ratings)) return undefined
  const blocked = ratings.slice(0, 100).filter((rating) => member(rating, "blocked") === true)
  const names = blocked.flatMap((rating) => nameOf(member(rating, "category")) ?? [])
  return names.length === 0 ? undefined : [...new Set(names)].slice(0, maximumCategories)
}

/** Reads one event. Throws the SDK's `ApiError` for an error that Google sends in mid-stream, also in a list of one. */
export const parseEvent = (data: string): AnswerEvent => {
  const value: unknown = JSON.parse(data)
  const event: unknown = Array.isArray(value) && value.length === 1 ? value[0] : value
  if (!Predicate.isObject(event)) throw new Error("the event is not an object")
  const error = member(event, "error")
  if (Predicate.isObject(error)) throw new ApiError({ message: data, status: countOf(member(error, "code")) ?? 500 })
  return event
}

/** An event, read: some text, and what else the model said with it. */
export interface EventDelta {
  readonly text: string
  /** A summary of the model's thoughts. */
  readonly thought?: string | undefined
  readonly finishReason?: string | undefined
  /** The prompt itself was refused. */
  readonly blockReason?: string | undefined
  /** Categories of harm for which the prompt or the answer was blocked. */
  readonly blockedCategories?: ReadonlyArray<string> | undefined
  readonly usage?: TokenUsage | undefined
  readonly modelVersion?: string | undefined
  /** With which the same request goes on. */
  readonly continuationToken?: string | undefined
  readonly grounding?: GroundingMetadata | undefined
}

/** One piece of an answer. */
export interface AnswerDelta extends Omit<EventDelta, "continuationToken" | "grounding"> {
  /** All that the answer has said of its grounding so far, by request. */
  readonly grounding?: ReadonlyArray<HopGrounding> | undefined
}

const storable = (text: string): string => text.replaceAll("\u0000", "").toWellFormed()

/** Throws when the event has a text that cannot be read, and nothing else of use. */
export const toDelta = (event: AnswerEvent): EventDelta => {
  const candidates = member(event, "candidates")
  const candidate: unknown = Array.isArray(candidates) ? candidates[0] : undefined
  const { isOdd, text, thought } = textOf(candidate)
  const finishReason = reasonOf(member(candidate, "finishReason"))
  // Text may be lost. The message does not quote the event, whose text is private.
  if ((isOdd || !(isAbsent(candidates) || Array.isArray(candidates))) && text === "" && finishReason === undefined) {
    throw new Error("the event has an unexpected shape")
  }
  const usage = member(event, "usageMetadata")
  const feedback = member(event, "promptFeedback")
  return {
    // Characters that Postgres cannot store are removed here, so that the streamed text equals the stored one.
    text: storable(text),
    ...(thought === "" ? {} : { thought: storable(thought) }),
    finishReason,
    continuationToken: tokenOf(member(candidate, "continuationToken")),
    blockReason: reasonOf(member(feedback, "blockReason")),
    blockedCategories:
      blockedCategoriesOf(member(feedback, "safetyRatings")) ?? blockedCategoriesOf(member(candidate, "safetyRatings")),
    grounding: readGrounding(candidate),
    modelVersion: nameOf(member(event, "modelVersion")),
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
