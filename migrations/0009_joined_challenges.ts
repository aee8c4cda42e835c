import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * Which client a code was sent for, and challenges of other clients for the same code. Codes of the previous release's
 * processes have no client, as those of clients behind an untrusted proxy.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table otp_challenges add column client text, add column is_familiar boolean not null default false`
  // What a number's codes were guessed in a day is counted over all of them, used or not.
  yield* sql`create index otp_challenges_of_number on otp_challenges (mobile, created_at)`
  yield* sql`
    create table otp_joined_challenges (
      id uuid primary key,
      code_id uuid not null references otp_challenges on delete cascade,
      client text,
      created_at timestamptz not null default clock_timestamp()
    )
  `
  yield* sql`create index otp_joined_challenges_of_code on otp_joined_challenges (code_id)`
})
