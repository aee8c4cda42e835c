import { Schema } from "effect"
import { ids, times } from "../Examples.ts"
import { Count, Timestamp } from "../Schemas.ts"
import { MessageId } from "./Message.ts"

/** What a prompt has of a summary. */
export const PromptSummary = Schema.Struct({
  upTo: MessageId.annotate({ description: "The last message that it covers: this one and all before it on the branch." }),
  tokens: Count.annotate({ description: "An estimate." }),
  text: Schema.String
}).annotate({ identifier: "PromptSummary" })

export const exampleSummary = {
  upTo: MessageId.make(ids.reply),
  tokens: 22,
  text: "The user weaves. Decided: a loom of ash wood, at most 90 cm wide. Open: which yarn to begin with.",
  model: "gemini-3.5-flash-lite",
  createdAt: times.answered
}

/** The summary of a long room. */
export const RoomSummary = Schema.Struct({
  ...PromptSummary.fields,
  model: Schema.String.annotate({ description: "The model that wrote it." }),
  createdAt: Timestamp
}).annotate({
  identifier: "RoomSummary",
  description: "What a model has made of the part of a long room that a prompt has no place for.",
  examples: [exampleSummary]
})
export type RoomSummary = typeof RoomSummary.Type
