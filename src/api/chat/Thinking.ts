import { Schema } from "effect"
import { ThinkingLevel } from "../models/ModelsApi.ts"

const level = Schema.NullOr(ThinkingLevel).annotate({
  description: "One of the levels of the room's model (`GET /models`); null: the model's default."
})
const summaries = Schema.Boolean.annotate({ description: "Whether the model's summaries of its thoughts are shown." })

/** How a model thinks about its answers. */
export const Thinking = Schema.Struct({ level, summaries }).annotate({
  identifier: "Thinking",
  description: "How the model thinks before it answers."
})
export type Thinking = typeof Thinking.Type

export const ThinkingInput = Schema.Struct({
  level: Schema.optionalKey(level),
  summaries: Schema.optionalKey(summaries)
}).annotate({
  identifier: "ThinkingInput",
  description: "How the model thinks before it answers. An omitted member is unchanged."
})
export type ThinkingInput = typeof ThinkingInput.Type

export const defaultThinking: Thinking = { level: null, summaries: false }
