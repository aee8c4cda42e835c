import { Schema } from "effect"
import { Count } from "../Schemas.ts"
import { exampleQuestion, exampleReply, MessageId } from "./Message.ts"

/** What of a room a reply's prompt was made of, and what was left out and why. Tokens are estimates. */
export const ContextReceipt = Schema.Struct({
  included: Schema.Array(
    Schema.Struct({ id: MessageId, role: Schema.Literals(["user", "model"]), tokens: Count }).annotate({
      identifier: "IncludedMessage"
    })
  ),
  dropped: Schema.Array(
    Schema.Struct({
      id: MessageId,
      reason: Schema.Literals(["budget", "unanswered", "failed", "cancelled", "superseded", "unfinished"])
    }).annotate({ identifier: "DroppedMessage" })
  ),
  systemPrompt: Schema.NullOr(Schema.String),
  promptTokens: Count.annotate({ description: "As the model counted them; before it has, our estimate." }),
  model: Schema.String
}).annotate({
  identifier: "ContextReceipt",
  description: "What of the room the prompt was made of, and what was left out and why. Tokens of messages are estimates.",
  examples: [
    {
      included: [{ id: exampleQuestion.id, role: "user", tokens: 10 }],
      dropped: [],
      systemPrompt: "Answer in one sentence.",
      promptTokens: exampleReply.usage.promptTokens,
      model: exampleReply.model
    }
  ]
})
export type ContextReceipt = typeof ContextReceipt.Type
