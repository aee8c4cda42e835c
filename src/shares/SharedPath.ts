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

/**
 * The ids of the messages that a link shows, with their order (`exchange_id`, then `id`): the branch from the room's first
 * question to the last message, with the replies that were completed at that time. Only this file decides which messages belong to
 * a link.
 */
export const sharedPath = (sql: SqlClient.SqlClient, part: SharedPart) => {
  const branch = pathFrom(sql, { userId: part.userId, roomId: part.chatroomId, from: part.upTo })
  return sql`
    with recursive ${branch}
    select m.id, coalesce(m.reply_to, m.id) as exchange_id from path join messages m on m.user_id = ${part.userId} and m.id = path.id
    where m.role = 'user' or m.status = 'completed' and m.completed_at <= ${part.createdAt}
  `
}
