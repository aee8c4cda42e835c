import { define } from "./define.ts"

/** Moves a room to the branch of a message, down to its newest leaf, unless a reply of the room has not ended. Returns its `outcome`. */
export const standOn = define(`
create or replace function stand_on(p_user uuid, p_room uuid, p_message uuid) returns text language plpgsql as $$
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
end $$
`)
