import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { authEventsAreFinal } from "./functions/authEventsAreFinal.ts"

/** Passwords, recovery sessions, and the history of what happened to an account. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`alter table users add column password_hash text`
  // Of a signup that is not proved yet: adopted only when the same client proves the number (see Users.activate).
  yield* sql`alter table users add column pending_password_hash text, add column pending_client text, add column pending_since timestamptz`
  // A session of a forgotten password: it can set a new one and nothing else.
  yield* sql`alter table sessions add column is_recovery boolean not null default false`
  yield* sql`
    create table auth_events (
      user_id uuid not null references users on delete cascade,
      id uuid not null,
      kind text not null check (kind in ('login', 'recovery', 'password_login', 'refresh_reused', 'logout', 'session_revoked',
        'password_changed', 'password_reset', 'profile_changed')),
      session_id uuid,
      address text,
      user_agent text,
      at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
      primary key (user_id, id)
    )
  `
  yield* authEventsAreFinal
  yield* sql`create trigger auth_events_final before update on auth_events for each row execute function auth_events_are_final()`
})
