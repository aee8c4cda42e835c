import { Schema } from "effect"
import { Model, SystemPrompt, Temperature, Tools } from "./Chatroom.ts"
import { ThinkingInput } from "./Thinking.ts"

/** The form of an answer. A schema comes with `json` alone; src/models bounds what it may contain. */
export const ResponseFormat = Schema.Struct({
  type: Schema.Literals(["text", "json"]),
  schema: Schema.optionalKey(
    Schema.Record(Schema.String, Schema.Unknown).annotate({
      description:
        "A JSON Schema (2020-12) that the answer fits, with `object` or `array` at the root: at most 16 KiB, 10 nested schemas, and 900 as the sum of `maxItems`. Keywords: $id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum anyOf oneOf properties additionalProperties required propertyOrdering."
    })
  )
}).annotate({ identifier: "AnswerFormat", description: "Text, or JSON that is parsed into the message's `output`." })
export type ResponseFormat = typeof ResponseFormat.Type

/** What a question may set for its reply alone. An omitted setting is the room's. */
export const AskSettings = Schema.Struct({
  model: Schema.optionalKey(Model),
  temperature: Schema.optionalKey(Temperature),
  tools: Schema.optionalKey(Tools),
  systemPrompt: Schema.optionalKey(SystemPrompt),
  maxOutputTokens: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })).annotate({
      description:
        "Tokens that the answer may have, thoughts included; at most those of the model for the user's tier and its level of thinking."
    })
  ),
  thinking: Schema.optionalKey(ThinkingInput),
  responseFormat: Schema.optionalKey(ResponseFormat)
}).annotate({
  identifier: "AskSettings",
  description: "Settings of this reply alone; an omitted one is the room's. Unknown ones are ignored.",
  examples: [{ model: "gemini-3.8-flash", temperature: 0.2 }]
})
export type AskSettings = typeof AskSettings.Type
