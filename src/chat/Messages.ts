import { Clock, Context, Effect, Fiber, Layer } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { isoOrNull } from "../api/Schemas.ts"
import { ReadSql } from "../database/Database.ts"
import { Replica } from "../database/Replica.ts"
import { Notifications } from "../database/Notifications.ts"
import { topicOf } from "../database/Topics.ts"
import { Draining } from "../ops/Draining.ts"
import { makeBulkhead } from "../ops/Bulkhead.ts"
import { clientDisconnected, SessionEnded, withoutSlot } from "../ops/RequestSlot.ts"
import { Branches } from "./Branches.ts"
import { columnsWithThoughts, type MessageRow, pageOf, toMessage } from "./MessageRow.ts"
import { pathFrom } from "./Paths.ts"

/** Milliseconds after which a waiting request reads again, because a notification can be lost. */
const recheckEvery = 2_000
/** Milliseconds a waiting request may still wait when its process starts to drain. */
const drainingWait = 8_000
/** Waits of one user in one process; a further one is answered immediately, as if its time were over. */
const maximumWaits = 5

export interface HistoryQuery {
  readonly limit: number
  readonly before?: string | undefined
  readonly after?: string | undefined
  /** `active`: only the messages of the active branch, of which `before` and `after` are two. */
  readonly branch?: "active" | "all" | undefined
  /** Whether the messages have their thoughts. */
  readonly thoughts?: boolean | undefined
}

/** A message, and what the stream of a reply needs besides. */
export interface MessageState {
  readonly message: Message
  /** When the next attempt at a waiting reply is due. */
  readonly retryAt: string | null
  /** The automatic title that the room has got since the question was accepted; null when there is none. */
  readonly title: string | null
  /** Whether the reply shows summaries of the model's thoughts. */
  readonly summaries: boolean
}

/** Reads messages: one, the newest, a page, or one as soon as it has ended. */
export class Messages extends Context.Service<
  Messages,
  {
    readonly state: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<MessageState, ChatroomNotFound | MessageNotFound>
    readonly get: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound>
    /**
     * The message as soon as it has ended, or as it is after `seconds`, or when the session of the request has ended, or at
     * once when the user has too many waits.
     */
    readonly awaitEnd: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId,
      seconds: number
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound>
    /** The room's newest question and its newest reply, as soon as the reply has ended, or as it is after `seconds`. */
    readonly latest: (
      userId: UserId,
      roomId: ChatroomId,
      seconds: number
    ) => Effect.Effect<{ readonly message: Message | null; readonly reply: Message | null }, ChatroomNotFound | MessageNotFound>
    /** Newest first; with `after`, the messages after it, oldest first. Fewer than the limit when their texts are long. */
    readonly history: (
      userId: UserId,
      roomId: ChatroomId,
      query: HistoryQuery
    ) => Effect.Effect<{ readonly messages: Array<Message>; readonly hasMore: boolean }, ChatroomNotFound>
    /**
     * The messages of these ids, in their order: those of the first `looked` ids, fewer than all when their texts are long.
     * A message that was deleted is missing.
     */
    readonly ofIds: (
      userId: UserId,
      ids: ReadonlyArray<MessageId>,
      thoughts: boolean
    ) => Effect.Effect<{ readonly messages: Array<Message>; readonly looked: number }>
  }
