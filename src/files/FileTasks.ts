import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { retryConflicts } from "../database/Transactions.ts"
import type { Task } from "../queue/Tasks.ts"
import { Files } from "./Files.ts"

/** Files that one statement deletes, and whose bytes are removed by one job before it looks again. */
const batch = 100

/** Deletes uploads that their process has not ended, and files that no question has used. */
const makeExpireFiles = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  /** Users whose row is locked are passed over until the next run; the lock of the user comes first. */
  const deleteSome = sql<{ readonly deleted: number }>`
    with due as materialized (
      select user_id, id from files where expires_at <= clock_timestamp() order by expires_at limit ${batch}
    ), locked as materialized (
      select id from users where id in (select user_id from due) order by id for no key update skip locked
    ), gone as (
      delete from files f using due, locked
      where locked.id = due.user_id and f.user_id = due.user_id and f.id = due.id and f.expires_at <= clock_timestamp()
      returning 1
    )
    select count(*)::int as deleted from gone
  `.pipe(retryConflicts(sql))
  const task: Task = {
    name: "expire_files",
    run: () => Effect.repeat(deleteSome, { until: ([row]) => (row?.deleted ?? 0) < batch }),
    cron: "*/10 * * * *"
  }
  return task
})

/** Removes the bytes of deleted files, and of uploads that have failed. */
const makeRemoveFiles = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const files = yield* Files
  const removeOne = Effect.fnUntraced(function* (key: { readonly userId: string; readonly fileId: string }) {
    yield* files.remove(key)
    yield* sql`delete from file_removals where user_id = ${key.userId} and file_id = ${key.fileId}`
  })
  const removeSome = Effect.gen(function* () {
    const due = yield* sql<{ readonly userId: string; readonly fileId: string }>`
      select user_id, file_id from file_removals limit ${batch}
    `
    yield* Effect.forEach(due, removeOne, { discard: true })
    return due.length
  })
  const task: Task = {
    name: "remove_files",
    run: () => Effect.repeat(removeSome, { until: (count) => count < batch }),
    cron: "* * * * *"
  }
  return task
})

export const makeFileTasks = Effect.all([makeExpireFiles, makeRemoveFiles])
