import { Effect } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import type { Tier, UserId } from "../api/auth/User.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { Message, MessageId } from "../api/chat/Message.ts"
import type { FileId } from "../api/files/File.ts"
import { inOrder, makeBatches, unlockedRowsOf } from "../database/Batches.ts"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { retryConflicts } from "../database/Transactions.ts"
import type { ReplySettings, RoomSettings } from "../models/Settings.ts"
import type { GivenInput } from "./GivenInput.ts"

/** Questions of a room that may be unanswered at once. */
const maximumUnanswered = 4

/** What an accepted question has taken. Times are ISO 8601 text, as JSON has them; money is in millionths of a dollar. */
export interface Taken {
  readonly questionId: string
  readonly replyId: string
  readonly sentAt: string
  readonly limit: number | null
  readonly used: number
  readonly resetsAt: string
  /** Absent in what an idempotency key has kept from the previous release. */
  readonly budget?: number | null
  readonly spent: number
  readonly reserved: number
  /** The reply that the question follows. This and the next two are absent in what a key has kept from the previous release. */
  readonly parentId?: string | null
  /** Of the message that is new, the question or else the reply: its number among its versions, and the one before it. */
  readonly version?: number
  readonly previousVersion?: string | null
  readonly toolsSkipped?: Message["toolsSkipped"]
  readonly attachments?: Message["attachments"]
  /** Of a completion: the room that the transaction has made for it. */
  readonly roomId?: ChatroomId
}

export interface AcceptedQuestion extends Taken {
  readonly outcome: "accepted"
  /** Whether its reply may run now. */
  readonly isHead: boolean
  readonly priority: number
  /** Whether the room has got its words as a title. */
  readonly isTitled: boolean
}

/** What `send_message` returns. */
export type SendOutcome =
  | AcceptedQuestion
  | (Taken & { readonly outcome: "replayed"; readonly status: number })
  | { readonly outcome: "chatroom_not_found" }
  | { readonly outcome: "message_not_found" }
  | { readonly outcome: "not_a_question" }
  | { readonly outcome: "not_finished" }
  | { readonly outcome: "too_many_branches"; readonly limit: number }
  | { readonly outcome: "idempotency_key_reused" }
  | { readonly outcome: "room_busy" }
  /** The file at the index is unknown, another user's or deleted, or of a kind that the model does not read. */
  | { readonly outcome: "attachment_not_found" | "attachment_not_readable"; readonly index: number }
  | { readonly outcome: "attachments_too_large" }
  /** The tier or the room's settings are not those that the caller resolved the reply's settings from. */
  | (RoomSettings & { readonly outcome: "settings_changed"; readonly tier: Tier; readonly version: number })
  | { readonly outcome: "quota_exceeded"; readonly limit: number; readonly resetsAt: string }
  | { readonly outcome: "budget_exceeded"; readonly limit: number | null; readonly resetsAt: string }

/** The arguments of `send_message` that differ between questions. */
export interface Change {
  readonly userId: UserId
  readonly roomId: ChatroomId
  readonly question: string
  readonly reply: string
  readonly content: string
  readonly again: MessageId | null
  readonly tier: Tier
  readonly dailyLimit: number | null
  readonly runningLimit: number
  readonly title: string | null
  readonly settings: ReplySettings
  readonly version: number
  readonly contextTokens: number
  /** Millionths of a dollar for a token. */
  readonly inputPrice: number
  readonly outputMicros: number
  readonly dailySearches: number
  readonly searchMicros: number
  readonly budget: number | null
  readonly key: string | null
  readonly hash: string | null
  /** Null for none. */
  readonly attachments: ReadonlyArray<FileId> | null
  /** Null where the question has no files. */
  readonly attachmentLimits: { readonly bytes: number; readonly kinds: ReadonlyArray<string> } | null
  /** Null in a chat. */
  readonly input: GivenInput | null
}

const changeColumns = {
  userId: "uuid",
  roomId: "uuid",
  question: "uuid",
  reply: "uuid",
  content: "text",
  again: "uuid",
  tier: "text",
  dailyLimit: "int",
  runningLimit: "int",
  title: "text",
  settings: "jsonb",
  version: "int",
  contextTokens: "int",
  inputPrice: "float8",
  outputMicros: "int8",
  dailySearches: "int",
  searchMicros: "int8",
  budget: "int8",
  key: "text",
  hash: "text",
  attachments: "uuid[]",
  attachmentLimits: "jsonb",
  input: "jsonb"
}

/** Makes the function that calls `send_message`. Calls that come together share a transaction. */
export const makeSendMessage = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  return yield* makeBatches<Change, SendOutcome, SqlError.SqlError>((changes, waits) => {
    const accepted = sql<{ position: number; sent: SendOutcome }>`
      select q.position, send_message(p_user => q."userId", p_room => q."roomId", p_question => q.question,
        p_reply => q.reply, p_content => q.content, p_again => q.again, p_tier => q.tier, p_daily_limit => q."dailyLimit",
        p_running_limit => q."runningLimit", p_room_limit => ${maximumUnanswered}, p_title => q.title, p_settings => q.settings,
        p_settings_version => q.version, p_context_tokens => q."contextTokens", p_input_price => q."inputPrice",
        p_output_micros => q."outputMicros", p_daily_searches => q."dailySearches", p_search_micros => q."searchMicros", p_budget => q.budget, p_key => q.key, p_hash => q.hash,
        p_key_lifetime => ${keyLifetime}::text::interval, p_attachments => q.attachments,
        p_attachment_limits => q."attachmentLimits", p_input => q.input) as sent
      from ${unlockedRowsOf(sql, changes, changeColumns, waits)} q
    `
    return Effect.map(waits ? retryConflicts(sql)(accepted) : accepted, (rows) => inOrder(changes, rows).map((row) => row?.sent))
  })
})
