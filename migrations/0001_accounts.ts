import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Users, one-time codes, sessions, throttles and the daily quota. `user_id` leads every key: it is the shard key. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // A secret that must outlive key rotation: the pepper of `users.quota_key`.
  yield* sql`create table server_secrets (name text primary key, secret text not null)`
  yield* sql`
    insert into server_secrets (name, secret)
    values ('quota_key', replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''))
  `
  yield* sql`
    create table users (
      id uuid primary key,
      mobile text not null constraint users_mobile_key unique,
      name text,
      email text,
      status text not null check (status in ('pending', 'active')),
      -- HMAC of the number: today's quota survives deleting the account and registering again.
      quota_key text not null,
      -- Pro until then; null is Basic. Billing is its only writer.
      pro_until timestamptz,
      -- Rooms owned now, so that their limit is checked and taken in one statement.
      chatrooms int not null default 0,
      created_at timestamptz not null default date_trunc('milliseconds', now()),
      updated_at timestamptz not null default date_trunc('milliseconds', now())
    )
  `
  yield* sql`
    create table otp_challenges (
      id uuid primary key,
      mobile text not null,
      purpose text not null check (purpose in ('login', 'reset_password')),
      code_mac text not null,
      -- Guesses that named this challenge, and guesses that named only the number: counted
      -- apart, so that a stranger without the id cannot burn the owner's tries.
      tries_bound int not null default 0,
      tries_open int not null default 0,
      created_at timestamptz not null default clock_timestamp(),
      expires_at timestamptz not null,
      consumed_at timestamptz
    )
  `
  yield* sql`create index otp_challenges_live on otp_challenges (mobile, purpose, created_at desc) where consumed_at is null`
  yield* sql`
    create table sessions (
      id uuid not null,
      user_id uuid not null references users on delete cascade,
      -- The refresh token that is valid now; a token is its session's id, this number and a MAC.
      counter int not null default 0,
      rotated_at timestamptz,
      user_agent text,
      created_at timestamptz not null default now(),
      last_used_at timestamptz not null default now(),
      expires_at timestamptz not null,
      revoked_at timestamptz,
      primary key (user_id, id)
    )
  `
  // GCRA state; lost with a crash of Postgres, which only forgives.
  yield* sql`create unlogged table throttles (key text primary key, tat timestamptz not null)`
  yield* sql`
    create table usage_daily (
      quota_key text not null,
      day date not null,
      used int not null check (used >= 0),
      refunded int not null default 0,
      prompts int not null default 0,
      prompt_tokens bigint not null default 0,
      reply_tokens bigint not null default 0,
      primary key (quota_key, day)
    )
  `
})
