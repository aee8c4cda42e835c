import { Schema } from "effect"
import { ids, times } from "../Examples.ts"
import { Tool } from "../models/ModelsApi.ts"
import { Attachment } from "../files/File.ts"
import { Count, text, Timestamp, Uuid } from "../Schemas.ts"
import { ChatroomId } from "./Chatroom.ts"
import { groundingFields, noGrounding } from "./Grounding.ts"

export const MessageId = Uuid.pipe(Schema.brand("MessageId"))
export type MessageId = typeof MessageId.Type

/** Characters of a question. */
export const maximumContent = 32_000
export const Content = text(1, maximumContent).check(Schema.isPattern(/\S/u, { message: "must not be blank" }))
/** A question's text that may be empty beside files (`SendMessage`). */
export const ContentOfFiles = text(0, maximumContent)

export const Status = Schema.Literals(["queued", "processing", "waiting", "completed", "failed", "cancelled"])
export type Status = typeof Status.Type

/** Why a reply failed. Only `blocked` is caused by the user's text, so only it is charged. */
export const ErrorCode = Schema.Literals([
  "model_unavailable",
  "model_quota_exhausted",
  "model_misconfigured",
  "empty_response",
  "max_tokens",
  "model_stopped",
  "budget_exceeded",
  "invalid_output",
  "schema_rejected",
  "attachment_rejected",
  "moderation_unavailable",
  "blocked"
])
export type ErrorCode = typeof ErrorCode.Type

const exampleFeedback = { rating: "down" as const, reasons: ["wrong"], comment: "A loom weaves cloth." }

export const TokenUsage = Schema.Struct({
  promptTokens: Count,
  replyTokens: Count,
  thoughtTokens: Count,
  cachedTokens: Count,
  toolTokens: Count
}).annotate({ identifier: "Usage", description: "Tokens as counted by the model." })
export type TokenUsage = typeof TokenUsage.Type

/** What is known of a reply that was blocked. */
export const BlockDetail = Schema.Struct({
  reason: Schema.String.annotate({
    description: "Google's reason (`SAFETY`, `PROHIBITED_CONTENT`, …), or `MODERATION` when the server's own check refused it."
  }),
  about: Schema.Literals(["question", "answer"]).annotate({ description: "What was refused." }),
  categories: Schema.Array(Schema.String).annotate({
    description: "The categories of harm for which it was refused, as far as they are known."
  })
})
export type BlockDetail = typeof BlockDetail.Type

const ReplyError = Schema.Struct({
  code: ErrorCode,
  message: Schema.String,
  reason: Schema.optionalKey(BlockDetail.fields.reason),
  about: Schema.optionalKey(BlockDetail.fields.about),
  categories: Schema.optionalKey(BlockDetail.fields.categories)
}).annotate({
  identifier: "ReplyError",
  description:
    "Why the reply failed; `message` is for people. With the code `blocked`, `reason`, `about` and `categories` say what was refused."
})

/** Where a message stands among those that could be in its place: other wordings of a question, other replies to one. */
const Versions = Schema.Struct({
  index: Count.annotate({ description: "Its number among them, from 1 on, the oldest first." }),
  count: Count,
  previous: Schema.NullOr(MessageId).annotate({ description: "The version before it." }),
  next: Schema.NullOr(MessageId).annotate({ description: "The version after it." })
}).annotate({
  identifier: "Versions",
  description: "The versions of a message: the questions that follow the same reply, or the replies to the same question."
})
/** Of a message that is the only one of its kind. */
export const onlyVersion = { index: 1, count: 1, previous: null, next: null }

const Reasons = Schema.Array(text(1, 100)).check(Schema.isMaxLength(5))
const Comment = text(1, 1_000)

/** What a user thinks of a reply. */
export const Feedback = Schema.Struct({
  rating: Schema.Literals(["up", "down"]),
  reasons: Reasons,
  comment: Schema.NullOr(Comment)
}).annotate({ identifier: "Feedback", description: "The user's rating of a reply.", examples: [exampleFeedback] })
export type Feedback = typeof Feedback.Type

/** What replaces a reply's feedback; a null rating removes it. */
export const GiveFeedback = Schema.Struct({
  rating: Schema.NullOr(Feedback.fields.rating).annotate({ description: "Null removes the feedback." }),
  reasons: Schema.optionalKey(Reasons.annotate({ description: "The client's own names of reasons." })),
  comment: Schema.optionalKey(Comment)
}).annotate({ identifier: "GiveFeedback", examples: [exampleFeedback] })
export type GiveFeedback = typeof GiveFeedback.Type

