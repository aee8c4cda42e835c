import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { UserId } from "../api/auth/User.ts"
import {
  ChatroomNotFound,
  ChatroomsLimited,
  MessageNotFound,
  NotAQuestion,
  NotFinished,
  TooManyChatrooms,
  TooManyMessages
} from "../api/chat/ChatErrors.ts"
import type { Chatroom, ChatroomId, ForkChatroom } from "../api/chat/Chatroom.ts"
import type { MessageId } from "../api/chat/Message.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { Throttle } from "../auth/Throttle.ts"
import { ReadSql } from "../database/Database.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { type ChatroomRow, maximumChatrooms, newRooms, roomColumns, toChatroom } from "./ChatroomRow.ts"
import { pathFrom } from "./Paths.ts"

/** Messages that a copy of a conversation may have. */
export const maximumCopied = 2_000

type DeleteOutcome = "deleted" | "chatroom_not_found" | "message_not_found" | "not_a_question" | "not_finished"
type ForkOutcome =
  | "forked"
  | "chatroom_not_found"
  | "message_not_found"
  | "not_finished"
  | "too_many_messages"
  | "too_many_chatrooms"
type MoveOutcome = "moved" | "chatroom_not_found" | "message_not_found" | "not_finished"

/** The branches of a room: its messages are a tree, and the room stands on one of them, its head. */
export class Branches extends Context.Service<
  Branches,
  {
    /** The message on which the room stands; null in an empty room. Fills a room from before there were branches. */
    readonly headOf: (userId: UserId, roomId: ChatroomId) => Effect.Effect<MessageId | null, ChatroomNotFound>
    /** The ids of the active branch, from the first question to the head. */
    readonly activePath: (userId: UserId, roomId: ChatroomId) => Effect.Effect<ReadonlyArray<MessageId>, ChatroomNotFound>
    /** Moves the room to the branch of a message, in a transaction of the caller's. */
    readonly moveTo: (
      userId: UserId,
      roomId: ChatroomId,
      messageId: string
    ) => Effect.Effect<void, ChatroomNotFound | NotFinished | ValidationFailed>
    /** Copies a branch into a new room. */
    readonly fork: (
      userId: UserId,
      roomId: ChatroomId,
      input: ForkChatroom
    ) => Effect.Effect<
      Chatroom,
      ChatroomNotFound | MessageNotFound | NotFinished | TooManyMessages | TooManyChatrooms | ChatroomsLimited
    >
    /** Deletes a question with its replies and everything that follows them. */
    readonly remove: (
      userId: UserId,
      roomId: ChatroomId,
      id: MessageId
    ) => Effect.Effect<void, ChatroomNotFound | MessageNotFound | NotAQuestion | NotFinished>
  }
>()("chat-backend/chat/Branches") {
  static readonly layer = Layer.effect(
    Branches,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const throttle = yield* Throttle

      const headOf: Branches["Service"]["headOf"] = Effect.fn("Branches.headOf")(function* (userId, roomId) {
        const [room] = yield* readSql<{ headId: MessageId | null }>`
          select head_id from chatrooms where user_id = ${userId} and id = ${roomId}
        `.pipe(Effect.orDie)
        if (room === undefined) return yield* new ChatroomNotFound()
        if (room.headId !== null) return room.headId
        const [filled] = yield* sql<{ headId: MessageId | null }>`select fill_branches(${userId}, ${roomId}) as head_id`.pipe(
          retryConflicts(sql),
          Effect.orDie
        )
        return filled?.headId ?? null
      })

      const activePath: Branches["Service"]["activePath"] = Effect.fn("Branches.activePath")(function* (userId, roomId) {
        const head = yield* headOf(userId, roomId)
        const path = yield* sql<{ id: MessageId }>`
          with recursive ${pathFrom(sql, { userId, roomId, from: head })} select id from path order by position desc
        `.pipe(Effect.orDie)
        return path.map(({ id }) => id)
      })

      const moveTo: Branches["Service"]["moveTo"] = Effect.fn("Branches.moveTo")(function* (userId, roomId, messageId) {
        const [row] = yield* sql<{ outcome: MoveOutcome }>`
          select stand_on(p_user => ${userId}, p_room => ${roomId}, p_message => ${messageId}) as outcome
        `.pipe(Effect.orDie)
        switch (row?.outcome) {
          case "moved":
            return
          case "not_finished":
            return yield* new NotFinished()
          case "message_not_found":
            return yield* new ValidationFailed({ errors: [{ path: "/headId", message: "is not a message of this chatroom" }] })
          default:
            return yield* new ChatroomNotFound()
        }
      })

      const fork: Branches["Service"]["fork"] = Effect.fn("Branches.fork")(function* (userId, roomId, { messageId, title }) {
        const retryAfter = yield* throttle.take(`chatrooms:${userId}`, newRooms)
        if (retryAfter > 0) return yield* new ChatroomsLimited({ retryAfter })
        const copy = uuid()
        const [row] = yield* sql<{ outcome: ForkOutcome }>`
          select fork_chatroom(p_user => ${userId}, p_room => ${roomId}, p_message => ${messageId ?? null}, p_copy => ${copy},
            p_title => ${title ?? null}, p_room_limit => ${maximumChatrooms}, p_message_limit => ${maximumCopied}) as outcome
        `.pipe(retryConflicts(sql), Effect.orDie)
        switch (row?.outcome) {
          case "forked": {
            const [room] = yield* sql<ChatroomRow>`
              select ${sql.literal(roomColumns)} from chatrooms where user_id = ${userId} and id = ${copy}
            `.pipe(Effect.orDie)
            return room === undefined ? yield* new ChatroomNotFound() : toChatroom(room)
          }
          case "message_not_found":
            return yield* new MessageNotFound()
          case "not_finished":
            return yield* new NotFinished()
          case "too_many_messages":
            return yield* new TooManyMessages({ limit: maximumCopied })
          case "too_many_chatrooms":
            return yield* new TooManyChatrooms({ limit: maximumChatrooms })
          default:
            return yield* new ChatroomNotFound()
        }
      })

      const remove: Branches["Service"]["remove"] = Effect.fn("Branches.remove")(function* (userId, roomId, id) {
        const [row] = yield* sql<{ outcome: DeleteOutcome }>`
          select delete_message(p_user => ${userId}, p_room => ${roomId}, p_message => ${id}) as outcome
        `.pipe(retryConflicts(sql), Effect.orDie)
        switch (row?.outcome) {
          case "deleted":
            return
          case "message_not_found":
            return yield* new MessageNotFound()
          case "not_a_question":
            return yield* new NotAQuestion()
          case "not_finished":
            return yield* new NotFinished()
          default:
            return yield* new ChatroomNotFound()
        }
      })

      return Branches.of({ headOf, activePath, moveTo, fork, remove })
    })
  )
}
