import type { SqlClient } from "effect/sql"

/** A part of a branch, from its newest message back. */
interface PathQuery {
  readonly userId: string
  readonly roomId: string
  /** Its newest message; null: none. */
  readonly from: string | null
  /** Only the messages before `from`. */
  readonly isExclusive?: boolean | undefined
  /** The message at which it ends, which it does not have. */
  readonly after?: string | undefined
  readonly limit?: number | undefined
}

/**
 * The recursive table `path` (`id`, `position` from 1 on, newest first) of a `with` clause: from a message to its parent
 * and on, each by the primary key, whatever the size of the room.
 */
export const pathFrom = (sql: SqlClient.SqlClient, { after, from, isExclusive = false, limit, roomId, userId }: PathQuery) => {
  const isIncluded = after === undefined ? sql`true` : sql`m.id <> ${after}::uuid`
  return sql`path as (
    select m.id, coalesce(m.reply_to, m.parent_id) as parent_id, 1 as position from messages m
      where m.user_id = ${userId} and m.chatroom_id = ${roomId} and m.id = ${
        isExclusive
          ? sql`(select coalesce(f.reply_to, f.parent_id) from messages f where f.user_id = ${userId} and f.id = ${from})`
          : sql`${from}`
      } and ${isIncluded}
    union all
    select m.id, coalesce(m.reply_to, m.parent_id), p.position + 1
      from path p join messages m on m.user_id = ${userId} and m.id = p.parent_id
      where ${limit === undefined ? sql`true` : sql`p.position < ${limit}`} and ${isIncluded}
  )`
}
