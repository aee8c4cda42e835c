import { Duration } from "effect"
import type { SqlClient } from "effect/sql"
import { Chatroom, type CreateChatroom } from "../api/chat/Chatroom.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { iso, isoOrNull } from "../api/Schemas.ts"
import { channel } from "../database/Notifications.ts"
import { columnsOf, type RowOf } from "../database/Rows.ts"
import { topicOf } from "../database/Topics.ts"
import { mergeThinking } from "../models/Thinking.ts"
import { defaultTitle } from "./Titles.ts"

/** How many rooms a user may have. */
export const maximumChatrooms = 1_000
/** New rooms of a user: all that a user may have at once, but not for ever by creating and deleting them. */
export const newRooms = { limit: 1_200, period: Duration.hours(1) }

export const roomColumns = columnsOf(Object.keys(Chatroom.fields))
export type ChatroomRow = RowOf<Chatroom>

export const toChatroom = (row: ChatroomRow): Chatroom => ({
  id: row.id,
  title: row.title,
  titleSource: row.titleSource,
  systemPrompt: row.systemPrompt,
  model: row.model,
  temperature: row.temperature,
  thinking: row.thinking,
  tools: row.tools,
  summary: row.summary,
  headId: row.headId,
  pinned: row.pinned,
  archivedAt: isoOrNull(row.archivedAt),
  lastMessageAt: isoOrNull(row.lastMessageAt),
  createdAt: iso(row.createdAt),
  updatedAt: iso(row.updatedAt)
})

/** A room as it was when it was created with this input. */
export const newChatroom = (input: CreateChatroom, created: Pick<Chatroom, "id" | "createdAt" | "updatedAt">): Chatroom => ({
  id: created.id,
  title: input.title ?? defaultTitle,
  titleSource: input.title === undefined ? "default" : "user",
  systemPrompt: input.systemPrompt ?? null,
  model: input.model ?? null,
  temperature: input.temperature ?? null,
  thinking: mergeThinking(defaultThinking, input.thinking),
  tools: input.tools ?? [],
  summary: input.summary ?? null,
  headId: null,
  pinned: false,
  archivedAt: null,
  lastMessageAt: null,
  createdAt: created.createdAt,
  updatedAt: created.updatedAt
})

/**
 * Expressions for the statement that changes a room: they notify within its transaction, so that a committed change is always
 * announced. An automatic title is announced to the open streams of the room, too.
 */
export const roomNotices = (sql: SqlClient.SqlClient) => {
  const change = `pg_notify('${channel}', '${topicOf("chatrooms", "")}' || user_id)`
  const title = `pg_notify('${channel}', '${topicOf("chatrooms", "")}' || user_id || chr(10) || '${topicOf("title", "")}' || id)`
  return { notifyChange: sql.literal(change), notifyTitle: sql.literal(title) }
}
