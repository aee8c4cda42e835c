import type { SqlClient } from "effect/sql"

/** A part of a room, as it was when it was shared. */
export interface SharedPart {
  readonly userId: string
  readonly chatroomId: string
  /** The last message. */
  readonly upTo: string
  /** The question that `upTo` is, or answers. */
  readonly exchangeId: string
  /** A reply that was completed later is not shown. */
  readonly createdAt: Date
}

/**
 * The message up to which the room `c` is shared, with its question: the given one, or the newest reply of the last answered
 * question.
 */
export const lastMessage = (sql: SqlClient.SqlClient, upTo: string | undefined) =>
  upTo === undefined
    ? sql`
        select m.id, m.reply_to as exchange_id from messages m
        where m.user_id = c.user_id and m.chatroom_id = c.id and m.status = 'completed' and m.reply_to is not null
        order by m.reply_to desc, m.id desc limit 1`
    : sql`
        select m.id, coalesce(m.reply_to, m.id) as exchange_id from messages m
        where m.user_id = c.user_id and m.chatroom_id = c.id and m.id = ${upTo}`

/**
 * The ids of the messages that a link shows, with their order (`exchange_id`, then `id`): the room's questions, each with its
 * newest completed reply of that time. Only this file decides which messages belong to a link.
 */
export const sharedPath = (sql: SqlClient.SqlClient, part: SharedPart) => {
  const inRoom = sql`m.user_id = ${part.userId} and m.chatroom_id = ${part.chatroomId}`
  return sql`
    select m.id, m.id as exchange_id from messages m where ${inRoom} and m.role = 'user' and m.id <= ${part.exchangeId}
    union all
    select a.id, a.reply_to from (
      select distinct on (m.reply_to) m.reply_to, m.id from messages m
      where ${inRoom} and m.reply_to <= ${part.exchangeId} and m.status = 'completed' and m.completed_at <= ${part.createdAt}
        and (m.reply_to < ${part.exchangeId} or m.id <= ${part.upTo})
      order by m.reply_to desc, m.id desc
    ) a
  `
}
