import { define } from "./define.ts"

/**
 * Accepts a question: checks the room and the idempotency key, takes a unit of the day's quota, and stores the question
 * with its waiting reply, on which the room then stands. A refusal stores nothing. `SendOutcome` of `Sending.ts` describes
 * what it returns.
 *
 * A question follows the room's head (`followed_by`). With `p_again` it is asked again: with `p_content` that is another
 * wording of the question `p_again`, which follows what that one follows; without content another reply to it.
 *
 * A function, so that it is one round trip in which each statement sees what the room's previous holder committed: a
 * single statement with CTEs would decide from the snapshot it took before it waited for the room's lock.
 * Lock order: the user, then the room, then its messages, then the day's usage (docs/architecture.md). All changes to who
 * runs and who is held happen under the user's lock, so that the count of running replies is exact.
 *
 * The reply is `queued` if its room has no unfinished one and fewer than `p_running_limit` replies of the user are on
 * their way; else it is `held`.
 *
 * `p_settings` are the reply's settings, which the caller has resolved for the user's tier and from the room's settings of
 * a version (-1: from a room that has the defaults of all settings); when either is another by now, nothing is taken and
 * `settings_changed` says what they are. The limits are those of the tier. With `p_title` a room that has no title yet gets
 * it, and `isTitled` is true. What one attempt may cost is reserved of the budget: the prompt by an estimate (a token for
 * four bytes) at `p_input_price` millionths of a dollar a token, `p_output_micros` for the longest answer, and
 * `p_search_micros` for its searches. A reply whose user has used up the day's searches is made without search
 * (`toolsSkipped`).
 *
 * `p_attachments` are the question's files, null for none, or for those of the question that is edited; they are deleted under the user's lock alone, so that none
 * vanishes between the check and the use. `p_attachment_limits` has what may be attached: `bytes` in all, and the `kinds` of
 * files that the model reads.
 *
 * With `p_input`, the turns before the question (`GivenInput` of `Conversation.ts`), the question is asked outside of chats:
 * the transaction makes a room of the kind `completion` for it, which has the defaults of all settings.
 */
export const sendMessage = define(`
create or replace function send_message(
  p_user uuid, p_room uuid, p_question uuid, p_reply uuid, p_content text, p_again uuid,
  p_tier text, p_daily_limit int, p_running_limit int, p_room_limit int,
  p_title text, p_settings jsonb, p_settings_version int, p_context_tokens int, p_input_price float8, p_output_micros bigint,
  p_daily_searches int, p_search_micros bigint, p_budget bigint,
  p_key text, p_hash text, p_key_lifetime interval, p_attachments uuid[], p_attachment_limits jsonb, p_input jsonb
) returns jsonb language plpgsql as $$
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
end $$
`)
