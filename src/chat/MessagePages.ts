import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { MessageId } from "../api/chat/Message.ts"
import { ReadSql } from "../database/Database.ts"
import { Replica } from "../database/Replica.ts"
import { Branches } from "./Branches.ts"
import { makeInRoom } from "./InRoom.ts"
import { pageOf, toMessage } from "./MessageRow.ts"
import { pathFrom } from "./Paths.ts"

export interface HistoryQuery {
  readonly limit: number
  readonly before?: string | undefined
  readonly after?: string | undefined
  /** `active`: only the messages of the active branch, of which `before` and `after` are two. */
  readonly branch?: "active" | "all" | undefined
  /** Whether the messages have their thoughts. */
  readonly thoughts?: boolean | undefined
}

/** Makes the functions that read pages of messages, from a replica where one has all that the primary has. */
export const makeMessagePages = Effect.gen(function* () {
  const sql = yield* ReadSql
  const replica = yield* Replica
  const historySql = yield* replica.over(sql)
  const slowSql = yield* Effect.flatMap(SqlClient.SqlClient, replica.over)
  const branches = yield* Branches
  const inRoom = makeInRoom(sql)

  /** Its pages forwards are found from the newest message of the branch back, so that they may take longer. */
  const activeBranch = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId, query: HistoryQuery) {
    const { after, before } = query
    const from = before ?? (yield* branches.headOf(userId, roomId))
    const isExclusive = before !== undefined
    const limit = query.limit + 1
    const path = pathFrom(slowSql, { userId, roomId, from, isExclusive, after, ...(after === undefined ? { limit } : {}) })
    const order = after === undefined ? "asc" : "desc"
    const candidates = slowSql`
      select m.*, p.position from (
        with recursive ${path} select id, position from path order by position ${sql.literal(order)} limit ${limit}
      ) p join messages m on m.user_id = ${userId} and m.id = p.id
    `
    const rows = yield* pageOf(slowSql, candidates, `position ${order}`, query.thoughts).pipe(Effect.orDie)
    const found = (yield* inRoom(userId, roomId, rows)).slice(0, query.limit)
    return { messages: found.map(toMessage), hasMore: (rows[0]?.candidates ?? 0) > found.length }
  })

  const history = Effect.fn("Messages.history")(function* (userId: UserId, roomId: ChatroomId, query: HistoryQuery) {
    if (query.branch === "active") return yield* activeBranch(userId, roomId, query)
    const forwards = query.after !== undefined
    const candidates = sql`
      select * from messages
      where ${sql.and([
        sql`user_id = ${userId}`,
        sql`chatroom_id = ${roomId}`,
        ...(query.before === undefined ? [] : [sql`id < ${query.before}::uuid`]),
        ...(query.after === undefined ? [] : [sql`id > ${query.after}::uuid`])
      ])}
      order by ${sql.literal(forwards ? "id asc" : "id desc")} limit ${query.limit + 1}
    `
    const rows = yield* pageOf(historySql, candidates, forwards ? "id asc" : "id desc", query.thoughts).pipe(Effect.orDie)
    const found = (yield* inRoom(userId, roomId, rows)).slice(0, query.limit)
    return { messages: found.map(toMessage), hasMore: (rows[0]?.candidates ?? 0) > found.length }
  })

  const ofIds = Effect.fn("Messages.ofIds")(function* (userId: UserId, ids: ReadonlyArray<MessageId>, thoughts: boolean) {
    const named = sql`
      select m.*, given.position
      from unnest(string_to_array(${ids.join(",")}, ',')::uuid[]) with ordinality as given (named, position)
      join messages m on m.user_id = ${userId} and m.id = given.named
    `
    const rows = yield* pageOf(historySql, named, "position asc", thoughts).pipe(Effect.orDie)
    const isCut = (rows[0]?.candidates ?? 0) > rows.length
    const last = rows.at(-1)
    return { messages: rows.map(toMessage), looked: isCut && last !== undefined ? ids.indexOf(last.id) + 1 : ids.length }
  })

  return { history, ofIds }
})
