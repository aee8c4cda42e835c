import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { type SqlError, UniqueViolation } from "effect/sql/SqlError"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound, ChatroomsLimited, TooManyChatrooms } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { Throttle } from "../auth/Throttle.ts"
import { channel } from "../database/Notifications.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { maximumChatrooms, newRooms } from "./ChatroomRow.ts"
import { defaultTitle } from "./Titles.ts"

const isTaken = ({ reason }: SqlError): boolean => reason instanceof UniqueViolation

/** Rooms whose ids their clients have chosen. */
export class RoomOpening extends Context.Service<
  RoomOpening,
  {
    /** Opens an empty room with the defaults of all settings, unless the user has it. Another user's room is not found. */
    readonly open: (userId: UserId, id: ChatroomId) => Effect.Effect<void, ChatroomNotFound | ChatroomsLimited | TooManyChatrooms>
    /** Deletes the room if it has no message: the question for which it was opened was refused. */
    readonly undo: (userId: UserId, id: ChatroomId) => Effect.Effect<void>
  }
>()("chat-backend/chat/RoomOpening") {
  static readonly layer = Layer.effect(
    RoomOpening,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const throttle = yield* Throttle

      /** Whose room it is; undefined when no user has it. */
      const ownerOf = Effect.fnUntraced(function* (id: ChatroomId) {
        const [room] = yield* sql<{ userId: string }>`select user_id from chatrooms where id = ${id}`.pipe(Effect.orDie)
        return room?.userId
      })

      const insert = (userId: UserId, id: ChatroomId) =>
        sql`
          with place as (
            update users set chatrooms = chatrooms + 1 where id = ${userId} and chatrooms < ${maximumChatrooms} returning 1
          )
          insert into chatrooms (user_id, id, title, title_source) select ${userId}, ${id}, ${defaultTitle}, 'default' from place
          returning pg_notify(${channel}, ${topicOf("chatrooms", userId)})
        `.pipe(retryConflicts(sql))

      const open: RoomOpening["Service"]["open"] = Effect.fn("RoomOpening.open")(function* (userId, id) {
        const owner = yield* ownerOf(id)
        if (owner !== undefined && owner !== userId) return yield* new ChatroomNotFound()
        if (owner === userId) return
        const retryAfter = yield* throttle.take(`chatrooms:${userId}`, newRooms)
        if (retryAfter > 0) return yield* new ChatroomsLimited({ retryAfter })
        // Another request may open a room of this id at the same time.
        const rows = yield* insert(userId, id).pipe(
          Effect.catchIf(isTaken, () => Effect.undefined),
          Effect.orDie
        )
        if (rows === undefined) return (yield* ownerOf(id)) === userId ? undefined : yield* new ChatroomNotFound()
        if (rows.length === 0) return yield* new TooManyChatrooms({ limit: maximumChatrooms })
      })

      const undo: RoomOpening["Service"]["undo"] = Effect.fn("RoomOpening.undo")(function* (userId, id) {
        // Each statement sees what was committed before its lock, so a question that another request asked meanwhile is kept.
        yield* Effect.gen(function* () {
          yield* sql`select from users where id = ${userId} for no key update`
          const deleted = yield* sql`
            delete from chatrooms where user_id = ${userId} and id = ${id} and last_message_at is null
            returning pg_notify(${channel}, ${topicOf("chatrooms", userId)})
          `
          if (deleted.length > 0) yield* sql`update users set chatrooms = chatrooms - 1 where id = ${userId}`
        }).pipe(sql.withTransaction, retryConflicts(sql), Effect.orDie)
      })

      return RoomOpening.of({ open, undo })
    })
  )
}
