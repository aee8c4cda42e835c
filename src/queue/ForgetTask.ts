import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import type { Task } from "./Tasks.ts"

/** Rows that one statement deletes: few enough to end long before its time-out. */
const batch = 5_000

/**
 * A task that deletes a table's old rows every ten minutes, in batches. `old` is the condition, in SQL. It passes over
 * rows that a transaction has locked, so that it never waits or deadlocks; the next run finds them.
 */
export const makeForgetTask = Effect.fnUntraced(function* (table: string, old: string) {
  const sql = yield* SqlClient.SqlClient
  const deleteSome = sql<{ deleted: number }>`
    with gone as (
      delete from ${sql(table)} where ctid = any (array(
        select ctid from ${sql(table)} where ${sql.literal(old)} limit ${batch} for update skip locked))
      returning 1
    )
    select count(*)::int as deleted from gone
  `
  const task: Task = {
    name: `forget_${table}`,
    run: () => Effect.repeat(deleteSome, { until: ([row]) => (row?.deleted ?? 0) < batch }),
    cron: "*/10 * * * *"
  }
  return task
})
