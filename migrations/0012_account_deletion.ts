import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** A subscription that its user had when the account was deleted: it is ended without a refund. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table subscriptions add column account_deleted_at timestamptz`
})
