import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { takeThrottles } from "./functions/takeThrottles.ts"

/** Several allowances in one statement, and the inbox by age. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* takeThrottles
  yield* sql`create index webhook_events_done on webhook_events (received_at) where outcome <> 'pending'`
})
