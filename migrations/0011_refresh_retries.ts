import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * The refresh token that was exchanged last, and when it was first. Null until a session's next exchange; then the last
 * one is the counter before the current one, at `rotated_at`.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table sessions add column previous_counter integer, add column exchanged_at timestamptz`
})
