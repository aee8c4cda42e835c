import { iso, isoOrNull } from "../api/Schemas.ts"
import { ChatroomId } from "../api/chat/Chatroom.ts"
import { type ErrorCode, type Message, MessageId, type Status } from "../api/chat/Message.ts"

/** What a message's row holds for its readers, in the order of `Message`. */
export const columns = `id, chatroom_id, role, content, status, reply_to, superseded_by, attempt, finish_reason, truncated, error_code,
  error_message, model, prompt_tokens, reply_tokens, thought_tokens, cached_tokens, created_at, completed_at`

export interface MessageRow {
  readonly id: string
  readonly chatroomId: string
  readonly role: "user" | "model"
  readonly content: string
  readonly status: Status | "held"
  readonly replyTo: string | null
  readonly supersededBy: string | null
  readonly attempt: number
  readonly finishReason: string | null
  readonly truncated: boolean
  readonly errorCode: ErrorCode | null
  readonly errorMessage: string | null
  readonly model: string | null
  readonly promptTokens: number | null
  readonly replyTokens: number | null
  readonly thoughtTokens: number | null
  readonly cachedTokens: number | null
  readonly createdAt: Date
  readonly completedAt: Date | null
}

export const toMessage = (row: MessageRow): Message => ({
  id: MessageId.make(row.id),
  chatroomId: ChatroomId.make(row.chatroomId),
  role: row.role,
  content: row.content,
  // Held behind an earlier question or queued for a worker: to its reader both are waiting in line.
  status: row.status === "held" ? "queued" : row.status,
  replyTo: row.replyTo === null ? null : MessageId.make(row.replyTo),
  supersededBy: row.supersededBy === null ? null : MessageId.make(row.supersededBy),
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
