import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Keys with which programs of a user ask questions. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    create table api_keys (
      user_id uuid not null references users on delete cascade,
      id uuid not null,
      name text not null,
      -- SHA-256 of the key, which is stored nowhere, and its last characters.
      key_hash text not null,
      last4 text not null,
      created_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
      expires_at timestamptz,
      -- Only the hour, so that a key costs a write an hour.
      last_used_at timestamptz,
      primary key (user_id, id)
    )
  `
  yield* sql`create unique index api_keys_hash on api_keys (key_hash)`
})
