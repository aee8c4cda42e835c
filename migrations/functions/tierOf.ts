import { define } from "./define.ts"

/**
 * The tier that a user has now: the best plan that has not ended, or `basic`. `users.plans` has the paid plans from the best
 * one down, each with its end. A row that only the previous release has written has none there, but a `pro_until`.
 */
export const tierOf = define(`
create or replace function tier_of(u users) returns text language plpgsql as $$
begin
  if u.pro_until is null or u.pro_until <= clock_timestamp() then
    return 'basic';
  elsif u.plans is null then
    return 'pro';
  end if;
  return coalesce((select p ->> 'plan' from jsonb_array_elements(u.plans) with ordinality as listed (p, position)
    where (p ->> 'until')::timestamptz > clock_timestamp() order by position limit 1), 'basic');
end $$
`)
