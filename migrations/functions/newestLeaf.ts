import { define } from "./define.ts"

/**
 * The end of the branch on which a message lies: from the message (null: from the beginning of the room) the newest child
 * is followed at every step. Null in an empty room.
 */
export const newestLeaf = define(`
create or replace function newest_leaf(p_user uuid, p_room uuid, p_message uuid) returns uuid language plpgsql stable as $$
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
end $$
`)
