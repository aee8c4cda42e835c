import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { keyLifetime } from "../database/IdempotencyKeys.ts"
import { retryConflicts } from "../database/Transactions.ts"
import type { Task } from "../queue/Tasks.ts"

/** Completions that one statement deletes. */
const batch = 500

/**
 * Deletes completions, with their messages and files, when no idempotency key can ask for them again. The lock of the user
 * comes first, as in every transaction that changes rooms and files; users whose row is locked have to wait for the next run.
 */
export const makeExpireCompletionsTask = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const deleteSome = sql<{ readonly deleted: number }>`
    with due as materialized (
      select user_id, id from chatrooms
      where kind = 'completion' and created_at < now() - ${keyLifetime}::text::interval and unfinished = 0
      order by created_at limit ${batch}
    ), locked as materialized (
      select id from users where id in (select user_id from due) order by id for no key update skip locked
    ), gone as (
      delete from chatrooms c using due, locked
      where locked.id = due.user_id and c.user_id = due.user_id and c.id = due.id and c.unfinished = 0
      returning 1
    )
    select count(*)::int as deleted from gone
  `.pipe(retryConflicts(sql))
  const task: Task = {
    name: "expire_completions",
    run: () => Effect.repeat(deleteSome, { until: ([row]) => (row?.deleted ?? 0) < batch }),
    cron: "*/10 * * * *"
  }
  return task
})
