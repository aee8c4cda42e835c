import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound, SummaryNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import type { RoomSummary } from "../api/chat/RoomSummary.ts"
import { iso } from "../api/Schemas.ts"
import { ReadSql } from "../database/Database.ts"
import type { RowOf } from "../database/Rows.ts"

/** The summaries of long rooms, for their users. `SummaryMaker` makes them. */
export class Summaries extends Context.Service<
  Summaries,
  {
    readonly find: (userId: UserId, roomId: ChatroomId) => Effect.Effect<RoomSummary, ChatroomNotFound | SummaryNotFound>
    /** Deletes the summary, if there is one; one that is being made is not stored. */
    readonly remove: (userId: UserId, roomId: ChatroomId) => Effect.Effect<void, ChatroomNotFound>
  }
>()("chat-backend/chat/Summaries") {
  static readonly layer = Layer.effect(
    Summaries,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql

      const find: Summaries["Service"]["find"] = Effect.fn("Summaries.find")(function* (userId, roomId) {
        const [row] = yield* readSql<RowOf<RoomSummary> & { readonly found: boolean }>`
          select s.body is not null as found, s.upto_id as up_to, s.tokens, s.body as text, s.model, s.created_at
          from chatrooms c left join room_summaries s on s.user_id = c.user_id and s.chatroom_id = c.id
          where c.user_id = ${userId} and c.id = ${roomId}
        `.pipe(Effect.orDie)
        if (row === undefined) return yield* new ChatroomNotFound()
        if (!row.found) return yield* new SummaryNotFound()
        return { upTo: row.upTo, tokens: row.tokens, text: row.text, model: row.model, createdAt: iso(row.createdAt) }
      })

      const remove: Summaries["Service"]["remove"] = Effect.fn("Summaries.remove")(function* (userId, roomId) {
        const rooms = yield* sql`
          with deleted as (delete from room_summaries where user_id = ${userId} and chatroom_id = ${roomId})
          select from chatrooms where user_id = ${userId} and id = ${roomId}
        `.pipe(Effect.orDie)
        if (rooms.length === 0) return yield* new ChatroomNotFound()
      })

      return Summaries.of({ find, remove })
    })
  )
}
