import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { UserId } from "../api/auth/User.ts"
import type { ChatroomsLimited, TooManyChatrooms } from "../api/chat/ChatErrors.ts"
import type { Chatroom } from "../api/chat/Chatroom.ts"
import { isoOrNull } from "../api/Schemas.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Chatrooms } from "./Chatrooms.ts"

/** A message to copy, with the question that it is or answers. */
export interface CopiedMessage {
  readonly id: string
  readonly questionId: string
}

/** Makes rooms out of messages of other rooms. */
export class RoomCopies extends Context.Service<
  RoomCopies,
  {
    /**
     * A new room of the user with these messages of `ownerId`, in this order. Takes over what a reader sees: texts, models,
     * sources and times, but not settings, thoughts, usage or feedback.
     */
    readonly copy: (
      userId: UserId,
      title: string,
      from: { readonly ownerId: string; readonly messages: ReadonlyArray<CopiedMessage> }
    ) => Effect.Effect<Chatroom, TooManyChatrooms | ChatroomsLimited>
  }
>()("chat-backend/chat/RoomCopies") {
  static readonly layer = Layer.effect(
    RoomCopies,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const chatrooms = yield* Chatrooms

      const copy: RoomCopies["Service"]["copy"] = Effect.fn("RoomCopies.copy")(
        function* (userId, title, { messages, ownerId }) {
          const room = yield* chatrooms.create(userId, { title })
          const ids = new Map(messages.map(({ id }) => [id, uuid()] as const))
          const copied = messages.map(({ id, questionId }) => ({
            source: id,
            id: ids.get(id),
            reply_to: id === questionId ? undefined : ids.get(questionId)
          }))
          yield* sql`
            insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, attempt, finish_reason, truncated, model,
              grounding, output, created_at, completed_at)
            select ${userId}, c.id, ${room.id}, m.role, m.content, 'completed', c.reply_to, case m.role when 'model' then 1 else 0 end,
              m.finish_reason, m.truncated, m.model, m.grounding, m.output, m.created_at, m.created_at
            from json_to_recordset(${JSON.stringify(copied)}::text::json) as c (source uuid, id uuid, reply_to uuid)
            join messages m on m.user_id = ${ownerId} and m.id = c.source
          `
          const [row] = yield* sql<{ lastMessageAt: Date }>`
            update chatrooms set last_message_at = date_trunc('milliseconds', clock_timestamp())
            where user_id = ${userId} and id = ${room.id} returning last_message_at
          `
          const [filled] = yield* sql<{ headId: string | null }>`select fill_branches(${userId}, ${room.id}) as head_id`
          return { ...room, headId: filled?.headId ?? null, lastMessageAt: isoOrNull(row?.lastMessageAt ?? null) }
        },
        sql.withTransaction,
        retryConflicts(sql),
        Effect.catchTag("SqlError", Effect.die)
      )

      return RoomCopies.of({ copy })
    })
  )
}
