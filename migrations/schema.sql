-- Made by `npm run schema`: do not edit.

create sequence worker_numbers as integer;

create table users (
  id uuid not null,
  mobile text not null,
  name text,
  email text,
  status text not null,
  quota_key text not null,
  pro_until timestamp with time zone,
  chatrooms integer default 0 not null,
  created_at timestamp with time zone default date_trunc('milliseconds'::text, now()) not null,
  updated_at timestamp with time zone default date_trunc('milliseconds'::text, now()) not null,
  password_hash text,
  pending_password_hash text,
  pending_client text,
  pending_since timestamp with time zone,
  file_bytes bigint default 0 not null,
  plans jsonb,
  constraint users_pkey PRIMARY KEY (id),
  constraint users_mobile_key UNIQUE (mobile),
  constraint users_file_bytes_check CHECK (file_bytes >= 0),
  constraint users_status_check CHECK (status = ANY (ARRAY['pending'::text, 'active'::text]))
);

create table api_keys (
  user_id uuid not null,
  id uuid not null,
  name text not null,
  key_hash text not null,
  last4 text not null,
  created_at timestamp with time zone default date_trunc('milliseconds'::text, clock_timestamp()) not null,
  expires_at timestamp with time zone,
  last_used_at timestamp with time zone,
  constraint api_keys_pkey PRIMARY KEY (user_id, id),
  constraint api_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table auth_events (
  user_id uuid not null,
  id uuid not null,
  kind text not null,
  session_id uuid,
  address text,
  user_agent text,
  at timestamp with time zone default date_trunc('milliseconds'::text, clock_timestamp()) not null,
  constraint auth_events_pkey PRIMARY KEY (user_id, id),
  constraint auth_events_kind_check CHECK (kind = ANY (ARRAY['login'::text, 'recovery'::text, 'password_login'::text, 'refresh_reused'::text, 'logout'::text, 'session_revoked'::text, 'password_changed'::text, 'password_reset'::text, 'profile_changed'::text])),
  constraint auth_events_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table billing_customers (
  user_id uuid not null,
  customer_id text not null,
  synced_at timestamp with time zone,
  created_at timestamp with time zone default now() not null,
  constraint billing_customers_pkey PRIMARY KEY (user_id),
  constraint billing_customers_customer_id_key UNIQUE (customer_id)
);

create table billing_holds (
  user_id uuid not null,
  charge_id text not null,
  reason text not null,
  subscription_id text not null,
  charged_at timestamp with time zone not null,
  created_at timestamp with time zone default now() not null,
  constraint billing_holds_pkey PRIMARY KEY (user_id, charge_id, reason),
  constraint billing_holds_reason_check CHECK (reason = ANY (ARRAY['refunded'::text, 'dispute_lost'::text]))
);

create table chatrooms (
  user_id uuid not null,
  id uuid not null,
  title text not null,
  system_prompt text,
  model text,
  temperature double precision,
  pinned boolean default false not null,
  archived_at timestamp with time zone,
  last_message_at timestamp with time zone,
  active_at timestamp with time zone generated always as (COALESCE(last_message_at, created_at)) stored not null,
  unfinished integer default 0 not null,
  created_at timestamp with time zone default date_trunc('milliseconds'::text, clock_timestamp()) not null,
  updated_at timestamp with time zone default date_trunc('milliseconds'::text, clock_timestamp()) not null,
  settings_version integer default 0 not null,
  text_bytes bigint default 0,
  title_source text default 'user'::text not null,
  titled_at timestamp with time zone,
  thinking jsonb default '{"level": null, "summaries": false}'::jsonb not null,
  tools jsonb default '[]'::jsonb not null,
  head_id uuid,
  summary boolean,
  kind text default 'chat'::text not null,
  constraint chatrooms_pkey PRIMARY KEY (user_id, id),
  constraint chatrooms_kind_check CHECK (kind = ANY (ARRAY['chat'::text, 'completion'::text])),
  constraint chatrooms_title_source_check CHECK (title_source = ANY (ARRAY['default'::text, 'words'::text, 'model'::text, 'user'::text])),
  constraint chatrooms_unfinished_check CHECK (unfinished >= 0),
  constraint chatrooms_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table checkout_attempts (
  user_id uuid not null,
  id uuid not null,
  customer_id text not null,
  status text default 'open'::text not null,
  session_id text,
  url text,
  claimed_at timestamp with time zone default clock_timestamp() not null,
  expires_at timestamp with time zone not null,
  created_at timestamp with time zone default clock_timestamp() not null,
  plan text,
  price_id text,
  promotion_code text,
  trial_days integer default 0 not null,
  constraint checkout_attempts_pkey PRIMARY KEY (user_id, id),
  constraint checkout_attempts_session_id_key UNIQUE (session_id),
  constraint checkout_attempts_status_check CHECK (status = ANY (ARRAY['open'::text, 'completed'::text, 'expired'::text, 'failed'::text]))
);

create table file_chunks (
  user_id uuid not null,
  file_id uuid not null,
  no integer not null,
  body bytea not null,
  constraint file_chunks_pkey PRIMARY KEY (user_id, file_id, no)
);

create table file_removals (
  user_id uuid not null,
  file_id uuid not null,
  constraint file_removals_pkey PRIMARY KEY (user_id, file_id)
);

create table files (
  user_id uuid not null,
  id uuid not null,
  name text not null,
  type text not null,
  kind text not null,
  status text default 'uploading'::text not null,
  bytes integer not null,
  sha256 text,
  tokens integer,
  width integer,
  height integer,
  pages integer,
  created_at timestamp with time zone default date_trunc('milliseconds'::text, clock_timestamp()) not null,
  expires_at timestamp with time zone,
  constraint files_pkey PRIMARY KEY (user_id, id),
  constraint files_kind_check CHECK (kind = ANY (ARRAY['image'::text, 'pdf'::text, 'audio'::text, 'text'::text])),
  constraint files_status_check CHECK (status = ANY (ARRAY['uploading'::text, 'ready'::text])),
  constraint files_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table file_uses (
  user_id uuid not null,
  file_id uuid not null,
  message_id uuid not null,
  constraint file_uses_pkey PRIMARY KEY (user_id, file_id, message_id),
  constraint file_uses_user_id_file_id_fkey FOREIGN KEY (user_id, file_id) REFERENCES files(user_id, id) ON DELETE CASCADE
);

create table idempotency_keys (
  user_id uuid not null,
  route text not null,
  key text not null,
  request_hash text not null,
  status integer not null,
  response jsonb not null,
  created_at timestamp with time zone default now() not null,
  constraint idempotency_keys_pkey PRIMARY KEY (user_id, route, key),
  constraint idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table messages (
  user_id uuid not null,
  id uuid not null,
  chatroom_id uuid not null,
  role text not null,
  content text default ''::text not null,
  status text not null,
  reply_to uuid,
  superseded_by uuid,
  attempt integer default 0 not null,
  failures integer default 0 not null,
  failing_since timestamp with time zone,
  finish_reason text,
  truncated boolean default false not null,
  error_code text,
  error_message text,
  model text,
  prompt_tokens integer,
  reply_tokens integer,
  thought_tokens integer,
  cached_tokens integer,
  context_ids uuid[],
  context_system_prompt text,
  quota_day date,
  quota_state text,
  worker_id uuid,
  lease_until timestamp with time zone,
  retry_at timestamp with time zone,
  queued_at timestamp with time zone,
  started_at timestamp with time zone,
  created_at timestamp with time zone not null,
  completed_at timestamp with time zone,
  priority smallint default 10 not null,
  settings jsonb,
  tool_tokens integer,
  cost_micros bigint,
  reserved_micros bigint default 0 not null,
  output json,
  error_detail jsonb,
  is_moderated boolean default false not null,
  feedback jsonb,
  feedback_at timestamp with time zone,
  thoughts text,
  grounding jsonb,
  parent_id uuid,
  attachments jsonb,
  context_summary jsonb,
  input jsonb,
  claimed_attempt integer,
  constraint messages_pkey PRIMARY KEY (user_id, id),
  constraint messages_quota_state_check CHECK (quota_state = ANY (ARRAY['reserved'::text, 'spent'::text, 'refunded'::text])),
  constraint messages_role_check CHECK (role = ANY (ARRAY['user'::text, 'model'::text])),
  constraint messages_status_check CHECK (status = ANY (ARRAY['held'::text, 'queued'::text, 'processing'::text, 'waiting'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])),
  constraint messages_user_id_chatroom_id_fkey FOREIGN KEY (user_id, chatroom_id) REFERENCES chatrooms(user_id, id) ON DELETE CASCADE
);

create table migrations (
  migration_id integer not null,
  created_at timestamp with time zone default now() not null,
  name text not null,
  constraint migrations_pkey PRIMARY KEY (migration_id)
);

create table model_calls (
  user_id uuid not null,
  id uuid not null,
  reply_id uuid not null,
  attempt integer not null,
  kind text not null,
  tier text not null,
  model text not null,
  model_version text,
  prompt_tokens integer not null,
  cached_tokens integer not null,
  tool_tokens integer not null,
  reply_tokens integer not null,
  thought_tokens integer not null,
  searches integer not null,
  cost_micros bigint,
  is_priced boolean not null,
  is_estimated boolean not null,
  at timestamp with time zone default clock_timestamp() not null,
  constraint model_calls_pkey PRIMARY KEY (user_id, id),
  constraint model_calls_kind_check CHECK (kind = ANY (ARRAY['reply'::text, 'title'::text, 'summary'::text])),
  constraint model_calls_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table model_pauses (
  model text not null,
  until timestamp with time zone not null,
  constraint model_pauses_pkey PRIMARY KEY (model)
);

create table otp_challenges (
  id uuid not null,
  mobile text not null,
  purpose text not null,
  code_mac text not null,
  tries_bound integer default 0 not null,
  tries_open integer default 0 not null,
  created_at timestamp with time zone default clock_timestamp() not null,
  expires_at timestamp with time zone not null,
  consumed_at timestamp with time zone,
  client text,
  is_familiar boolean default false not null,
  constraint otp_challenges_pkey PRIMARY KEY (id),
  constraint otp_challenges_purpose_check CHECK (purpose = ANY (ARRAY['login'::text, 'reset_password'::text]))
);

create table otp_joined_challenges (
  id uuid not null,
  code_id uuid not null,
  client text,
  created_at timestamp with time zone default clock_timestamp() not null,
  constraint otp_joined_challenges_pkey PRIMARY KEY (id),
  constraint otp_joined_challenges_code_id_fkey FOREIGN KEY (code_id) REFERENCES otp_challenges(id) ON DELETE CASCADE
);

create table room_summaries (
  user_id uuid not null,
  chatroom_id uuid not null,
  upto_id uuid,
  first_id uuid,
  body text,
  tokens integer,
  model text,
  created_at timestamp with time zone,
  claim uuid,
  tries smallint default 0 not null,
  rests_until timestamp with time zone,
  constraint room_summaries_pkey PRIMARY KEY (user_id, chatroom_id),
  constraint room_summaries_check CHECK (num_nulls(upto_id, first_id, body, tokens, model, created_at) = ANY (ARRAY[0, 6])),
  constraint room_summaries_user_id_chatroom_id_fkey FOREIGN KEY (user_id, chatroom_id) REFERENCES chatrooms(user_id, id) ON DELETE CASCADE
);

create table server_secrets (
  name text not null,
  secret text not null,
  constraint server_secrets_pkey PRIMARY KEY (name)
);

create table sessions (
  id uuid not null,
  user_id uuid not null,
  counter integer default 0 not null,
  rotated_at timestamp with time zone,
  user_agent text,
  created_at timestamp with time zone default now() not null,
  last_used_at timestamp with time zone default now() not null,
  expires_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  is_recovery boolean default false not null,
  previous_counter integer,
  exchanged_at timestamp with time zone,
  constraint sessions_pkey PRIMARY KEY (user_id, id),
  constraint sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE
);

create table shares (
  user_id uuid not null,
  id uuid not null,
  chatroom_id uuid not null,
  up_to uuid not null,
  title text not null,
  token_hash text not null,
  views integer default 0 not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  attachments boolean default false not null,
  constraint shares_pkey PRIMARY KEY (user_id, id),
  constraint shares_user_id_chatroom_id_fkey FOREIGN KEY (user_id, chatroom_id) REFERENCES chatrooms(user_id, id) ON DELETE CASCADE
);

create unlogged table stream_log (
  worker_no integer not null,
  tick bigint not null,
  body text not null,
  written_at timestamp with time zone default now() not null,
  constraint stream_log_pkey PRIMARY KEY (worker_no, tick)
);

create unlogged table stream_segments (
  user_id uuid not null,
  reply_id uuid not null,
  attempt integer not null,
  start_offset integer not null,
  body text not null,
  constraint stream_segments_pkey PRIMARY KEY (user_id, reply_id, attempt, start_offset)
);

create table subscriptions (
  user_id uuid not null,
  id text not null,
  customer_id text not null,
  status text not null,
  current_period_start timestamp with time zone,
  current_period_end timestamp with time zone,
  cancel_at timestamp with time zone,
  cancel_at_period_end boolean not null,
  invoice_url text,
  created_at timestamp with time zone not null,
  fetched_at timestamp with time zone not null,
  account_deleted_at timestamp with time zone,
  plan text,
  billing_interval text,
  trial_end timestamp with time zone,
  discount jsonb,
  constraint subscriptions_pkey PRIMARY KEY (user_id, id)
);

create unlogged table throttles (
  key text not null,
  tat timestamp with time zone not null,
  constraint throttles_pkey PRIMARY KEY (key)
);

create table trial_uses (
  quota_key text not null,
  started_at timestamp with time zone default now() not null,
  constraint trial_uses_pkey PRIMARY KEY (quota_key)
);

create table usage_daily (
  quota_key text not null,
  day date not null,
  used integer not null,
  refunded integer default 0 not null,
  prompts integer default 0 not null,
  prompt_tokens bigint default 0 not null,
  reply_tokens bigint default 0 not null,
  thought_tokens bigint default 0 not null,
  cached_tokens bigint default 0 not null,
  tool_tokens bigint default 0 not null,
  searches bigint default 0 not null,
  cost_micros bigint default 0 not null,
  reserved_micros bigint default 0 not null,
  constraint usage_daily_pkey PRIMARY KEY (quota_key, day),
  constraint usage_daily_used_check CHECK (used >= 0)
);

create table webhook_events (
  id text not null,
  type text not null,
  customer_id text,
  object_id text,
  charge_id text,
  outcome text not null,
  created_at timestamp with time zone not null,
  received_at timestamp with time zone default now() not null,
  processed_at timestamp with time zone,
  constraint webhook_events_pkey PRIMARY KEY (id),
  constraint webhook_events_outcome_check CHECK (outcome = ANY (ARRAY['pending'::text, 'processed'::text, 'ignored'::text]))
);

create table worker_heartbeats (
  id uuid not null,
  graphile_worker_ids text[] not null,
  started_at timestamp with time zone default now() not null,
  seen_at timestamp with time zone default now() not null,
  locked_since timestamp with time zone,
  locked_timeline integer,
  constraint worker_heartbeats_pkey PRIMARY KEY (id)
);

alter table file_chunks alter column body set storage external;

alter table messages alter column grounding set storage external;

alter table stream_log alter column body set storage external;

CREATE UNIQUE INDEX api_keys_hash ON api_keys USING btree (key_hash);

CREATE INDEX chatrooms_completions ON chatrooms USING btree (created_at) WHERE kind = 'completion'::text;

CREATE UNIQUE INDEX chatrooms_id ON chatrooms USING btree (id);

CREATE INDEX chatrooms_listed ON chatrooms USING btree (user_id, (archived_at IS NULL), pinned DESC, active_at DESC, id DESC) WHERE kind = 'chat'::text;

CREATE UNIQUE INDEX checkout_attempts_open ON checkout_attempts USING btree (user_id) WHERE status = 'open'::text;

CREATE UNIQUE INDEX files_content ON files USING btree (user_id, sha256) WHERE status = 'ready'::text;

CREATE INDEX files_expiring ON files USING btree (expires_at) WHERE expires_at IS NOT NULL;

CREATE INDEX messages_feedback ON messages USING btree (feedback_at DESC, id DESC) WHERE feedback_at IS NOT NULL;

CREATE INDEX messages_of_parent ON messages USING btree (user_id, chatroom_id, parent_id, id) WHERE role = 'user'::text;

CREATE INDEX messages_of_question ON messages USING btree (user_id, chatroom_id, reply_to, id) WHERE reply_to IS NOT NULL;

CREATE INDEX messages_of_room ON messages USING btree (user_id, chatroom_id, id);

CREATE INDEX messages_unfinished ON messages USING btree (user_id, chatroom_id, id) WHERE completed_at IS NULL;

CREATE INDEX model_calls_at ON model_calls USING btree (at);

CREATE INDEX otp_challenges_live ON otp_challenges USING btree (mobile, purpose, created_at DESC) WHERE consumed_at IS NULL;

CREATE INDEX otp_challenges_of_number ON otp_challenges USING btree (mobile, created_at);

CREATE INDEX otp_joined_challenges_of_code ON otp_joined_challenges USING btree (code_id);

CREATE INDEX shares_of_room ON shares USING btree (user_id, chatroom_id);

CREATE UNIQUE INDEX shares_token ON shares USING btree (token_hash);

CREATE INDEX subscriptions_due ON subscriptions USING btree (current_period_end) WHERE status = ANY (ARRAY['active'::text, 'trialing'::text, 'past_due'::text]);

CREATE INDEX usage_daily_day ON usage_daily USING btree (day);

CREATE INDEX webhook_events_done ON webhook_events USING btree (received_at) WHERE outcome <> 'pending'::text;

CREATE INDEX webhook_events_pending ON webhook_events USING btree (customer_id, received_at) WHERE outcome = 'pending'::text;

CREATE OR REPLACE FUNCTION public.auth_events_are_final()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'auth_events are append-only';
end $function$;

CREATE OR REPLACE FUNCTION public.decide_tier(p_user uuid, p_plans text[])
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
declare
  v_until timestamptz; v_plans jsonb; v_changed boolean;
begin
  -- Of two syncs of one user the second decides from what the first has stored.
  perform 1 from users u where u.id = p_user for update;
  with worth as (
    select coalesce(s.plan, 'pro') as plan, array_position(p_plans, coalesce(s.plan, 'pro')) as rank, max(case s.status
        when 'active' then timestamptz '9999-12-31 00:00:00Z'
        when 'trialing' then timestamptz '9999-12-31 00:00:00Z'
        when 'past_due' then s.current_period_start + interval '7 days' end) as until
      from subscriptions s
      where s.user_id = p_user and not exists (
        select 1 from billing_holds h where h.user_id = s.user_id and h.subscription_id = s.id
          and h.charged_at >= s.current_period_start - interval '5 minutes' and h.charged_at < s.current_period_end)
      group by 1
  ), counted as (
    select w.* from worth w where w.rank is not null and w.until is not null
      and not exists (select from worth better where better.rank > w.rank and better.until >= w.until)
  )
  select max(c.until), jsonb_agg(jsonb_build_object('plan', c.plan,
      'until', to_char(c.until at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) order by c.rank desc)
    into v_until, v_plans from counted c;
  update users u set pro_until = v_until, plans = v_plans
    where u.id = p_user and (u.pro_until is distinct from v_until or u.plans is distinct from v_plans);
  v_changed := found;
  if v_changed then
    perform pg_notify('changed', 'sessions:' || p_user);
  end if;
  return v_changed;
end $function$;

CREATE OR REPLACE FUNCTION public.delete_chatroom(p_user uuid, p_room uuid, p_basic_running integer, p_pro_running integer)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
declare
  v_unfinished jsonb;
begin
  perform 1 from users u where u.id = p_user for no key update;
  perform 1 from chatrooms c where c.user_id = p_user and c.id = p_room and c.kind = 'chat';
  if not found then
    return null;
  end if;
  select coalesce(jsonb_agg(m.id), '[]') into v_unfinished from messages m
    where m.user_id = p_user and m.chatroom_id = p_room and m.completed_at is null;
  perform release_reservations(p_user, p_room);
  delete from chatrooms c where c.user_id = p_user and c.id = p_room;
  update users u set chatrooms = u.chatrooms - 1 where u.id = p_user;
  perform pg_notify('changed', 'chatrooms:' || p_user);
  return jsonb_build_object('unfinished', v_unfinished, 'nextReplies',
    release_replies(p_user => p_user, p_basic_running => p_basic_running, p_pro_running => p_pro_running));
end $function$;

CREATE OR REPLACE FUNCTION public.delete_message(p_user uuid, p_room uuid, p_message uuid)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  v_head uuid; v_question messages; v_ids uuid[]; v_bytes bigint;
begin
  perform 1 from users u where u.id = p_user for no key update;
  perform 1 from chatrooms c where c.user_id = p_user and c.id = p_room for update;
  if not found then
    return 'chatroom_not_found';
  end if;
  v_head := fill_branches(p_user, p_room);
  select * into v_question from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.id = p_message;
  if not found then
    return 'message_not_found';
  elsif v_question.role <> 'user' then
    return 'not_a_question';
  end if;
  v_ids := messages_under(p_user, p_room, p_message);
  if exists (select from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.completed_at is null
      and m.id = any(v_ids)) then
    return 'not_finished';
  end if;
  with deleted as (
    delete from messages m where m.user_id = p_user and m.id = any(v_ids) returning m.role, m.status, m.content
  )
  select coalesce(sum(octet_length(d.content)) filter (where d.role = 'user' or d.status = 'completed'), 0) into v_bytes
    from deleted d;
  delete from room_summaries s where s.user_id = p_user and s.chatroom_id = p_room and s.upto_id = any(v_ids);
  update room_summaries s set claim = null, rests_until = null
    where s.user_id = p_user and s.chatroom_id = p_room and s.claim is not null;
  if v_head = any(v_ids) then
    v_head := newest_leaf(p_user, p_room, v_question.parent_id);
  end if;
  update chatrooms c set head_id = v_head, text_bytes = greatest(0, c.text_bytes - v_bytes)
    where c.user_id = p_user and c.id = p_room;
  perform pg_notify('changed', 'chatrooms:' || p_user);
  return 'deleted';
end $function$;

CREATE OR REPLACE FUNCTION public.file_deleted()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update users u set file_bytes = u.file_bytes - old.bytes where u.id = old.user_id;
  insert into file_removals (user_id, file_id) values (old.user_id, old.id) on conflict do nothing;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.fill_branches(p_user uuid, p_room uuid)
 RETURNS uuid
 LANGUAGE plpgsql
AS $function$
declare
  v_head uuid;
begin
  select c.head_id into v_head from chatrooms c where c.user_id = p_user and c.id = p_room for update;
  if v_head is not null then
    return v_head;
  end if;
  update messages q set parent_id = (
      select r.id from messages r
      where r.user_id = p_user and r.chatroom_id = p_room and r.reply_to < q.id
        and (r.status = 'completed' or r.completed_at is null)
      order by r.reply_to desc, r.id desc limit 1)
    where q.user_id = p_user and q.chatroom_id = p_room and q.role = 'user' and q.parent_id is null;
  select r.id into v_head from messages r where r.user_id = p_user and r.chatroom_id = p_room and r.reply_to is not null
    order by r.reply_to desc, r.id desc limit 1;
  if v_head is null then
    select q.id into v_head from messages q where q.user_id = p_user and q.chatroom_id = p_room order by q.id desc limit 1;
  end if;
  update chatrooms c set head_id = v_head where c.user_id = p_user and c.id = p_room and v_head is not null;
  return v_head;
end $function$;

CREATE OR REPLACE FUNCTION public.finish_reply(p_user uuid, p_reply uuid, p_attempt integer, p_status text, p_content text, p_finish_reason text, p_truncated boolean, p_error_code text, p_error_message text, p_model text, p_prompt_tokens integer, p_reply_tokens integer, p_thought_tokens integer, p_cached_tokens integer, p_tool_tokens integer, p_calls jsonb, p_refunds_a_day integer, p_basic_running integer, p_pro_running integer, p_context_ids uuid[], p_output json, p_thoughts text, p_error_detail jsonb, p_grounding jsonb, p_context_summary jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
declare
  v_reply messages; v_quota_key text; v_refunded boolean; v_cost bigint; v_next jsonb := '[]';
begin
  select u.quota_key into v_quota_key from users u where u.id = p_user for no key update;
  perform 1 from chatrooms c where c.user_id = p_user
    and c.id = (select m.chatroom_id from messages m where m.user_id = p_user and m.id = p_reply) for update;
  select * into v_reply from messages m where m.user_id = p_user and m.id = p_reply and m.role = 'model'
    and case when p_attempt is null then m.completed_at is null
             else m.status = 'processing' and m.attempt = p_attempt end
    for update;
  if not found then
    return jsonb_build_object('outcome', 'fenced_off');
  end if;

  -- The day's row is locked by the user's row: every change of it happens under that lock.
  v_refunded := v_reply.quota_state = 'reserved' and exists (
    select from usage_daily d where d.quota_key = v_quota_key and d.day = v_reply.quota_day
      and d.refunded < p_refunds_a_day and d.used > 0);
  v_cost := record_calls(p_user, p_reply, v_quota_key, v_reply.quota_day, p_calls, v_reply.reserved_micros,
    case when v_refunded then 1 else 0 end);

  if p_content is null then
    -- Segments of thoughts have negative offsets, from -1 down.
    select string_agg(s.body, '' order by s.start_offset) filter (where s.start_offset >= 0),
        string_agg(s.body, '' order by s.start_offset desc) filter (where s.start_offset < 0)
      into p_content, p_thoughts from stream_segments s
      where s.user_id = p_user and s.reply_id = p_reply and s.attempt = v_reply.attempt;
  end if;
  update messages m set status = p_status, content = coalesce(p_content, m.content), finish_reason = p_finish_reason,
      truncated = p_truncated, error_code = p_error_code, error_message = p_error_message, error_detail = p_error_detail,
      model = coalesce(p_model, m.model), prompt_tokens = p_prompt_tokens, reply_tokens = p_reply_tokens,
      thought_tokens = p_thought_tokens, cached_tokens = p_cached_tokens, tool_tokens = p_tool_tokens, reserved_micros = 0,
      cost_micros = case when v_cost is null then m.cost_micros else coalesce(m.cost_micros, 0) + v_cost end,
      quota_state = case when v_refunded then 'refunded' else 'spent' end,
      context_ids = p_context_ids, context_summary = p_context_summary, output = p_output, thoughts = p_thoughts, grounding = p_grounding,
      worker_id = null, lease_until = null, retry_at = null,
      completed_at = date_trunc('milliseconds', clock_timestamp())
    where m.user_id = p_user and m.id = p_reply;
  -- Questions that were asked while it was made do not follow a reply without an answer.
  if p_status <> 'completed' then
    update messages q set parent_id = followed_by(p_user, v_reply.chatroom_id, p_reply)
      where q.user_id = p_user and q.chatroom_id = v_reply.chatroom_id and q.role = 'user' and q.parent_id = p_reply;
  end if;
  -- A room's latest activity is its newest message, and the reply was there since its question: the list stands.
  update chatrooms c set unfinished = c.unfinished - 1,
      text_bytes = c.text_bytes + case when p_status = 'completed' then octet_length(p_content) else 0 end
    where c.user_id = p_user and c.id = v_reply.chatroom_id;
  if exists (select from messages m where m.user_id = p_user and m.completed_at is null and m.status = 'held') then
    v_next := release_replies(p_user => p_user, p_basic_running => p_basic_running, p_pro_running => p_pro_running);
  end if;
  return jsonb_build_object('outcome', 'finished', 'nextReplies', v_next);
end $function$;

CREATE OR REPLACE FUNCTION public.followed_by(p_user uuid, p_room uuid, p_message uuid)
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_followed uuid;
begin
  select case
      when m.role = 'user' then m.parent_id
      when m.status = 'completed' or m.completed_at is null then m.id
      else coalesce(
        (select r.id from messages r where r.user_id = p_user and r.chatroom_id = p_room and r.reply_to = m.reply_to
          and r.status = 'completed' order by r.id desc limit 1),
        (select q.parent_id from messages q where q.user_id = p_user and q.id = m.reply_to)) end
    into v_followed from messages m where m.user_id = p_user and m.id = p_message;
  return v_followed;
end $function$;

CREATE OR REPLACE FUNCTION public.fork_chatroom(p_user uuid, p_room uuid, p_message uuid, p_copy uuid, p_title text, p_room_limit integer, p_message_limit integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  v_end uuid; v_ids uuid[]; v_copies uuid[]; v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
begin
  perform 1 from users u where u.id = p_user for no key update;
  perform 1 from chatrooms c where c.user_id = p_user and c.id = p_room for update;
  if not found then
    return 'chatroom_not_found';
  end if;
  v_end := fill_branches(p_user, p_room);
  v_end := coalesce(p_message, v_end);
  if p_message is not null and not exists (
      select from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.id = p_message) then
    return 'message_not_found';
  end if;
  with recursive path as (
    select m.id, coalesce(m.reply_to, m.parent_id) as parent_id, 1 as position
      from messages m where m.user_id = p_user and m.id = v_end
    union all
    select m.id, coalesce(m.reply_to, m.parent_id), p.position + 1
      from path p join messages m on m.user_id = p_user and m.id = p.parent_id
      where p.position <= p_message_limit
  )
  select coalesce(array_agg(p.id order by p.position desc), '{}') into v_ids from path p;
  if cardinality(v_ids) > p_message_limit then
    return 'too_many_messages';
  elsif exists (select from messages m where m.user_id = p_user and m.id = any(v_ids) and m.completed_at is null) then
    return 'not_finished';
  end if;
  update users u set chatrooms = u.chatrooms + 1 where u.id = p_user and u.chatrooms < p_room_limit;
  if not found then
    return 'too_many_chatrooms';
  end if;

  select coalesce(array_agg(uuid_after(p_copy, (n - cardinality(v_ids))::int,
      ('00000000-0000-7' || substr(gen_random_uuid()::text, 16))::uuid) order by n), '{}')
    into v_copies from generate_series(1, cardinality(v_ids)) n;
  insert into chatrooms (user_id, id, title, title_source, system_prompt, model, temperature, thinking, tools, summary,
      last_message_at, head_id, text_bytes)
    select c.user_id, p_copy, coalesce(p_title, c.title), case when p_title is null then c.title_source else 'user' end,
      c.system_prompt, c.model, c.temperature, c.thinking, c.tools, c.summary, case when v_end is not null then v_now end,
      v_copies[cardinality(v_copies)], (
        select coalesce(sum(octet_length(m.content)) filter (where m.role = 'user' or m.status = 'completed'), 0)
        from messages m where m.user_id = p_user and m.id = any(v_ids))
    from chatrooms c where c.user_id = p_user and c.id = p_room;
  insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, attempt, finish_reason, truncated,
      error_code, error_message, error_detail, model, prompt_tokens, reply_tokens, thought_tokens, cached_tokens, tool_tokens,
      priority, settings, output, thoughts, grounding, attachments, created_at, completed_at)
    select m.user_id, v_copies[n], p_copy, m.role, m.content, m.status,
      case when m.role = 'model' then v_copies[n - 1] end, case when m.role = 'user' and n > 1 then v_copies[n - 1] end,
      m.attempt, m.finish_reason, m.truncated, m.error_code, m.error_message, m.error_detail, m.model, m.prompt_tokens,
      m.reply_tokens, m.thought_tokens, m.cached_tokens, m.tool_tokens, m.priority, m.settings, m.output, m.thoughts,
      m.grounding, m.attachments, m.created_at, m.completed_at
    from generate_subscripts(v_ids, 1) n join messages m on m.user_id = p_user and m.id = v_ids[n];
  insert into file_uses (user_id, file_id, message_id)
    select f.user_id, f.id, m.id from messages m cross join jsonb_array_elements(m.attachments) a
    join files f on f.user_id = p_user and f.id = (a ->> 'id')::uuid
    where m.user_id = p_user and m.id = any(v_copies) and m.attachments is not null;
  perform pg_notify('changed', 'chatrooms:' || p_user);
  return 'forked';
end $function$;

CREATE OR REPLACE FUNCTION public.message_with_files_deleted()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  v_ids uuid[] := array(select (a ->> 'id')::uuid from jsonb_array_elements(old.attachments) a);
begin
  delete from file_uses u where u.user_id = old.user_id and u.file_id = any(v_ids) and u.message_id = old.id;
  delete from files f where f.user_id = old.user_id and f.id = any(v_ids) and f.expires_at is null
    and not exists (select from file_uses u where u.user_id = f.user_id and u.file_id = f.id);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.newest_leaf(p_user uuid, p_room uuid, p_message uuid)
 RETURNS uuid
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_leaf uuid := p_message; v_child uuid;
begin
  loop
    if v_leaf is null then
      select m.id into v_child from messages m
        where m.user_id = p_user and m.chatroom_id = p_room and m.role = 'user' and m.parent_id is null
        order by m.id desc limit 1;
    else
      select m.id into v_child from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = v_leaf
        order by m.id desc limit 1;
      if not found then
        select m.id into v_child from messages m
          where m.user_id = p_user and m.chatroom_id = p_room and m.role = 'user' and m.parent_id = v_leaf
          order by m.id desc limit 1;
      end if;
    end if;
    exit when v_child is null;
    v_leaf := v_child;
  end loop;
  return v_leaf;
end $function$;

CREATE OR REPLACE FUNCTION public.record_calls(p_user uuid, p_reply uuid, p_quota_key text, p_day date, p_calls jsonb, p_reserved bigint, p_refunds integer)
 RETURNS bigint
 LANGUAGE plpgsql
AS $function$
declare
  v_written int; v_cost bigint; v_more bigint; v_prompt bigint; v_cached bigint; v_tool bigint; v_reply bigint; v_thought bigint; v_searches bigint;
begin
  with written as (
    insert into model_calls as c (user_id, id, reply_id, attempt, kind, tier, model, model_version, prompt_tokens, cached_tokens,
        tool_tokens, reply_tokens, thought_tokens, searches, cost_micros, is_priced, is_estimated)
      select p_user, n.id, p_reply, n.attempt, n.kind, n.tier, n.model, n.model_version, n.prompt_tokens, n.cached_tokens,
        n.tool_tokens, n.reply_tokens, n.thought_tokens, n.searches, n.cost_micros, n.is_priced, n.is_estimated
      from jsonb_populate_recordset(null::model_calls, p_calls) n
      on conflict (user_id, id) do nothing
      returning c.*
  )
  select count(*), sum(w.cost_micros), coalesce(sum(w.prompt_tokens), 0), coalesce(sum(w.cached_tokens), 0),
      coalesce(sum(w.tool_tokens), 0), coalesce(sum(w.reply_tokens), 0), coalesce(sum(w.thought_tokens), 0),
      coalesce(sum(w.searches), 0)
    into v_written, v_cost, v_prompt, v_cached, v_tool, v_reply, v_thought, v_searches from written w;
  if v_written < jsonb_array_length(p_calls) then
    with replaced as (
      update model_calls c set (model, model_version, prompt_tokens, cached_tokens, tool_tokens, reply_tokens, thought_tokens,
          searches, cost_micros, is_priced, is_estimated) = (n.model, n.model_version, n.prompt_tokens, n.cached_tokens,
          n.tool_tokens, n.reply_tokens, n.thought_tokens, n.searches, n.cost_micros, n.is_priced, false)
        from jsonb_populate_recordset(null::model_calls, p_calls) n
          join model_calls e on e.user_id = p_user and e.id = n.id
        where c.user_id = p_user and c.id = n.id and c.is_estimated and not n.is_estimated
        returning coalesce(c.cost_micros, 0) - coalesce(e.cost_micros, 0) as cost, c.prompt_tokens - e.prompt_tokens as prompt,
          c.cached_tokens - e.cached_tokens as cached, c.tool_tokens - e.tool_tokens as tool,
          c.reply_tokens - e.reply_tokens as reply, c.thought_tokens - e.thought_tokens as thought,
          c.searches - e.searches as searches
    )
    select sum(r.cost), v_prompt + coalesce(sum(r.prompt), 0), v_cached + coalesce(sum(r.cached), 0),
        v_tool + coalesce(sum(r.tool), 0), v_reply + coalesce(sum(r.reply), 0), v_thought + coalesce(sum(r.thought), 0),
        v_searches + coalesce(sum(r.searches), 0)
      into v_more, v_prompt, v_cached, v_tool, v_reply, v_thought, v_searches from replaced r;
    v_cost := case when v_more is null then v_cost else coalesce(v_cost, 0) + v_more end;
  end if;
  update usage_daily d set used = d.used - p_refunds, refunded = d.refunded + p_refunds,
      reserved_micros = d.reserved_micros - p_reserved, cost_micros = d.cost_micros + coalesce(v_cost, 0),
      prompt_tokens = d.prompt_tokens + v_prompt, cached_tokens = d.cached_tokens + v_cached,
      tool_tokens = d.tool_tokens + v_tool, reply_tokens = d.reply_tokens + v_reply,
      thought_tokens = d.thought_tokens + v_thought, searches = d.searches + v_searches
    where d.quota_key = p_quota_key and d.day = p_day;
  return v_cost;
end $function$;

CREATE OR REPLACE FUNCTION public.record_late_calls(p_user uuid, p_reply uuid, p_quota_key text, p_day date, p_calls jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
declare
  v_cost bigint; v_last jsonb := p_calls -> -1;
begin
  perform 1 from users u where u.id = p_user for no key update;
  if not found then
    return;
  end if;
  if v_last ->> 'kind' in ('title', 'summary') then
    insert into usage_daily (quota_key, day, used) values (p_quota_key, p_day, 0) on conflict (quota_key, day) do nothing;
    perform record_calls(p_user, p_reply, p_quota_key, p_day, p_calls, 0, 0);
    return;
  end if;
  perform 1 from messages m where m.user_id = p_user and m.id = p_reply for update;
  v_cost := record_calls(p_user, p_reply, p_quota_key, p_day, p_calls, 0, 0);
  update messages m set cost_micros = case when v_cost is null then m.cost_micros else coalesce(m.cost_micros, 0) + v_cost end
    where m.user_id = p_user and m.id = p_reply;
  update messages m set prompt_tokens = (v_last ->> 'prompt_tokens')::int, reply_tokens = (v_last ->> 'reply_tokens')::int,
      thought_tokens = (v_last ->> 'thought_tokens')::int, cached_tokens = (v_last ->> 'cached_tokens')::int,
      tool_tokens = (v_last ->> 'tool_tokens')::int
    where m.user_id = p_user and m.id = p_reply and m.completed_at is not null and m.prompt_tokens is null
      and m.attempt = (v_last ->> 'attempt')::int;
end $function$;

CREATE OR REPLACE FUNCTION public.refuse_claim()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.release_replies(p_user uuid, p_basic_running integer, p_pro_running integer)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
declare
  v_pro_until timestamptz; v_free bigint; v_released jsonb;
begin
  select u.pro_until into v_pro_until from users u where u.id = p_user for no key update;
  select case when v_pro_until > clock_timestamp() then p_pro_running else p_basic_running end - count(*) into v_free
    from messages m where m.user_id = p_user and m.completed_at is null and m.status <> 'held';
  if v_free <= 0 then
    return '[]';
  end if;
  with released as (
    update messages m set status = 'queued', queued_at = clock_timestamp()
      where m.user_id = p_user and m.id = any(array(
        select (array_agg(h.id order by h.id))[1] as head from messages h
          where h.user_id = p_user and h.completed_at is null
          group by h.chatroom_id having bool_and(h.status = 'held') order by head limit v_free))
      returning m.id, m.priority
  )
  select coalesce(jsonb_agg(jsonb_build_object('id', r.id, 'priority', r.priority) order by r.id), '[]') into v_released
    from released r;
  return v_released;
end $function$;

CREATE OR REPLACE FUNCTION public.send_message(p_user uuid, p_room uuid, p_question uuid, p_reply uuid, p_content text, p_again uuid, p_tier text, p_daily_limit integer, p_running_limit integer, p_room_limit integer, p_title text, p_settings jsonb, p_settings_version integer, p_context_tokens integer, p_input_price double precision, p_output_micros bigint, p_daily_searches integer, p_search_micros bigint, p_budget bigint, p_key text, p_hash text, p_key_lifetime interval, p_attachments uuid[], p_attachment_limits jsonb, p_input jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
declare
  v_maximum_siblings constant int := 50;
  v_is_edit constant boolean := p_again is not null and p_content <> '';
  v_is_question constant boolean := p_again is null or v_is_edit;
  v_route constant text := case when p_input is not null then 'createCompletion' when p_again is null then 'sendMessage'
    when v_is_edit then 'editMessage' else 'regenerateReply' end;
  v_room chatrooms; v_user users; v_stored idempotency_keys; v_again messages;
  v_head uuid; v_parent uuid; v_index bigint := 1; v_previous uuid;
  v_last uuid; v_question uuid; v_sent_at timestamptz; v_tier text; v_is_head boolean; v_is_titled boolean; v_priority smallint;
  v_day date; v_resets_at timestamptz; v_system_prompt text; v_bytes bigint; v_reserved bigint; v_usage usage_daily;
  v_skipped jsonb; v_attachments jsonb; v_fault int; v_file_tokens bigint := 0; v_response jsonb;
begin
  select * into v_user from users u where u.id = p_user for no key update;
  if not found then
    return jsonb_build_object('outcome', 'chatroom_not_found');
  end if;
  if p_input is null then
    select * into v_room from chatrooms c where c.user_id = p_user and c.id = p_room and c.kind = 'chat' for update;
    if not found then
      return jsonb_build_object('outcome', 'chatroom_not_found');
    end if;
  else
    -- Inserted when the question is accepted.
    v_room.settings_version := -1;
    v_room.unfinished := 0;
    v_room.text_bytes := (select coalesce(sum(octet_length(t ->> 'text')), 0) from jsonb_array_elements(p_input -> 'turns') t);
  end if;

  if p_key is not null then
    select * into v_stored from idempotency_keys k
      where k.user_id = p_user and k.route = v_route and k.key = p_key and k.created_at > now() - p_key_lifetime;
    if found and v_stored.request_hash <> p_hash then
      return jsonb_build_object('outcome', 'idempotency_key_reused');
    elsif found then
      return v_stored.response || jsonb_build_object('outcome', 'replayed', 'status', v_stored.status);
    end if;
  end if;

  v_head := v_room.head_id;
  if v_head is null and v_room.last_message_at is not null then
    v_head := fill_branches(p_user, p_room);
  end if;

  if p_again is null then
    v_parent := followed_by(p_user, p_room, v_head);
  else
    select * into v_again from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.id = p_again;
    if not found then
      return jsonb_build_object('outcome', 'message_not_found');
    elsif v_is_edit and v_again.role <> 'user' then
      return jsonb_build_object('outcome', 'not_a_question');
    end if;
    v_parent := v_again.parent_id;
    v_question := coalesce(v_again.reply_to, v_again.id);
    if v_room.unfinished > 0 and exists (
        select from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.completed_at is null
          and case when v_is_edit then m.id = any(messages_under(p_user, p_room, p_again)) else m.reply_to = v_question end) then
      return jsonb_build_object('outcome', 'not_finished');
    end if;
  end if;
  -- A question that follows the head itself has no siblings: the head has no children.
  if not v_is_question then
    select count(*) + 1, (array_agg(m.id order by m.id desc))[1] into v_index, v_previous from messages m
      where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = v_question;
  elsif v_is_edit or v_parent is distinct from v_head then
    select count(*) + 1, (array_agg(m.id order by m.id desc))[1] into v_index, v_previous from messages m
      where m.user_id = p_user and m.chatroom_id = p_room and m.role = 'user' and m.parent_id is not distinct from v_parent;
    if v_is_edit and v_index > v_maximum_siblings then
      return jsonb_build_object('outcome', 'too_many_branches', 'limit', v_maximum_siblings);
    end if;
  end if;

  if v_room.unfinished >= p_room_limit then
    return jsonb_build_object('outcome', 'room_busy');
  end if;

  v_tier := tier_of(v_user);
  if v_tier <> p_tier or v_room.settings_version <> p_settings_version
      and not (p_settings_version = -1 and v_room.model is null and v_room.temperature is null
        and v_room.thinking = '{"level": null, "summaries": false}' and v_room.tools = '[]') then
    return jsonb_build_object('outcome', 'settings_changed', 'tier', v_tier, 'version', v_room.settings_version,
      'model', v_room.model, 'temperature', v_room.temperature, 'thinking', v_room.thinking, 'tools', v_room.tools);
  end if;

  if p_attachments is not null then
    select jsonb_agg(jsonb_build_object('id', f.id, 'name', f.name, 'type', f.type, 'kind', f.kind, 'bytes', f.bytes, 'tokens', f.tokens)
        order by a.position), min(a.position) filter (where f.id is null) - 1
      into v_attachments, v_fault
      from unnest(p_attachments) with ordinality as a (id, position) left join files f on f.user_id = p_user and f.id = a.id
        and f.status = 'ready' and (f.expires_at is null or f.expires_at > clock_timestamp());
    if v_fault is not null then
      return jsonb_build_object('outcome', 'attachment_not_found', 'index', v_fault);
    end if;
  elsif p_again is not null then
    select m.attachments into v_attachments from messages m where m.user_id = p_user and m.id = v_question;
  end if;
  if v_attachments is not null then
    select min(a.position) filter (where not p_attachment_limits -> 'kinds' ? (a.file ->> 'kind')) - 1, sum((a.file ->> 'tokens')::int)
      into v_fault, v_file_tokens from jsonb_array_elements(v_attachments) with ordinality as a (file, position);
    if v_fault is not null then
      return jsonb_build_object('outcome', 'attachment_not_readable', 'index', v_fault);
    elsif (select sum((a ->> 'bytes')::int) from jsonb_array_elements(v_attachments) a) > (p_attachment_limits ->> 'bytes')::int then
      return jsonb_build_object('outcome', 'attachments_too_large');
    end if;
  end if;

  v_day := (clock_timestamp() at time zone 'utc')::date;
  v_skipped := coalesce(p_settings -> 'toolsSkipped', '[]');
  -- A reply on its way counts as one search until its end tells how many it made. Two conditions, because a single one
  -- would count them for every question.
  if p_settings -> 'tools' ? 'search' then
    if p_daily_searches <= coalesce((select d.searches from usage_daily d where d.quota_key = v_user.quota_key and d.day = v_day), 0) + (
        select count(*) from messages m where m.user_id = p_user and m.completed_at is null and m.quota_day = v_day
          and m.settings -> 'tools' ? 'search') then
      v_skipped := v_skipped || '["search"]';
      p_settings := p_settings || jsonb_build_object('tools', (p_settings -> 'tools') - 'search', 'toolsSkipped', v_skipped);
      p_search_micros := 0;
    end if;
  end if;

  v_system_prompt := case when p_settings ? 'systemPrompt' then p_settings ->> 'systemPrompt' else v_room.system_prompt end;
  v_bytes := coalesce(v_room.text_bytes + octet_length(p_content) + octet_length(coalesce(v_system_prompt, '')), 4 * p_context_tokens);
  -- The question's own files are sent even when they have more tokens than the context.
  v_reserved := ceil((least(p_context_tokens, ceil(v_bytes / 4.0)) + v_file_tokens) * p_input_price)::bigint + p_output_micros + p_search_micros;
  v_resets_at := (v_day + 1)::timestamp at time zone 'utc';
  insert into usage_daily as d (quota_key, day, used, prompts, reserved_micros)
    select v_user.quota_key, v_day, 1, 1, v_reserved where p_budget is null or v_reserved <= p_budget
    on conflict (quota_key, day) do update
      set used = d.used + 1, prompts = d.prompts + 1, reserved_micros = d.reserved_micros + v_reserved
      where (p_daily_limit is null or d.used < p_daily_limit)
        and (p_budget is null or d.cost_micros + d.reserved_micros + v_reserved <= p_budget)
    returning * into v_usage;
  if not found then
    -- A replay comes before quota, and another room's send may have stored the key while this one waited for the day's row.
    if exists (select from idempotency_keys k where k.user_id = p_user and k.route = v_route and k.key = p_key
        and k.created_at > now() - p_key_lifetime) then
      raise exception 'idempotency key taken meanwhile' using errcode = 'serialization_failure';
    end if;
    select * into v_usage from usage_daily d where d.quota_key = v_user.quota_key and d.day = v_day;
    return jsonb_build_object('outcome', case when v_usage.used >= p_daily_limit then 'quota_exceeded' else 'budget_exceeded' end,
      'limit', p_daily_limit, 'resetsAt', v_resets_at);
  end if;

  -- Ids order a room's messages, but are made before the room is locked, by clocks that differ: one that would come
  -- before the newest message is moved to the milliseconds after it.
  -- Bounded from below, so that the user's other rooms are not read whichever index the plan takes.
  select m.id into v_last from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.id >= p_question
    order by m.id desc limit 1;
  if found then
    p_question := uuid_after(v_last, 1, p_question);
    p_reply := uuid_after(v_last, 2, p_reply);
  end if;

  v_sent_at := date_trunc('milliseconds', clock_timestamp());
  v_priority := case v_tier when 'basic' then 10 else 0 end;
  v_is_head := v_room.unfinished = 0 and p_running_limit > (
    select count(*) from messages m where m.user_id = p_user and m.completed_at is null and m.status <> 'held');
  v_question := case when v_is_question then p_question else v_question end;
  v_is_titled := p_title is not null and v_room.title_source = 'default';
  if p_input is not null then
    insert into chatrooms (user_id, id, kind, title, text_bytes) values (p_user, p_room, 'completion', '', v_room.text_bytes);
  end if;
  if v_is_question then
    insert into messages (user_id, id, chatroom_id, role, content, status, parent_id, created_at, completed_at, attachments, input)
      values (p_user, p_question, p_room, 'user', p_content, 'completed', v_parent, v_sent_at, v_sent_at, v_attachments, p_input);
    if v_attachments is not null then
      insert into file_uses (user_id, file_id, message_id)
        select p_user, f.id, p_question from files f
        where f.user_id = p_user and f.id in (select (a ->> 'id')::uuid from jsonb_array_elements(v_attachments) a);
      update files f set expires_at = null where f.user_id = p_user and f.id = any(p_attachments) and f.expires_at is not null;
    end if;
  else
    update messages m set superseded_by = p_reply
      where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = v_question and m.superseded_by is null;
  end if;
  insert into messages (user_id, id, chatroom_id, role, status, reply_to, priority, settings, quota_day, quota_state,
      reserved_micros, queued_at, created_at, claimed_attempt)
    values (p_user, p_reply, p_room, 'model', case when v_is_head then 'queued' else 'held' end, v_question,
      v_priority, p_settings || jsonb_build_object('systemPrompt', v_system_prompt), v_day, 'reserved', v_reserved, case when v_is_head then v_sent_at end, v_sent_at,
      case when p_input is not null or v_attachments is not null then 0 end);
  update chatrooms c set unfinished = c.unfinished + 1, head_id = p_reply, last_message_at = v_sent_at, text_bytes = c.text_bytes + octet_length(p_content),
      title = case when v_is_titled then p_title else c.title end,
      title_source = case when v_is_titled then 'words' else c.title_source end,
      titled_at = case when v_is_titled then v_sent_at else c.titled_at end
    where c.user_id = p_user and c.id = p_room;

  v_response := jsonb_build_object('questionId', v_question, 'replyId', p_reply, 'sentAt', v_sent_at,
    'parentId', v_parent, 'version', v_index, 'previousVersion', v_previous,
    'limit', p_daily_limit, 'used', v_usage.used, 'resetsAt', v_resets_at, 'budget', p_budget,
    'spent', v_usage.cost_micros, 'reserved', v_usage.reserved_micros)
    || case when p_input is null then '{}' else jsonb_build_object('roomId', p_room) end
    || case when v_skipped = '[]' then '{}' else jsonb_build_object('toolsSkipped', v_skipped) end
    || case when v_attachments is null or not v_is_question then '{}' else jsonb_build_object('attachments', show_attachments(p_user, v_attachments)) end;
  if p_key is not null then
    insert into idempotency_keys as k (user_id, route, key, request_hash, status, response)
      values (p_user, v_route, p_key, p_hash, 202, v_response)
      on conflict (user_id, route, key) do update set request_hash = excluded.request_hash, status = excluded.status,
        response = excluded.response, created_at = excluded.created_at
      where k.created_at <= now() - p_key_lifetime;
    if not found then
      -- The same key in another room at the same moment: undo everything and let the caller look again.
      raise exception 'idempotency key taken meanwhile' using errcode = 'serialization_failure';
    end if;
  end if;

  return v_response || jsonb_build_object('outcome', 'accepted', 'isHead', v_is_head, 'priority', v_priority, 'isTitled', v_is_titled);
end $function$;

CREATE OR REPLACE FUNCTION public.stand_on(p_user uuid, p_room uuid, p_message uuid)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
declare
  v_room chatrooms;
begin
  select * into v_room from chatrooms c where c.user_id = p_user and c.id = p_room for update;
  if not found then
    return 'chatroom_not_found';
  elsif not exists (select from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.id = p_message) then
    return 'message_not_found';
  elsif v_room.unfinished > 0 then
    return 'not_finished';
  end if;
  perform fill_branches(p_user, p_room);
  update chatrooms c set head_id = newest_leaf(p_user, p_room, p_message) where c.user_id = p_user and c.id = p_room;
  return 'moved';
end $function$;

CREATE OR REPLACE FUNCTION public.take_throttles(p_asked json)
 RETURNS TABLE(key text, wait double precision)
 LANGUAGE plpgsql
AS $function$
#variable_conflict use_column
declare
  v_now timestamptz;
begin
  insert into throttles as t (key, tat)
    select a.key, '-infinity' from json_to_recordset(p_asked) as a (key text) order by a.key
    on conflict (key) do update set tat = t.tat;
  v_now := clock_timestamp();
  return query
    select a.key, greatest(1, ceil(extract(epoch from
        greatest(t.tat, v_now) + make_interval(secs => a.step) - make_interval(secs => a.period) - v_now)))::float8
    from json_to_recordset(p_asked) as a (key text, step float8, period float8) join throttles t on t.key = a.key
    where greatest(t.tat, v_now) + make_interval(secs => a.step) - v_now > make_interval(secs => a.period);
  if not found then
    update throttles t set tat = greatest(t.tat, v_now) + make_interval(secs => a.step)
      from json_to_recordset(p_asked) as a (key text, step float8) where t.key = a.key;
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.tier_of(u users)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
begin
  if u.pro_until is null or u.pro_until <= clock_timestamp() then
    return 'basic';
  elsif u.plans is null then
    return 'pro';
  end if;
  return coalesce((select p ->> 'plan' from jsonb_array_elements(u.plans) with ordinality as listed (p, position)
    where (p ->> 'until')::timestamptz > clock_timestamp() order by position limit 1), 'basic');
end $function$;

CREATE OR REPLACE FUNCTION public.decide_tier(p_user uuid)
 RETURNS boolean
 LANGUAGE sql
AS $function$
  select decide_tier(p_user, array['pro'])
$function$;

CREATE OR REPLACE FUNCTION public.finish_reply(p_user uuid, p_reply uuid, p_attempt integer, p_status text, p_content text, p_finish_reason text, p_truncated boolean, p_error_code text, p_error_message text, p_model text, p_prompt_tokens integer, p_reply_tokens integer, p_thought_tokens integer, p_cached_tokens integer, p_refund boolean, p_refunds_a_day integer, p_context_ids uuid[], p_context_system_prompt text)
 RETURNS TABLE(finished boolean, next_reply uuid)
 LANGUAGE sql
AS $function$
  update messages m set context_system_prompt = p_context_system_prompt
    where m.user_id = p_user and m.id = p_reply and m.attempt = p_attempt and m.status = 'processing';
  select f ->> 'outcome' = 'finished', (f #>> '{nextReplies,0,id}')::uuid
  from finish_reply(p_user => p_user, p_reply => p_reply, p_attempt => p_attempt, p_status => p_status,
    p_content => p_content, p_finish_reason => p_finish_reason, p_truncated => p_truncated, p_error_code => p_error_code,
    p_error_message => p_error_message, p_model => p_model, p_prompt_tokens => p_prompt_tokens,
    p_reply_tokens => p_reply_tokens, p_thought_tokens => p_thought_tokens, p_cached_tokens => p_cached_tokens,
    p_tool_tokens => null,
    p_calls => case when p_prompt_tokens is null then '[]' else jsonb_build_array(jsonb_build_object(
      'id', md5(p_reply || '/' || coalesce(p_attempt, 0))::uuid, 'attempt', coalesce(p_attempt, 0), 'kind', 'reply', 'tier', 'basic',
      'model', coalesce(p_model, ''), 'prompt_tokens', p_prompt_tokens, 'cached_tokens', coalesce(p_cached_tokens, 0),
      'tool_tokens', 0, 'reply_tokens', coalesce(p_reply_tokens, 0), 'thought_tokens', coalesce(p_thought_tokens, 0),
      'searches', 0, 'is_priced', false, 'is_estimated', false)) end,
    p_refunds_a_day => case when p_refund then p_refunds_a_day end, p_basic_running => 3, p_pro_running => 10,
    p_context_ids => p_context_ids, p_output => null, p_thoughts => null,
    p_error_detail => null, p_grounding => null, p_context_summary => null) f
$function$;

CREATE OR REPLACE FUNCTION public.messages_under(p_user uuid, p_room uuid, p_question uuid)
 RETURNS uuid[]
 LANGUAGE sql
 STABLE
AS $function$
  with recursive under as (
    select p_question as id
    union all
    select child.id from under, lateral (
      select m.id from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = under.id
      union all
      select m.id from messages m
        where m.user_id = p_user and m.chatroom_id = p_room and m.role = 'user' and m.parent_id = under.id
    ) child
  )
  select array_agg(id) from under
$function$;

CREATE OR REPLACE FUNCTION public.release_reservations(p_user uuid, p_room uuid)
 RETURNS void
 LANGUAGE sql
AS $function$
  update usage_daily d set reserved_micros = d.reserved_micros - r.reserved
  from (
    select u.quota_key, m.quota_day, sum(m.reserved_micros) as reserved
    from messages m join users u on u.id = m.user_id
    where m.user_id = p_user and (p_room is null or m.chatroom_id = p_room) and m.completed_at is null
    group by 1, 2
  ) r
  where d.quota_key = r.quota_key and d.day = r.quota_day
$function$;

CREATE OR REPLACE FUNCTION public.send_message(p_user uuid, p_room uuid, p_question uuid, p_reply uuid, p_content text, p_basic_limit integer, p_pro_limit integer, p_room_limit integer, p_key text, p_hash text, p_again uuid)
 RETURNS TABLE(outcome text, question_id uuid, reply_id uuid, sent_at timestamp with time zone, daily_limit integer, used integer, resets_at timestamp with time zone, status integer, is_head boolean)
 LANGUAGE sql
AS $function$
  select s ->> 'outcome', (s ->> 'questionId')::uuid, (s ->> 'replyId')::uuid, (s ->> 'sentAt')::timestamptz,
    (s ->> 'limit')::int, coalesce(s ->> 'used', s ->> 'limit')::int, (s ->> 'resetsAt')::timestamptz,
    case s ->> 'outcome' when 'accepted' then 202 else (s ->> 'status')::int end,
    case s ->> 'outcome' when 'replayed' then false else (s ->> 'isHead')::boolean end
  from (
    select coalesce((select tier_of(u) from users u where u.id = p_user), 'basic') as tier
  ) t, send_message(p_user => p_user, p_room => p_room, p_question => p_question, p_reply => p_reply,
    p_content => case when p_again is null then p_content else '' end, p_again => p_again, p_tier => tier, p_daily_limit => nullif(case tier when 'basic' then p_basic_limit else p_pro_limit end, 0),
    p_running_limit => case tier when 'basic' then 3 else 10 end, p_room_limit => p_room_limit, p_title => null, p_settings => null,
    p_settings_version => null, p_context_tokens => 32000, p_input_price => 0, p_output_micros => 0, p_daily_searches => null, p_search_micros => 0, p_budget => null, p_key => p_key, p_hash => p_hash, p_key_lifetime => '24 hours', p_attachments => null, p_attachment_limits => '{"bytes": 20971520, "kinds": ["image", "pdf", "audio", "text"]}', p_input => null) s
$function$;

CREATE OR REPLACE FUNCTION public.show_attachments(p_user uuid, p_attachments jsonb)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  select jsonb_agg(jsonb_build_object('id', a -> 'id', 'name', a -> 'name', 'type', a -> 'type', 'bytes', a -> 'bytes',
      'deleted', f.id is null) order by position)
    from jsonb_array_elements(p_attachments) with ordinality as given (a, position)
    left join files f on f.user_id = p_user and f.id = (a ->> 'id')::uuid
$function$;

CREATE OR REPLACE FUNCTION public.uuid_after(p_last uuid, p_milliseconds integer, p_rest uuid)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE
AS $function$
  select (lpad(to_hex(('x0000' || substr(replace(p_last::text, '-', ''), 1, 12))::bit(64)::bigint + p_milliseconds), 12, '0')
    || substr(replace(p_rest::text, '-', ''), 13))::uuid
$function$;

CREATE TRIGGER auth_events_final BEFORE UPDATE ON auth_events FOR EACH ROW EXECUTE FUNCTION auth_events_are_final();

CREATE TRIGGER files_deleted AFTER DELETE ON files FOR EACH ROW EXECUTE FUNCTION file_deleted();

CREATE TRIGGER messages_claimed BEFORE UPDATE OF attempt ON messages FOR EACH ROW WHEN (new.claimed_attempt IS NOT NULL AND new.attempt <> old.attempt AND new.claimed_attempt <> new.attempt) EXECUTE FUNCTION refuse_claim();

CREATE TRIGGER messages_deleted AFTER DELETE ON messages FOR EACH ROW WHEN (old.attachments IS NOT NULL) EXECUTE FUNCTION message_with_files_deleted();
