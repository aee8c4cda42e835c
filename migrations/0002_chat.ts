import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/** Chatrooms, messages, idempotency keys, and what the workers need to share. */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  yield* sql`
    create table chatrooms (
      user_id uuid not null references users on delete cascade,
      id uuid not null,
      title text not null,
      system_prompt text,
      model text,
      temperature double precision,
      pinned boolean not null default false,
      archived_at timestamptz,
      last_message_at timestamptz,
      active_at timestamptz not null generated always as (coalesce(last_message_at, created_at)) stored,
      -- Replies not ended yet. Whoever changes it holds the row's lock, which is what keeps the room's order.
      unfinished int not null default 0 check (unfinished >= 0),
      created_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
      updated_at timestamptz not null default date_trunc('milliseconds', clock_timestamp()),
      primary key (user_id, id)
    )
  `
  yield* sql`create index chatrooms_list on chatrooms (user_id, (archived_at is null), pinned desc, active_at desc, id desc)`
  yield* sql`
    create table messages (
      user_id uuid not null,
      id uuid not null,
      chatroom_id uuid not null,
      role text not null check (role in ('user', 'model')),
      content text not null default '',
      -- A reply is its own queue entry: held behind an earlier one of its room, queued, processing under a
      -- lease, waiting for its next attempt, and then one of the three ends.
      status text not null check (status in ('held', 'queued', 'processing', 'waiting', 'completed', 'failed', 'cancelled')),
      reply_to uuid,
      -- The newer reply to the same question, once there is one.
      superseded_by uuid,
      -- The fencing token: only the attempt that holds the lease may finish the reply.
      attempt int not null default 0,
      failures int not null default 0,
      failing_since timestamptz,
      finish_reason text,
      truncated boolean not null default false,
      error_code text,
      error_message text,
      model text,
      prompt_tokens int,
      reply_tokens int,
      thought_tokens int,
      cached_tokens int,
      -- What the model was sent: the messages, oldest first, and the room's system prompt of that moment.
      context_ids uuid[],
      context_system_prompt text,
      quota_day date,
      quota_state text check (quota_state in ('reserved', 'spent', 'refunded')),
      worker_id uuid,
      lease_until timestamptz,
      retry_at timestamptz,
      queued_at timestamptz,
      started_at timestamptz,
      created_at timestamptz not null,
      completed_at timestamptz,
      primary key (user_id, id),
      foreign key (user_id, chatroom_id) references chatrooms (user_id, id) on delete cascade
    )
  `
  yield* sql`create index messages_of_room on messages (user_id, chatroom_id, id)`
  yield* sql`
    create index messages_unfinished on messages (user_id, chatroom_id, id)
    where status in ('held', 'queued', 'processing', 'waiting')
  `
  yield* sql`
    create table idempotency_keys (
      user_id uuid not null references users on delete cascade,
      route text not null,
      key text not null,
      request_hash text not null,
      status int not null,
      response jsonb not null,
      created_at timestamptz not null default now(),
      primary key (user_id, route, key)
    )
  `
  yield* sql`create table model_pauses (model text primary key, until timestamptz not null)`
  // A running text is a hint until its reply is finished: it may be lost with a crash of Postgres, hence unlogged.
  // Each worker process appends to a log of its own, one row a tick for all its replies; nothing that commits late
  // can be skipped, as it could with one sequence for all.
  yield* sql`create sequence worker_numbers as int`
  yield* sql`
    create unlogged table stream_log (
      worker_no int not null, tick bigint not null, body text not null, written_at timestamptz not null default now(),
      primary key (worker_no, tick)
    )
  `
  yield* sql`alter table stream_log alter column body set storage external`
  // Where somebody who joins in mid-reply starts from; a second behind at the most.
  yield* sql`
    create unlogged table stream_segments (
      user_id uuid not null, reply_id uuid not null, attempt int not null, start_offset int not null, body text not null,
      primary key (user_id, reply_id, attempt, start_offset)
    )
  `
  // graphile-worker locks jobs by the ids of its own workers: kept here so that a dead process's can be unlocked.
  yield* sql`
    create table worker_heartbeats (
      id uuid primary key,
      graphile_worker_ids text[] not null,
      started_at timestamptz not null default now(),
      seen_at timestamptz not null default now()
    )
  `
})
