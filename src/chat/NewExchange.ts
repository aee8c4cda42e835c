import type { QuotaState } from "../api/account/Usage.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { noGrounding } from "../api/chat/Grounding.ts"
import { type Message, MessageId } from "../api/chat/Message.ts"
import { isoText } from "../api/Schemas.ts"
import { quotaState } from "./Quota.ts"
import type { Taken } from "./SendMessage.ts"

/** A version that was just made: the newest of its kind. */
interface NewVersion {
  readonly index: number
  readonly previous: string | null
}
export const firstVersion: NewVersion = { index: 1, previous: null }
const newVersion = ({ index, previous }: NewVersion): Message["versions"] => ({
  index,
  count: index,
  previous: previous === null ? null : MessageId.make(previous),
  next: null
})

interface Ids {
  readonly roomId: ChatroomId
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: string
  /** The reply that the question follows. */
  readonly parentId: string | null
  readonly questionVersion: NewVersion
  readonly replyVersion: NewVersion
  readonly toolsSkipped?: Message["toolsSkipped"] | undefined
  readonly attachments?: Message["attachments"] | undefined
}

const unanswered = {
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
  thoughts: null
}

/** A question and its reply at the moment of acceptance; a replay of an idempotency key shows them like this, too. */
const newQuestion = (
  { parentId, roomId, questionId, questionVersion, sentAt, attachments = [] }: Ids,
  content: string
): Message => ({
  id: MessageId.make(questionId),
  chatroomId: roomId,
  role: "user",
  content,
  status: "completed",
  replyTo: null,
  parentId: parentId === null ? null : MessageId.make(parentId),
  versions: newVersion(questionVersion),
  ...unanswered,
  attachments,
  createdAt: sentAt,
  completedAt: sentAt
})

export const newReply = ({ roomId, questionId, replyId, replyVersion, sentAt, toolsSkipped = [] }: Ids): Message => ({
  id: MessageId.make(replyId),
  chatroomId: roomId,
  role: "model",
  content: "",
  status: "queued",
  replyTo: MessageId.make(questionId),
  parentId: MessageId.make(questionId),
  versions: newVersion(replyVersion),
  ...unanswered,
  toolsSkipped,
  createdAt: sentAt,
  completedAt: null
})

/** What was asked for: a question, or with `isReplyAlone` another reply to one. */
interface AskedFor {
  readonly roomId: ChatroomId
  readonly content: string
  readonly isReplyAlone: boolean
}

/** The question and the reply that a transaction has stored, with what is left of the day's quota. */
export const exchangeOf = (
  taken: Taken,
  { content, isReplyAlone, roomId }: AskedFor
): { readonly message: Message; readonly reply: Message; readonly quota: QuotaState } => {
  const { parentId = null, previousVersion: previous = null, version: index = 1 } = taken
  const newest = { index, previous }
  const ids: Ids = {
    roomId: taken.roomId ?? roomId,
    questionId: taken.questionId,
    replyId: taken.replyId,
    sentAt: isoText(taken.sentAt),
    toolsSkipped: taken.toolsSkipped,
    attachments: taken.attachments,
    parentId,
    questionVersion: isReplyAlone ? firstVersion : newest,
    replyVersion: isReplyAlone ? newest : firstVersion
  }
  return {
    message: newQuestion(ids, content),
    reply: newReply(ids),
    quota: quotaState(taken.limit, taken.budget ?? null, taken, isoText(taken.resetsAt))
  }
}
