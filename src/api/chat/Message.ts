import { Schema } from "effect"
import { ids, times } from "../Examples.ts"
import { Count, text, Timestamp, Uuid } from "../Schemas.ts"
import { ChatroomId } from "./Chatroom.ts"

export const MessageId = Uuid.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

export const Content = text(1, 32_000).check(Schema.isPattern(/\S/u, { message: "must not be blank" }))

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

export const TokenUsage = Schema.Struct({
  promptTokens: Count,
  replyTokens: Count,
  thoughtTokens: Count,
  cachedTokens: Count
}).annotate({ identifier: "Usage", description: "Tokens, as the model counted them." })
export type TokenUsage = typeof TokenUsage.Type

const ReplyError = Schema.Struct({ code: ErrorCode, message: Schema.String }).annotate({
  identifier: "ReplyError",
  description: "Why a reply failed; the message is for people."
})

export const exampleQuestion = {
  id: MessageId.make(ids.question),
  chatroomId: ChatroomId.make(ids.room),
  role: "user" as const,
  content: "What does an analytical engine weave?",
  status: "completed" as const,
  replyTo: null,
  supersededBy: null,
  attempt: 0,
  finishReason: null,
  truncated: false,
  error: null,
  model: null,
  usage: null,
  createdAt: times.asked,
  completedAt: times.asked
}
/** Its reply as it is first told of. */
export const exampleQueued = {
  ...exampleQuestion,
  id: MessageId.make(ids.reply),
  role: "model" as const,
  content: "",
  status: "queued" as const,
  replyTo: exampleQuestion.id,
  completedAt: null
}
export const exampleReply = {
  ...exampleQueued,
  content: "It weaves algebraical patterns, just as a loom weaves flowers and leaves.",
  status: "completed" as const,
  attempt: 1,
  finishReason: "STOP",
  model: "gemini-3.8-flash",
  usage: { promptTokens: 12, replyTokens: 31, thoughtTokens: 0, cachedTokens: 0 },
  completedAt: times.answered
}

export const Message = Schema.Struct({
  id: MessageId,
  chatroomId: ChatroomId,
  role: Schema.Literals(["user", "model"]),
  content: Schema.String.annotate({ description: "Of a reply, what is written of it so far." }),
  status: Status.annotate({ description: "Of a question always `completed`." }),
  replyTo: Schema.NullOr(MessageId).annotate({ description: "The question that a reply answers." }),
  supersededBy: Schema.NullOr(MessageId).annotate({ description: "The newer reply to the same question." }),
  attempt: Count.annotate({ description: "Which attempt wrote the content; 0 before the first." }),
  finishReason: Schema.NullOr(Schema.String).annotate({ description: "Gemini's word for why it stopped." }),
  truncated: Schema.Boolean.annotate({ description: "Whether the model ran out of tokens in the middle." }),
  error: Schema.NullOr(ReplyError).annotate({ description: "Why a reply failed." }),
  model: Schema.NullOr(Schema.String).annotate({ description: "Which model wrote it." }),
  usage: Schema.NullOr(TokenUsage),
  createdAt: Timestamp,
  completedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Message", description: "A question, or a model's reply to one.", examples: [exampleReply] })
export type Message = typeof Message.Type

export const FoundMessage = Schema.Struct({
  ...Message.fields,
  snippet: Schema.String.annotate({ description: "What was found, with some text around it." })
}).annotate({ identifier: "FoundMessage", description: "A message in which something was found." })
export type FoundMessage = typeof FoundMessage.Type

export const hasEnded = (message: Message): boolean =>
  message.status === "completed" || message.status === "failed" || message.status === "cancelled"
