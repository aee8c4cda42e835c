import { define } from "./define.ts"

/**
 * Deletes a question with its replies and everything that follows them, unless one of the replies has not ended. A room
 * that stands on one of these messages moves to the newest branch beside them. Returns its `outcome`.
 *
 * A summary that covers one of them is deleted, too: it covers all messages before its last one, so that is one of them.
 * A job that is making a summary may have read them, so what it makes is not stored.
 *
 * The lock order is that of `send_message`: the user, then the room, then its messages.
 */
export const deleteMessage = define(`
create or replace function delete_message(p_user uuid, p_room uuid, p_message uuid) returns text language plpgsql as $$
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
end $$
`)
