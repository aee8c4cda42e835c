import { define } from "./define.ts"

/**
 * Gives a room from before branches its tree: each question follows the newest reply of the newest earlier question that
 * has an answer, as the model's context did, and the room stands on the newest reply of its newest question. Returns the
 * room's head; a room that has one is unchanged.
 *
 * Until then `head_id` is null while the room has messages, and a null `parent_id` means the linear order.
 */
export const fillBranches = define(`
create or replace function fill_branches(p_user uuid, p_room uuid) returns uuid language plpgsql as $$
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
end $$
`)
