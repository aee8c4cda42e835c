import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { recordCalls } from "./functions/recordCalls.ts"

/**
 * A promoted standby has the rows of the workers' locks, and not the locks: each names its timeline. A worker of the
 * previous release writes none, and its leases end by their time.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`alter table worker_heartbeats add column locked_timeline int`
  yield* recordCalls
})