>()("chat-backend/chat/Messages") {
  static readonly layer = Layer.effect(
    Messages,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      const replica = yield* Replica
      const historySql = yield* replica.over(sql)
      const slowSql = yield* Effect.flatMap(SqlClient.SqlClient, replica.over)
      const branches = yield* Branches
      const notifications = yield* Notifications
      const draining = yield* Draining
      const selected = sql.literal(columnsWithThoughts)
      const waits = makeBulkhead({ permits: maximumWaits, waiting: 0, maxWait: 0 })

      /** Returns the rows; when there are none, fails if the room does not exist. */
      const inRoom = Effect.fnUntraced(function* <Row>(userId: UserId, roomId: ChatroomId, rows: ReadonlyArray<Row>) {
        if (rows.length > 0) return rows
        const [room] = yield* sql`select 1 from chatrooms where user_id = ${userId} and id = ${roomId}`.pipe(Effect.orDie)
        return room === undefined ? yield* new ChatroomNotFound() : rows
      })

      const find = Effect.fnUntraced(function* <Row extends MessageRow>(
        userId: UserId,
        roomId: ChatroomId,
        id: MessageId,
        selected: Statement.Fragment
      ) {
        const rows = yield* sql<Row>`
          select ${selected} from messages m where user_id = ${userId} and id = ${id} and chatroom_id = ${roomId}
        `.pipe(Effect.orDie)
        const [row] = yield* inRoom(userId, roomId, rows)
        return row ?? (yield* new MessageNotFound())
      })

      const state: Messages["Service"]["state"] = Effect.fn("Messages.state")(function* (userId, roomId, id) {
        const row = yield* find<MessageRow & { retryAt: Date | null; title: string | null; summaries: boolean }>(
          userId,
          roomId,
          id,
          sql`${selected}, retry_at, (
            select c.title from chatrooms c where c.user_id = m.user_id and c.id = m.chatroom_id
              and c.title_source in ('words', 'model') and c.titled_at > m.created_at
          ) as title, coalesce((settings #>> '{thinking,summaries}')::boolean, false) as summaries`
        )
        return { message: toMessage(row), retryAt: isoOrNull(row.retryAt), title: row.title, summaries: row.summaries }
      })
      const get: Messages["Service"]["get"] = Effect.fn("Messages.get")((userId, roomId, id) =>
        Effect.map(find(userId, roomId, id, selected), toMessage)
      )

      const waitForEnd = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId, id: MessageId, seconds: number) {
        let deadline = (yield* Clock.currentTimeMillis) + seconds * 1000
        while (true) {
          // Listens before it reads, so that no end is missed between the two.
          const notified = yield* Effect.forkChild(notifications.once(topicOf("reply", id)), { startImmediately: true })
          const message = toMessage(yield* find(userId, roomId, id, selected))
          const now = yield* Clock.currentTimeMillis
          // A draining process answers soon with the current state; the client can ask another process.
          if (draining.isDraining()) deadline = Math.min(deadline, now + drainingWait - recheckEvery)
          const left = deadline - now
          if (!hasEnded(message) && left > 0) {
            const change = Effect.timeoutOption(Fiber.join(notified), Math.min(left, recheckEvery))
            const disconnected = Effect.as(clientDisconnected, undefined)
            const sessionEnded = Effect.as(Effect.flatten(SessionEnded), undefined)
            const waited = yield* withoutSlot(Effect.raceAllFirst([change, disconnected, sessionEnded]), {
              onFull: Effect.undefined
            })
            // Too many requests wait, the client has disconnected, or its session has ended: return the current state, as on timeout.
            if (waited === undefined) deadline = now
          }
          yield* Fiber.interrupt(notified)
          if (hasEnded(message) || deadline <= now) return message
        }
      })

      const awaitEnd: Messages["Service"]["awaitEnd"] = Effect.fn("Messages.awaitEnd")((userId, roomId, id, seconds) =>
        seconds === 0
          ? get(userId, roomId, id)
          : Effect.catchTag(waits.run(userId, waitForEnd(userId, roomId, id, seconds)), "BulkheadFull", () =>
              get(userId, roomId, id)
            )
      )

      const latest: Messages["Service"]["latest"] = Effect.fn("Messages.latest")(function* (userId, roomId, seconds) {
        const rows = yield* sql<MessageRow>`
          with question as (
            select id from messages where user_id = ${userId} and chatroom_id = ${roomId} and role = 'user'
            order by id desc limit 1
          )
          (select ${selected} from messages where user_id = ${userId} and id = (select id from question))
          union all
          (select ${selected} from messages where user_id = ${userId} and chatroom_id = ${roomId}
            and reply_to = (select id from question) order by id desc limit 1)
        `.pipe(Effect.orDie)
        const [message = null, reply = null] = (yield* inRoom(userId, roomId, rows)).map(toMessage)
        if (reply === null || hasEnded(reply) || seconds === 0) return { message, reply }
        return { message, reply: yield* awaitEnd(userId, roomId, reply.id, seconds) }
      })

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

      const history: Messages["Service"]["history"] = Effect.fn("Messages.history")(function* (userId, roomId, query) {
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

      const ofIds: Messages["Service"]["ofIds"] = Effect.fn("Messages.ofIds")(function* (userId, ids, thoughts) {
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

      return Messages.of({ state, get, awaitEnd, latest, history, ofIds })
    })
  )
}
