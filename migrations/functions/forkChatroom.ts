import { define } from "./define.ts"

/**
 * Makes a room (`p_copy`) with the settings of another and copies of the messages from its beginning to a message (null:
 * to its head). Costs, quotas and feedback belong to the originals and are not copied. Returns its `outcome`.
 *
 * The ids of the copies are UUIDv7s of the milliseconds before `p_copy`, in the order of the path.
 */
export const forkChatroom = define(`
create or replace function fork_chatroom(
  p_user uuid, p_room uuid, p_message uuid, p_copy uuid, p_title text, p_room_limit int, p_message_limit int
) returns text language plpgsql as $$
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
end $$
`)
