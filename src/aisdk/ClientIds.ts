import { createHash } from "node:crypto"
import { Context, Effect, Layer, Schema } from "effect"
import type { UserId } from "../api/auth/User.ts"
import { MessageNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { MessageId } from "../api/chat/Message.ts"
import { Branches } from "../chat/Branches.ts"
import { Messages } from "../chat/Messages.ts"
import { ReadSql } from "../database/Database.ts"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import type { Question } from "./Question.ts"

/** A question of a client that the server has accepted. */
export interface KnownQuestion {
  readonly id: MessageId
  /**
   * The request that made it, which gets the same reply when it comes again, and the question of which it is another wording.
   * Undefined when it is too old, or was not made here.
   */
  readonly request: { readonly edited: MessageId | undefined } | undefined
}

/** The idempotency key of a question's first wording. Rooms may have questions of the same ids. */
export const keyOf = (roomId: ChatroomId, clientId: string): string =>
  `ui:${createHash("sha256").update(`${roomId}\n${clientId}`).digest("base64url")}`

/** The idempotency key of another wording of a question. A client keeps its id for all wordings. */
export const editKeyOf = (key: string, edited: MessageId): string => `${key}#${edited}`

const isMessageId = Schema.is(MessageId)

/**
 * Finds the messages that a client of the AI SDK means. The SDK gives a question an id of its own, which is the key under
 * which the question was accepted; a client that has loaded the chat has our ids. Replies have our ids in any case.
 */
export class ClientIds extends Context.Service<
  ClientIds,
  {
    /** The message of this id, if it is one of ours. */
    readonly message: (userId: UserId, roomId: ChatroomId, id: string) => Effect.Effect<MessageId | undefined>
    /**
     * The newest wording of the question; undefined when it has not been accepted. Fails when that cannot be known: keys are
     * kept for a day, and then a question is known by the reply before it.
     */
    readonly question: (
      userId: UserId,
      roomId: ChatroomId,
      question: Question
    ) => Effect.Effect<KnownQuestion | undefined, MessageNotFound>
  }
>()("chat-backend/aisdk/ClientIds") {
  static readonly layer = Layer.effect(
    ClientIds,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      const messages = yield* Messages
      const branches = yield* Branches

      const message: ClientIds["Service"]["message"] = Effect.fn("ClientIds.message")(function* (userId, roomId, id) {
        if (!isMessageId(id)) return undefined
        return yield* messages.get(userId, roomId, id).pipe(
          Effect.map((found) => found.id),
          Effect.catch(() => Effect.undefined)
        )
      })

      const byKey = Effect.fnUntraced(function* (userId: UserId, key: string) {
        const since = sql`created_at > now() - ${keyLifetime}::text::interval`
        const [row] = yield* sql<{ key: string; questionId: MessageId }>`
          select key, question_id from (
            select key, response ->> 'questionId' as question_id, created_at from idempotency_keys
            where user_id = ${userId} and route = 'sendMessage' and key = ${key} and ${since}
            union all
            select key, response ->> 'questionId', created_at from idempotency_keys
            where user_id = ${userId} and route = 'editMessage' and starts_with(key, ${`${key}#`}) and ${since}
          ) wordings order by created_at desc limit 1
        `.pipe(Effect.orDie)
        if (row === undefined) return undefined
        const [, edited] = row.key.split("#")
        return { id: row.questionId, request: { edited: isMessageId(edited) ? edited : undefined } }
      })

      /** The newest question that follows the reply. */
      const after = Effect.fnUntraced(function* (userId: UserId, roomId: ChatroomId, reply: MessageId) {
        const [row] = yield* sql<{ id: MessageId }>`
          select id from messages
          where user_id = ${userId} and chatroom_id = ${roomId} and role = 'user' and parent_id = ${reply}
          order by id desc limit 1
        `.pipe(Effect.orDie)
        return row
      })

      const question: ClientIds["Service"]["question"] = Effect.fn("ClientIds.question")(function* (userId, roomId, asked) {
        const known = yield* byKey(userId, keyOf(roomId, asked.clientId))
        if (known !== undefined) return known
        const own = yield* message(userId, roomId, asked.clientId)
        if (own !== undefined) return { id: own, request: undefined }
        // Finding the head also gives the messages of an old room their parents.
        const head = yield* branches.headOf(userId, roomId).pipe(Effect.catch(() => Effect.succeed(null)))
        if (head === null) return undefined
        const previous = yield* message(userId, roomId, asked.previousReply ?? "")
        if (previous === undefined) return yield* new MessageNotFound()
        const next = yield* after(userId, roomId, previous)
        return next === undefined ? undefined : { id: next.id, request: undefined }
      })

      return ClientIds.of({ message, question })
    })
  )
}
