import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * No two users have rooms of one id, because clients of the AI SDK choose the ids of theirs. `if not exists`, so that an
 * operator can make the index before the deploy: `create unique index concurrently chatrooms_id on chatrooms (id)`.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create unique index if not exists chatrooms_id on chatrooms (id)`
})
