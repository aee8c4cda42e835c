import { Schema } from "effect"
import { Model, SystemPrompt, Temperature } from "./Chatroom.ts"

/** What a question may set for its reply alone. An omitted setting is the room's. */
export const AskSettings = Schema.Struct({
  model: Schema.optionalKey(Model),
  temperature: Schema.optionalKey(Temperature),
  systemPrompt: Schema.optionalKey(SystemPrompt),
  maxOutputTokens: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })).annotate({
      description: "Tokens that the answer may have, thoughts included; at most those of the model for the user's tier."
    })
  )
}).annotate({
  identifier: "AskSettings",
  description: "Settings of this reply alone; an omitted one is the room's. Unknown ones are ignored.",
  examples: [{ model: "gemini-3.8-flash", temperature: 0.2 }]
})
export type AskSettings = typeof AskSettings.Type
