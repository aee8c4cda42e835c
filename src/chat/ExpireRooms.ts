import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { UserId } from "../api/auth/User.ts"
import type { ChatroomId } from "../api/chat/Chatroom.ts"
import { AppConfig } from "../config/Settings.ts"
import type { Task } from "../queue/Tasks.ts"
import { Chatrooms } from "./Chatrooms.ts"

/** Rooms that are looked up at once; each is deleted in a transaction of its own. */
const batch = 200

/**
 * Deletes rooms without a message for `ROOM_RETENTION_DAYS`, as their users would. Reads the whole table, once a day and
 * only where the setting asks for it: an index would cost every message a write.
 */
export const makeExpireRoomsTask = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const chatrooms = yield* Chatrooms
  const { roomRetentionDays } = yield* AppConfig
  const deleteSome = Effect.gen(function* () {
    const rooms = yield* sql<{ userId: UserId; id: ChatroomId }>`
      select user_id, id from chatrooms
      where kind = 'chat' and active_at < now() - make_interval(days => ${roomRetentionDays}) and not pinned and unfinished = 0 limit ${batch}
    `
    // The user may have deleted one meanwhile.
    for (const { id, userId } of rooms) yield* Effect.ignore(chatrooms.remove(userId, id))
    return rooms.length
  })
  const task: Task = {
    name: "expire_rooms",
    run: () => (roomRetentionDays === 0 ? Effect.void : Effect.repeat(deleteSome, { until: (found) => found < batch })),
    cron: "20 3 * * *"
  }
  return task
})
