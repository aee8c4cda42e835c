import pg from "pg"

/** The tables of the Fastify servers: what a team would write for the same product. Sessions and lists are in Redis. */
export const schema = `
create table chatrooms (
  id uuid primary key, user_id uuid not null, title text not null, unfinished int not null default 0,
  created_at timestamptz not null default now(), last_message_at timestamptz not null default now()
);
create index on chatrooms (user_id, last_message_at desc);
create table messages (
  id uuid primary key, chatroom_id uuid not null references chatrooms on delete cascade, user_id uuid not null,
  role text not null, content text not null default '', status text not null, reply_to uuid, attempt int not null default 0,
  finish_reason text, model text, prompt_tokens int, reply_tokens int,
  created_at timestamptz not null default now(), started_at timestamptz, completed_at timestamptz
);
create index on messages (chatroom_id, id);
create index on messages (created_at) where completed_at is null;
create table usage_daily (
  user_id uuid not null, day date not null, used int not null, prompt_tokens bigint not null default 0,
  reply_tokens bigint not null default 0, primary key (user_id, day)
);
create table idempotency_keys (
  user_id uuid not null, key text not null, request_hash text not null, response json not null,
  created_at timestamptz not null default now(), primary key (user_id, key)
);
create table model_calls (
  id uuid primary key, reply_id uuid not null, attempt int not null, model text not null, prompt_tokens int not null,
  reply_tokens int not null, at timestamptz not null default now()
);
`

/** Seconds after which the job of a waiting reply may be lost. */
const lostAfterSeconds = 30

/** Replies whose job may be lost. Redis keeps one job for an id, so adding one again changes nothing. */
export const lostReplies = `
  select id from messages
  where completed_at is null and created_at < now() - interval '${lostAfterSeconds} seconds' order by created_at limit 500
`

export const queueName = "replies"

/** One pool for a process. In pipeline mode, statements of a transaction that do not wait for each other share a round trip. */
export const openPool = (): pg.Pool =>
  new pg.Pool({ connectionString: process.env["DATABASE_URL"], max: Number(process.env["DATABASE_POOL_SIZE"]), pipeline: true })
