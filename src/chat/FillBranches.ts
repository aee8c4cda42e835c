import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Announcer } from "../queue/Announcer.ts"
import type { Task } from "../queue/Tasks.ts"

/** Rooms that one job fills, each in a transaction of its own, so that a room is locked for milliseconds. */
const batch = 500

/** The room after which a job begins. */
const decode = Schema.decodeUnknownEffect(
  Schema.Struct({ userId: Schema.optionalKey(Schema.String), roomId: Schema.optionalKey(Schema.String) })
)
const beforeAll = "00000000-0000-0000-0000-000000000000"

/** Gives the rooms from before there were branches their trees; the migration adds the first job, each job the next one. */
export const makeFillBranchesTask = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const announcer = yield* Announcer

  const run = Effect.fn("FillBranches.run")(function* (payload: unknown) {
    const { roomId = beforeAll, userId = beforeAll } = yield* decode(payload)
    const rooms = yield* sql<{ userId: string; id: string }>`
      select user_id, id from chatrooms
      where (user_id, id) > (${userId}::uuid, ${roomId}::uuid) and head_id is null and last_message_at is not null
      order by user_id, id limit ${batch}
    `
    for (const room of rooms) yield* sql`select fill_branches(${room.userId}, ${room.id})`.pipe(retryConflicts(sql))
    const users = new Set(rooms.map((room) => room.userId))
    yield* announcer.announce({ topics: Array.from(users, (user) => topicOf("chatrooms", user)) })
    const last = rooms.at(-1)
    if (last === undefined || rooms.length < batch) return
    const next = JSON.stringify({ userId: last.userId, roomId: last.id })
    yield* sql`select id from graphile_worker.add_job('fill_branches', ${next}::text::json, job_key => 'fill_branches')`
  })

  const task: Task = { name: "fill_branches", run }
  return task
})
