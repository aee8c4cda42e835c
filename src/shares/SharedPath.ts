import type { SqlClient } from "effect/sql"
import { pathFrom } from "../chat/Paths.ts"

/** A part of a room, as it was when it was shared. */
export interface SharedPart {
  readonly userId: string
  readonly chatroomId: string
  /** The last message. */
  readonly upTo: string
  /** A reply that was completed later is not shown. */
  readonly createdAt: Date
}

/** Messages at the end of a branch among which there is a completed reply: the questions that may wait, with their replies. */
const maximumUnfinished = 12

/**
 * The message up to which the room `c` is shared: the given one, or the last completed reply of the branch that ends with
 * `head`. Where a reply at its end failed, an earlier reply to the same question counts.
 */
export const lastMessage = (
  sql: SqlClient.SqlClient,
  { head, roomId, upTo, userId }: { userId: string; roomId: string; head: string | null; upTo: string | undefined }
) =>
  upTo === undefined
    ? sql`
        with recursive ${pathFrom(sql, { userId, roomId, from: head, limit: maximumUnfinished })}
        select m.id from path join messages q on q.user_id = ${userId} and q.id = path.id
          join messages m on m.user_id = q.user_id and m.chatroom_id = c.id and m.reply_to = q.id and m.status = 'completed'
        order by path.position, m.id in (select id from path) desc, m.id desc limit 1`
    : sql`
        select m.id from messages m
        where m.user_id = c.user_id and m.chatroom_id = c.id and m.id = ${upTo}`

/**
 * The ids of the messages that a link shows, with their order (`exchange_id`, then `id`): the branch from the room's first
 * question to the last message, with the replies that were completed at
 * that time. Only this file decides which messages belong to a link.
 */
export const sharedPath = (sql: SqlClient.SqlClient, part: SharedPart) => {
  const branch = pathFrom(sql, { userId: part.userId, roomId: part.chatroomId, from: part.upTo })
  return sql`
    with recursive ${branch}
    select m.id, coalesce(m.reply_to, m.id) as exchange_id from path join messages m on m.user_id = ${part.userId} and m.id = path.id
    where m.role = 'user' or m.status = 'completed' and m.completed_at <= ${part.createdAt}
  `
}
