import { Schema } from "effect"
import { text, Timestamp, Uuid } from "../Text.ts"
import { ChatroomId } from "./Chatroom.ts"

export const MessageId = Uuid.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

export const Content = text(1, 32_000).check(Schema.makeFilter((content) => content.trim() !== "" || "must not be blank"))

export const Status = Schema.Literals(["queued", "processing", "waiting", "completed", "failed", "cancelled"])
export type Status = typeof Status.Type

/** Why a reply failed. Only `blocked` is about what the user wrote, and so is paid for. */
export const ErrorCode = Schema.Literals([
  "model_unavailable",
  "model_quota_exhausted",
  "model_misconfigured",
  "empty_response",
  "max_tokens",
  "blocked"
])
export type ErrorCode = typeof ErrorCode.Type

const Usage = Schema.Struct({
  promptTokens: Schema.Int,
  replyTokens: Schema.Int,
  thoughtTokens: Schema.Int,
  cachedTokens: Schema.Int
}).annotate({ identifier: "Usage" })
export type Usage = typeof Usage.Type

export const Message = Schema.Struct({
  id: MessageId,
  chatroomId: ChatroomId,
  role: Schema.Literals(["user", "model"]),
  content: Schema.String,
  status: Status,
  replyTo: Schema.NullOr(MessageId),
  supersededBy: Schema.NullOr(MessageId).annotate({ description: "The newer reply to the same question." }),
  attempt: Schema.Int,
  finishReason: Schema.NullOr(Schema.String),
  truncated: Schema.Boolean,
  error: Schema.NullOr(Schema.Struct({ code: ErrorCode, message: Schema.String }).annotate({ identifier: "ReplyError" })),
  model: Schema.NullOr(Schema.String),
  usage: Schema.NullOr(Usage),
  createdAt: Timestamp,
  completedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Message" })
export type Message = typeof Message.Type

export const FoundMessage = Schema.Struct({
  ...Message.fields,
  snippet: Schema.String.annotate({ description: "What was found, with some text around it." })
}).annotate({ identifier: "FoundMessage" })
export type FoundMessage = typeof FoundMessage.Type

export const hasEnded = (message: Message): boolean =>
  message.status === "completed" || message.status === "failed" || message.status === "cancelled"
