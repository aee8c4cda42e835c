import { Schema } from "effect"
import { MessageId } from "./Message.ts"

/** What of a room a reply's prompt was made of, and what was left out and why. Tokens are estimates. */
export const ContextReceipt = Schema.Struct({
  included: Schema.Array(
    Schema.Struct({ id: MessageId, role: Schema.Literals(["user", "model"]), tokens: Schema.Int }).annotate({
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
  promptTokens: Schema.Int.annotate({ description: "As the model counted them; before it has, our estimate." }),
  model: Schema.String
}).annotate({ identifier: "ContextReceipt" })
export type ContextReceipt = typeof ContextReceipt.Type
