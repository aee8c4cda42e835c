import { define } from "./define.ts"

/**
 * The reply that a question follows when it is asked at a message: that reply, unless it failed or was cancelled. Then it
 * is the newest completed reply to the same question, else the reply that this question follows. Null at the beginning.
 *
 * A reply that has not ended counts as completed; `finish_reply` corrects the questions that follow it when it fails.
 */
export const followedBy = define(`
create or replace function followed_by(p_user uuid, p_room uuid, p_message uuid) returns uuid language plpgsql stable as $$
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
end $$
`)