export const exampleQuestion = {
  id: MessageId.make(ids.question),
  chatroomId: ChatroomId.make(ids.room),
  role: "user" as const,
  content: "What does an analytical engine weave?",
  status: "completed" as const,
  replyTo: null,
  parentId: null,
  versions: onlyVersion,
  supersededBy: null,
  attempt: 0,
  finishReason: null,
  truncated: false,
  error: null,
  model: null,
  usage: null,
  costMicros: null,
  output: null,
  feedback: null,
  ...noGrounding,
  toolsSkipped: [],
  attachments: [],
  thoughts: null,
  createdAt: times.asked,
  completedAt: times.asked
}
/** The reply as it is when the question is accepted. */
export const exampleQueued = {
  ...exampleQuestion,
  id: MessageId.make(ids.reply),
  role: "model" as const,
  content: "",
  status: "queued" as const,
  replyTo: exampleQuestion.id,
  parentId: exampleQuestion.id,
  completedAt: null
}
export const exampleReply = {
  ...exampleQueued,
  content: "It weaves algebraical patterns, just as a loom weaves flowers and leaves.",
  status: "completed" as const,
  attempt: 1,
  finishReason: "STOP",
  model: "gemini-3.8-flash",
  usage: { promptTokens: 12, replyTokens: 31, thoughtTokens: 0, cachedTokens: 0, toolTokens: 0 },
  costMicros: 126,
  completedAt: times.answered
}

export const Message = Schema.Struct({
  id: MessageId,
  chatroomId: ChatroomId,
  role: Schema.Literals(["user", "model"]),
  content: Schema.String.annotate({ description: "The text of the question, or the text of the reply so far." }),
  status: Status.annotate({ description: "Always `completed` for a question." }),
  replyTo: Schema.NullOr(MessageId).annotate({ description: "The question that the reply answers." }),
  parentId: Schema.NullOr(MessageId).annotate({
    description:
      "The message before it on its branch: for a question the reply that it follows (null for a first question), for a reply its question."
  }),
  versions: Versions,
  supersededBy: Schema.NullOr(MessageId).annotate({ description: "The newer reply to the same question." }),
  attempt: Count.annotate({ description: "The attempt that wrote the content; 0 before the first attempt." }),
  finishReason: Schema.NullOr(Schema.String).annotate({ description: "Gemini's finish reason." }),
  truncated: Schema.Boolean.annotate({
    description:
      "Whether the end of the text is missing: the model ran out of tokens, or the text reached the limit of 1 MiB in UTF-8."
  }),
  error: Schema.NullOr(ReplyError).annotate({ description: "Why the reply failed." }),
  model: Schema.NullOr(Schema.String).annotate({ description: "The model that wrote the reply." }),
  usage: Schema.NullOr(TokenUsage),
  costMicros: Schema.NullOr(Count).annotate({
    description: "What the reply's calls of the model cost, in millionths of a US dollar; null until a priced call has ended."
  }),
  output: Schema.Unknown.annotate({
    description: "The value of an answer in JSON (`settings.responseFormat`); null for text, and for one that is not complete."
  }),
  feedback: Schema.NullOr(Feedback).annotate({ description: "The user's rating of the reply." }),
  ...groundingFields,
  toolsSkipped: Schema.Array(Tool).annotate({
    description:
      "Tools of the settings that were not used, because the day's searches were used up or the model does not have the tool."
  }),
  attachments: Schema.Array(Attachment).annotate({ description: "The files of the question." }),
  thoughts: Schema.optionalKey(
    Schema.NullOr(Schema.String).annotate({
      description:
        "The model's summaries of its thoughts, once the reply has ended; null unless `thinking.summaries` is set. At most 64 KiB in UTF-8; longer ones are cut and end with `…`. Lists omit them, unless `?thoughts=true` asks for them."
    })
  ),
  createdAt: Timestamp,
  completedAt: Schema.NullOr(Timestamp)
}).annotate({ identifier: "Message", description: "A question, or a model's reply to one.", examples: [exampleReply] })
export type Message = typeof Message.Type

export const FoundMessage = Schema.Struct({
  ...Message.fields,
  snippet: Schema.String.annotate({ description: "The match with some text around it." })
}).annotate({ identifier: "FoundMessage", description: "A message that matches the search." })
export type FoundMessage = typeof FoundMessage.Type

export type EndedStatus = "completed" | "failed" | "cancelled"

export const hasEnded = (message: Message): message is Message & { readonly status: EndedStatus } =>
  message.status === "completed" || message.status === "failed" || message.status === "cancelled"
