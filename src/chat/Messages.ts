import { Clock, Context, Effect, Fiber, Layer } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { ReadSql } from "../database/Database.ts"
import { Notifications } from "../database/Notifications.ts"
import { clientDisconnected, withoutSlot } from "../ops/RequestSlot.ts"
import { Draining } from "../ops/Draining.ts"
import { isoOrNull } from "../api/Schemas.ts"
import { ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { columns, type MessageRow, toMessage } from "./MessageRow.ts"
import { topicOf } from "../database/Topics.ts"

/** A waiting request looks again after this long, should its wake-up have been lost. */
const recheck = 2_000
/** Milliseconds a waiting request still gets when its process is told to go. */
const whileDraining = 8_000

export interface HistoryQuery {
  readonly limit: number
  readonly before?: string | undefined
  readonly after?: string | undefined
}

/** Reads messages: one, the newest, a page, or one as soon as it has ended. */
export class Messages extends Context.Service<
  Messages,
  {
    /** A message, and when its next attempt is due. */
    readonly state: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<{ readonly message: Message; readonly retryAt: string | null }, ChatroomNotFound | MessageNotFound>
    readonly get: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<Message, ChatroomNotFound | MessageNotFound>
    /** The message as soon as it has ended, or as it is after `seconds`. */
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
    /** Newest first; with `after`, what came after it, oldest first. */
    readonly history: (
      userId: UserId,
      roomId: ChatroomId,
      query: HistoryQuery
    ) => Effect.Effect<{ readonly messages: Array<Message>; readonly hasMore: boolean }, ChatroomNotFound>
  }
>()("chat-backend/chat/Messages") {
  static readonly layer = Layer.effect(
    Messages,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      const notifications = yield* Notifications
      const draining = yield* Draining
      const selected = sql.literal(columns)

      /** Rows that belong to the room; an empty answer says whether the room is there at all. */
      const inRoom = Effect.fnUntraced(function* <Row>(userId: UserId, roomId: ChatroomId, rows: ReadonlyArray<Row>) {
        if (rows.length > 0) return rows
        const [room] = yield* sql`select 1 from chatrooms where user_id = ${userId} and id = ${roomId}`.pipe(Effect.orDie)
        return room === undefined ? yield* new ChatroomNotFound() : rows
      })

      const state: Messages["Service"]["state"] = Effect.fnUntraced(function* (userId, roomId, id) {
        const rows = yield* sql<MessageRow & { retryAt: Date | null }>`
          select ${selected}, retry_at from messages where user_id = ${userId} and id = ${id} and chatroom_id = ${roomId}
        `.pipe(Effect.orDie)
        const [row] = yield* inRoom(userId, roomId, rows)
        return row === undefined ? yield* new MessageNotFound() : { message: toMessage(row), retryAt: isoOrNull(row.retryAt) }
      })
      const get: Messages["Service"]["get"] = (userId, roomId, id) =>
        Effect.map(state(userId, roomId, id), ({ message }) => message)

      const awaitEnd: Messages["Service"]["awaitEnd"] = Effect.fn("Messages.awaitEnd")(function* (userId, roomId, id, seconds) {
        let deadline = (yield* Clock.currentTimeMillis) + seconds * 1000
        while (true) {
          // Listening starts before looking, so that no end can fall between the two.
          const woken = yield* Effect.forkChild(notifications.once(topicOf("reply", id)), { startImmediately: true })
          const message = yield* get(userId, roomId, id)
          const now = yield* Clock.currentTimeMillis
          // A process that is going answers soon, with what there is by then: the client can ask another one.
          if (draining.isDraining()) deadline = Math.min(deadline, now + whileDraining - recheck)
          const left = deadline - now
          if (!hasEnded(message) && left > 0) {
            const news = Effect.timeoutOption(Fiber.join(woken), Math.min(left, recheck))
            const hungUp = Effect.as(clientDisconnected, undefined)
            const waited = yield* withoutSlot(Effect.raceFirst(news, hungUp), { onFull: Effect.undefined })
            // Too many waiters, or the client hung up: return the current state, as on timeout.
            if (waited === undefined) deadline = now
          }
          yield* Fiber.interrupt(woken)
          if (hasEnded(message) || deadline <= now) return message
        }
      })

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

      const history: Messages["Service"]["history"] = Effect.fn("Messages.history")(function* (userId, roomId, query) {
        const forwards = query.after !== undefined
        const rows = yield* sql<MessageRow>`
          select ${selected} from messages
          where ${sql.and([
            sql`user_id = ${userId}`,
            sql`chatroom_id = ${roomId}`,
            ...(query.before === undefined ? [] : [sql`id < ${query.before}::uuid`]),
            ...(query.after === undefined ? [] : [sql`id > ${query.after}::uuid`])
          ])}
          order by ${sql.literal(forwards ? "id asc" : "id desc")} limit ${query.limit + 1}
        `.pipe(Effect.orDie)
        const found = yield* inRoom(userId, roomId, rows)
        return { messages: found.slice(0, query.limit).map(toMessage), hasMore: found.length > query.limit }
      })

      return Messages.of({ state, get, awaitEnd, latest, history })
    })
  )
}
