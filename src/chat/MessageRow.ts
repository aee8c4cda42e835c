import { Struct } from "effect"
import { iso, isoOrNull } from "../api/Schemas.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { type ErrorCode, Message, MessageId, type Status, TokenUsage } from "../api/chat/Message.ts"
import { columnsOf, type RowOf } from "../database/Rows.ts"

const nested = ["error", "usage"] as const

/** The columns a message is read from; its error and its usage are flat. */
export const columns = columnsOf([
  ...Object.keys(Struct.omit(Message.fields, nested)),
  "errorCode",
  "errorMessage",
  ...Object.keys(TokenUsage.fields)
])

export type MessageRow = RowOf<Omit<Message, "status" | (typeof nested)[number]>> & {
  readonly [Count in keyof TokenUsage]: number | null
} & {
  readonly status: Status | "held"
  readonly errorCode: ErrorCode | null
  readonly errorMessage: string | null
}

export const toMessage = (row: MessageRow): Message => ({
  id: row.id,
  chatroomId: row.chatroomId,
  role: row.role,
  content: row.content,
  // Held behind an earlier question or queued for a worker: to its reader both are waiting in line.
  status: row.status === "held" ? "queued" : row.status,
  replyTo: row.replyTo,
  supersededBy: row.supersededBy,
  attempt: row.attempt,
  finishReason: row.finishReason,
  truncated: row.truncated,
  error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? "" },
  model: row.model,
  usage:
    row.promptTokens === null
      ? null
      : {
          promptTokens: row.promptTokens,
          replyTokens: row.replyTokens ?? 0,
          thoughtTokens: row.thoughtTokens ?? 0,
          cachedTokens: row.cachedTokens ?? 0
        },
  createdAt: iso(row.createdAt),
  completedAt: isoOrNull(row.completedAt)
})

interface Ids {
  readonly roomId: ChatroomId
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: string
}

const blank = {
  supersededBy: null,
  attempt: 0,
  finishReason: null,
  truncated: false,
  error: null,
  model: null,
  usage: null
}

/** A question and its reply as they are in the moment of their acceptance; a replay shows the same. */
export const newQuestion = ({ roomId, questionId, sentAt }: Ids, content: string): Message => ({
  id: MessageId.make(questionId),
  chatroomId: roomId,
  role: "user",
  content,
  status: "completed",
  replyTo: null,
  ...blank,
  createdAt: sentAt,
  completedAt: sentAt
})

export const newReply = ({ roomId, questionId, replyId, sentAt }: Ids): Message => ({
  id: MessageId.make(replyId),
  chatroomId: roomId,
  role: "model",
  content: "",
  status: "queued",
  replyTo: MessageId.make(questionId),
  ...blank,
  createdAt: sentAt,
  completedAt: null
})
