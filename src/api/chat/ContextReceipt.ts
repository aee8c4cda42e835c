import { Schema } from "effect"
import { Tool } from "../models/ModelsApi.ts"
import { Count } from "../Schemas.ts"
import { FileId } from "../files/File.ts"
import { PromptSummary } from "./RoomSummary.ts"
import { ResponseFormat } from "./Settings.ts"
import { Thinking } from "./Thinking.ts"
import { exampleQuestion, exampleReply, MessageId } from "./Message.ts"

/** The messages that a reply's prompt included, and those it left out, with the reason. Tokens are estimates. */
export const ContextReceipt = Schema.Struct({
  included: Schema.Array(
    Schema.Struct({ id: MessageId, role: Schema.Literals(["user", "model"]), tokens: Count }).annotate({
      identifier: "IncludedMessage"
    })
  ),
  dropped: Schema.Array(
    Schema.Struct({
      id: MessageId,
      reason: Schema.Literals([
        "budget",
        "summarised",
        "unanswered",
        "failed",
        "cancelled",
        "superseded",
        "unfinished",
        "other_branch"
      ]).annotate({
        description:
          "`summarised`: the summary covers it. `other_branch`: it is on another branch of the room; the newest 200 of these are listed."
      })
    }).annotate({ identifier: "DroppedMessage" })
  ),
  attachments: Schema.Array(
    Schema.Struct({
      id: FileId,
      messageId: MessageId,
      name: Schema.String,
      type: Schema.String,
      tokens: Count,
      status: Schema.Literals(["sent", "omitted"])
    }).annotate({ identifier: "IncludedAttachment" })
  ).annotate({
    description:
      "Files of the included messages. One is omitted, and named in its place, when it was deleted, does not fit, or is of a type that the model does not read."
  }),
  summary: Schema.NullOr(PromptSummary).annotate({
    description:
      "The summary that the system instruction ended with; null without. Its room's first question is among `included`."
  }),
  systemPrompt: Schema.NullOr(Schema.String),
  promptTokens: Count.annotate({ description: "Counted by the model; until then, an estimate." }),
  model: Schema.String,
  settings: Schema.Struct({
    model: Schema.String,
    temperature: Schema.NullOr(Schema.Finite),
    maxOutputTokens: Count,
    contextTokens: Count,
    thinking: Schema.optionalKey(Thinking),
    tools: Schema.optionalKey(Schema.Array(Tool)),
    responseFormat: Schema.optionalKey(ResponseFormat)
  }).annotate({ identifier: "ReplySettings", description: "The reply's settings, as they were when its question was accepted." })
}).annotate({
  identifier: "ContextReceipt",
  description:
    "The messages that the prompt included, and those it left out, with the reason. Token counts of messages are estimates.",
  examples: [
    {
      included: [{ id: exampleQuestion.id, role: "user", tokens: 10 }],
      dropped: [],
      attachments: [],
      summary: null,
      systemPrompt: "Answer in one sentence.",
      promptTokens: exampleReply.usage.promptTokens,
      model: exampleReply.model,
      settings: { model: exampleReply.model, temperature: 0.5, maxOutputTokens: 2_048, contextTokens: 32_000 }
    }
  ]
})
export type ContextReceipt = typeof ContextReceipt.Type
