import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import { ChatroomNotFound } from "../api/chat/ChatErrors.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"

/** Makes the function that passes on the rows found in a room; when there are none, it fails if the room does not exist. */
export const makeInRoom = (sql: SqlClient.SqlClient) =>
  Effect.fnUntraced(function* <Row>(userId: UserId, roomId: ChatroomId, rows: ReadonlyArray<Row>) {
    if (rows.length > 0) return rows
    const [room] = yield* sql`select 1 from chatrooms where user_id = ${userId} and id = ${roomId}`.pipe(Effect.orDie)
    return room === undefined ? yield* new ChatroomNotFound() : rows
  })
