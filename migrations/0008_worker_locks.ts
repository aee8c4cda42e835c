import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** A worker that holds an advisory lock while it lives: since when. Null in workers of the release before. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table worker_heartbeats add column locked_since timestamptz`
})
