import { Context, Effect, Layer } from "effect"
import type { Statement } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { type ChatroomNotFound, MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { hasEnded, type Message, type MessageId } from "../api/chat/Message.ts"
import { isoOrNull } from "../api/Schemas.ts"
import { ReadSql } from "../database/Database.ts"
import { makeInRoom } from "./InRoom.ts"
import { type HistoryQuery, makeMessagePages } from "./MessagePages.ts"
import { columnsWithThoughts, type MessageRow, toMessage } from "./MessageRow.ts"
import { makeWaitForEnd } from "./WaitForEnd.ts"

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
      const inRoom = makeInRoom(sql)
      const { history, ofIds } = yield* makeMessagePages
      const selected = sql.literal(columnsWithThoughts)

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

      const read = (userId: UserId, roomId: ChatroomId, id: MessageId) =>
        Effect.map(find(userId, roomId, id, selected), toMessage)
      const waitForEnd = yield* makeWaitForEnd(read)

      const get: Messages["Service"]["get"] = Effect.fn("Messages.get")(read)

      const awaitEnd: Messages["Service"]["awaitEnd"] = Effect.fn("Messages.awaitEnd")((userId, roomId, id, seconds) =>
        seconds === 0
          ? get(userId, roomId, id)
          : Effect.catchTag(waitForEnd(userId, roomId, id, seconds), "BulkheadFull", () => get(userId, roomId, id))
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

      return Messages.of({ state, get, awaitEnd, latest, history, ofIds })
    })
  )
}
