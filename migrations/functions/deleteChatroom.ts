import { define } from "./define.ts"

/**
 * Deletes a room with its messages, and releases the user's held replies that may run now (`release_replies`). Returns
 * null when there is no such room of the kind `chat`, else `unfinished`, the replies that ended with it, and `nextReplies`.
 *
 * A function, because the messages go with the room only when its statement ends. The lock order is that of
 * `send_message`: the user, then the room.
 */
export const deleteChatroom = define(`
create or replace function delete_chatroom(p_user uuid, p_room uuid, p_basic_running int, p_pro_running int) returns jsonb language plpgsql as $$
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
end $$
`)
