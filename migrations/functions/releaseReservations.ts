import { define } from "./define.ts"

/**
 * Gives back what unfinished replies have reserved of budgets, before they are deleted: those of a room, or all of a user
 * (`p_room` null).
 */
export const releaseReservations = define(`
create or replace function release_reservations(p_user uuid, p_room uuid) returns void language sql as $$
  update usage_daily d set reserved_micros = d.reserved_micros - r.reserved
  from (
    select u.quota_key, m.quota_day, sum(m.reserved_micros) as reserved
    from messages m join users u on u.id = m.user_id
    where m.user_id = p_user and (p_room is null or m.chatroom_id = p_room) and m.completed_at is null
    group by 1, 2
  ) r
  where d.quota_key = r.quota_key and d.day = r.quota_day
$$
`)
