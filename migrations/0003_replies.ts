import { Effect } from "effect"
import { SqlClient } from "effect/sql"

/**
 * The two transactions of a message's life, as functions: each is one round trip, and each of its
 * statements sees what the room's previous holder committed (a single statement with CTEs would
 * decide from the snapshot it took before it waited for the lock).
 *
 * Lock order everywhere: the room, then its messages, then the day's usage.
 */
export default Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  // RFC 9562, 5.7: the first 48 bits of a UUIDv7 are Unix milliseconds; the rest is taken from `p_rest`.
  yield* sql`
    create function uuid_after(p_last uuid, p_milliseconds int, p_rest uuid) returns uuid language sql immutable as $$
      select (lpad(to_hex(('x0000' || substr(replace(p_last::text, '-', ''), 1, 12))::bit(64)::bigint + p_milliseconds), 12, '0')
        || substr(replace(p_rest::text, '-', ''), 13))::uuid
    $$
  `
  yield* sql`
    create function send_message(
      p_user uuid, p_room uuid, p_question uuid, p_reply uuid, p_content text,
      p_basic_limit int, p_pro_limit int, p_room_limit int, p_key text, p_hash text, p_again uuid
    ) returns table (
      outcome text, question_id uuid, reply_id uuid, sent_at timestamptz,
      daily_limit int, used int, resets_at timestamptz, status int, is_head boolean
    ) language plpgsql as $$
    declare
      v_room chatrooms; v_user users; v_stored idempotency_keys; v_day date; v_old messages;
      v_last uuid;
      v_route constant text := case when p_again is null then 'sendMessage' else 'regenerateReply' end;
    begin
      select * into v_room from chatrooms c where c.user_id = p_user and c.id = p_room for update;
      if not found then
        outcome := 'chatroom_not_found'; return next; return;
      end if;

      if p_key is not null then
        select * into v_stored from idempotency_keys k
          where k.user_id = p_user and k.route = v_route and k.key = p_key
            and k.created_at > now() - interval '24 hours';
        if found and v_stored.request_hash <> p_hash then
          outcome := 'idempotency_key_reused'; return next; return;
        elsif found then
          outcome := 'replayed';
          question_id := (v_stored.response ->> 'questionId')::uuid;
          reply_id := (v_stored.response ->> 'replyId')::uuid;
          sent_at := (v_stored.response ->> 'sentAt')::timestamptz;
          daily_limit := (v_stored.response ->> 'limit')::int;
          used := (v_stored.response ->> 'used')::int;
          resets_at := (v_stored.response ->> 'resetsAt')::timestamptz;
          status := v_stored.status;
          is_head := false;
          return next; return;
        end if;
      end if;

      -- Asking again: for a reply, or for the newest one of a question, that has ended.
      if p_again is not null then
        select * into v_old from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.role = 'model'
          and (m.id = p_again or m.reply_to = p_again) order by m.id desc limit 1;
        if not found then
          outcome := 'message_not_found'; return next; return;
        elsif v_old.status in ('held', 'queued', 'processing', 'waiting') or exists (
          select 1 from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = v_old.reply_to
            and m.status in ('held', 'queued', 'processing', 'waiting')) then
          outcome := 'not_finished'; return next; return;
        end if;
      end if;

      if v_room.unfinished >= p_room_limit then
        outcome := 'room_busy'; return next; return;
      end if;

      select * into v_user from users u where u.id = p_user;
      if not found then
        outcome := 'chatroom_not_found'; return next; return;
      end if;
      v_day := (clock_timestamp() at time zone 'utc')::date;
      daily_limit := nullif(case when v_user.pro_until > clock_timestamp() then p_pro_limit else p_basic_limit end, 0);
      resets_at := (v_day + 1)::timestamp at time zone 'utc';
      insert into usage_daily as d (quota_key, day, used, prompts) values (v_user.quota_key, v_day, 1, 1)
        on conflict (quota_key, day) do update set used = d.used + 1, prompts = d.prompts + 1
        where daily_limit is null or d.used < daily_limit
        returning d.used into used;
      if not found then
        -- A replay comes before quota, and another room's send may have stored the key while this one waited for the day's row.
        if exists (select from idempotency_keys k where k.user_id = p_user and k.route = v_route and k.key = p_key
            and k.created_at > now() - interval '24 hours') then
          raise exception 'idempotency key taken meanwhile' using errcode = 'serialization_failure';
        end if;
        outcome := 'quota_exceeded'; used := daily_limit; return next; return;
      end if;

      -- Ids order a room's messages, and are made before the room is ours, by clocks that differ: one that would
      -- come before the newest message is moved to the milliseconds after it.
      select m.id into v_last from messages m where m.user_id = p_user and m.chatroom_id = p_room order by m.id desc limit 1;
      if v_last >= p_question then
        p_question := uuid_after(v_last, 1, p_question);
        p_reply := uuid_after(v_last, 2, p_reply);
      end if;

      sent_at := date_trunc('milliseconds', clock_timestamp());
      is_head := v_room.unfinished = 0;
      question_id := coalesce(v_old.reply_to, p_question);
      if p_again is null then
        insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
          values (p_user, p_question, p_room, 'user', p_content, 'completed', sent_at, sent_at);
      else
        update messages m set superseded_by = p_reply
          where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = v_old.reply_to and m.superseded_by is null;
      end if;
      insert into messages (user_id, id, chatroom_id, role, status, reply_to, quota_day, quota_state, queued_at, created_at)
        values (p_user, p_reply, p_room, 'model', case when is_head then 'queued' else 'held' end, question_id,
          v_day, 'reserved', case when is_head then sent_at end, sent_at);
      update chatrooms c set unfinished = c.unfinished + 1, last_message_at = sent_at
        where c.user_id = p_user and c.id = p_room;

      if p_key is not null then
        insert into idempotency_keys as k (user_id, route, key, request_hash, status, response)
          values (p_user, v_route, p_key, p_hash, 202, jsonb_build_object(
            'questionId', question_id, 'replyId', p_reply, 'sentAt', sent_at,
            'limit', daily_limit, 'used', used, 'resetsAt', resets_at))
          on conflict (user_id, route, key) do update set request_hash = excluded.request_hash, status = excluded.status,
            response = excluded.response, created_at = excluded.created_at
          where k.created_at <= now() - interval '24 hours';
        if not found then
          -- The same key in another room at the same moment: undo everything and let the caller look again.
          raise exception 'idempotency key taken meanwhile' using errcode = 'serialization_failure';
        end if;
      end if;

      outcome := 'accepted'; reply_id := p_reply; status := 202;
      return next;
    end $$
  `

  yield* sql`
    create function finish_reply(
      p_user uuid, p_reply uuid, p_attempt int, p_status text, p_content text, p_finish_reason text, p_truncated boolean,
      p_error_code text, p_error_message text, p_model text,
      p_prompt_tokens int, p_reply_tokens int, p_thought_tokens int, p_cached_tokens int,
      p_refund boolean, p_refunds_a_day int, p_context_ids uuid[], p_context_system_prompt text
    ) returns table (finished boolean, next_reply uuid) language plpgsql as $$
    declare
      v_reply messages; v_quota_key text; v_refunded boolean := false;
    begin
      finished := false;
      perform 1 from chatrooms c where c.user_id = p_user
        and c.id = (select m.chatroom_id from messages m where m.user_id = p_user and m.id = p_reply) for update;
      -- The fence: a given attempt must still hold the reply; no attempt (a cancel, a deadline) ends any unfinished one.
      select * into v_reply from messages m where m.user_id = p_user and m.id = p_reply and m.role = 'model'
        and case when p_attempt is null then m.status in ('held', 'queued', 'processing', 'waiting')
                 else m.status = 'processing' and m.attempt = p_attempt end
        for update;
      if not found then
        return next; return;
      end if;

      select u.quota_key into v_quota_key from users u where u.id = p_user;
      if p_refund and v_reply.quota_state = 'reserved' then
        update usage_daily d set used = d.used - 1, refunded = d.refunded + 1
          where d.quota_key = v_quota_key and d.day = v_reply.quota_day and d.refunded < p_refunds_a_day and d.used > 0;
        v_refunded := found;
      end if;
      if p_prompt_tokens is not null or p_reply_tokens is not null then
        update usage_daily d set prompt_tokens = d.prompt_tokens + coalesce(p_prompt_tokens, 0),
            reply_tokens = d.reply_tokens + coalesce(p_reply_tokens, 0)
          where d.quota_key = v_quota_key and d.day = v_reply.quota_day;
      end if;

      update messages m set status = p_status, content = coalesce(p_content, m.content), finish_reason = p_finish_reason,
          truncated = p_truncated, error_code = p_error_code, error_message = p_error_message,
          model = coalesce(p_model, m.model), prompt_tokens = p_prompt_tokens, reply_tokens = p_reply_tokens,
          thought_tokens = p_thought_tokens, cached_tokens = p_cached_tokens,
          quota_state = case when v_refunded then 'refunded' else 'spent' end,
          context_ids = p_context_ids, context_system_prompt = p_context_system_prompt,
          worker_id = null, lease_until = null, retry_at = null,
          completed_at = date_trunc('milliseconds', clock_timestamp())
        where m.user_id = p_user and m.id = p_reply;
      -- A room's latest activity is its newest message, and the reply was there since its question: the list stands.
      update chatrooms c set unfinished = c.unfinished - 1
        where c.user_id = p_user and c.id = v_reply.chatroom_id;
      if v_reply.status <> 'held' then
        update messages m set status = 'queued', queued_at = clock_timestamp()
          where m.user_id = p_user and m.id = (
            select h.id from messages h where h.user_id = p_user and h.chatroom_id = v_reply.chatroom_id
              and h.status = 'held' order by h.id limit 1)
          returning m.id into next_reply;
      end if;
      finished := true;
      return next;
    end $$
  `
})
