import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Whether a shared link shows the files of its messages. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`alter table shares add column attachments boolean not null default false`
})
