import { Schema } from "effect"
import { exampleQuota, QuotaState } from "../account/Usage.ts"
import { AskSettings } from "../chat/Settings.ts"
import { ChatroomId } from "../chat/Chatroom.ts"
import { exampleQuestion, exampleReply, Message, TokenUsage } from "../chat/Message.ts"
import { ids } from "../Examples.ts"
import { text, Timestamp } from "../Schemas.ts"

/** Names and shapes are those of the package `ai` 7: https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol. */

const { error, model, status, truncated } = Message.fields

/** What the server says of a message besides its parts. A stream sends it piece by piece, and the client merges it. */
export const UiMetadata = Schema.Struct({
  chatroomId: Schema.optionalKey(ChatroomId),
  questionId: Schema.optionalKey(Schema.NullOr(Schema.String)).annotate({
    description: "Of a reply: the id that its question has here. The client's own id of the question is its idempotency key."
  }),
  createdAt: Schema.optionalKey(Timestamp),
  quota: Schema.optionalKey(QuotaState),
  status: Schema.optionalKey(status),
  model: Schema.optionalKey(model),
  truncated: Schema.optionalKey(truncated),
  error: Schema.optionalKey(error),
  usage: Schema.optionalKey(Schema.NullOr(TokenUsage))
}).annotate({ identifier: "UiMetadata", description: "A message's `metadata`." })
export type UiMetadata = typeof UiMetadata.Type

const done = { state: Schema.Literal("done") }
const UiPart = Schema.Union([
  Schema.Struct({ type: Schema.Literal("step-start") }),
  Schema.Struct({ type: Schema.Literal("text"), text: Schema.String, ...done }),
  Schema.Struct({ type: Schema.Literal("reasoning"), id: Schema.String, text: Schema.String, ...done }),
  Schema.Struct({
    type: Schema.Literal("file"),
    mediaType: Schema.String,
    filename: Schema.String,
    url: Schema.String.annotate({ description: "Where the file's bytes are; needs the token as every request does." })
  }),
  Schema.Struct({
    type: Schema.Literal("source-url"),
    sourceId: Schema.String,
    url: Schema.String,
    title: Schema.String
  })
]).annotate({ identifier: "UiPart", description: "A part of a message." })
export type UiPart = typeof UiPart.Type

const exampleUiMessages = [
  {
    id: ids.question,
    role: "user" as const,
    metadata: { chatroomId: exampleQuestion.chatroomId, createdAt: exampleQuestion.createdAt },
    parts: [{ type: "text" as const, text: exampleQuestion.content, state: "done" as const }]
  },
  {
    id: ids.reply,
    role: "assistant" as const,
    metadata: {
      chatroomId: exampleReply.chatroomId,
      questionId: ids.question,
      createdAt: exampleReply.createdAt,
      status: exampleReply.status,
      model: exampleReply.model,
      truncated: false,
      error: null,
      usage: exampleReply.usage
    },
    parts: [{ type: "step-start" as const }, { type: "text" as const, text: exampleReply.content, state: "done" as const }]
  }
]

export const UiMessage = Schema.Struct({
  id: Schema.String,
  role: Schema.Literals(["user", "assistant"]),
  metadata: UiMetadata,
  parts: Schema.Array(UiPart)
}).annotate({ identifier: "UIMessage", description: "A message as the AI SDK's `useChat` keeps it." })
export type UiMessage = typeof UiMessage.Type

export const UiMessages = Schema.Array(UiMessage).annotate({
  identifier: "UIMessages",
  description: "The messages, oldest first.",
  examples: [exampleUiMessages]
})

/** A message of a request. Of all but the newest question only the id and the role are looked at. */
const SentMessage = Schema.Struct({
  id: text(1, 255),
  role: Schema.Literals(["system", "user", "assistant"]),
  parts: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)).annotate({
    description:
      'Of the newest question: `{ type: "text", text }` and `{ type: "file", mediaType, filename?, url }`, whose `url` is a `data:` URL or the address of a file that was uploaded before (`/files/:id/content`).'
  })
}).annotate({ identifier: "SentUIMessage" })
export type SentMessage = typeof SentMessage.Type

/** What `DefaultChatTransport` sends. */
export const UiRequest = Schema.Struct({
  id: ChatroomId.annotate({ description: "The chat, which is a chatroom: one that the user has, or a UUID that no user has." }),
  messages: Schema.Array(SentMessage)
    .check(Schema.isMinLength(1))
    .annotate({ description: "The newest question counts; the ones before it are here already." }),
  trigger: Schema.optionalKey(Schema.Literals(["submit-message", "regenerate-message"])),
  messageId: Schema.optionalKey(
    Schema.NullOr(Schema.String).annotate({
      description: "The question that is asked in other words, or the message that gets another reply."
    })
  ),
  settings: Schema.optionalKey(AskSettings)
}).annotate({
  identifier: "UIMessageRequest",
  examples: [
    {
      id: exampleQuestion.chatroomId,
      messages: [{ id: "msg-Yh3kQ8sVb2", role: "user", parts: [{ type: "text", text: exampleQuestion.content }] }],
      trigger: "submit-message"
    }
  ]
})
export type UiRequest = typeof UiRequest.Type

export const exampleMetadata = {
  chatroomId: exampleReply.chatroomId,
  questionId: ids.question,
  createdAt: exampleReply.createdAt,
  quota: exampleQuota
}
