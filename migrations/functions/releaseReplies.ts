import { define } from "./define.ts"

/**
 * Queues a user's held replies that may run now, oldest first, and returns their ids and priorities: the oldest of each
 * room that has none on its way, while fewer than `p_basic_running` or `p_pro_running` of the user are. Replies on their
 * way are counted and not kept in a counter, so that nothing can drift.
 *
 * It takes the user's lock, the first one of every transaction that changes which replies run (`send_message`).
 */
export const releaseReplies = define(`
create or replace function release_replies(p_user uuid, p_basic_running int, p_pro_running int) returns jsonb language plpgsql as $$
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
end $$
`)
