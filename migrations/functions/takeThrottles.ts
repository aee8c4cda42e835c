import { define } from "./define.ts"

/**
 * Takes one of every allowance (GCRA: `step` is the period divided by the limit), or of none when one is used up: then
 * it returns those, with the seconds to wait. Every row is made or locked first, in the order of the keys, so that two
 * calls for the same keys cannot deadlock.
 */
export const takeThrottles = define(`
create or replace function take_throttles(p_asked json) returns table (key text, wait float8) language plpgsql as $$
#variable_conflict use_column
declare
  v_now timestamptz;
begin
  insert into throttles as t (key, tat)
    select a.key, '-infinity' from json_to_recordset(p_asked) as a (key text) order by a.key
    on conflict (key) do update set tat = t.tat;
  v_now := clock_timestamp();
  return query
    select a.key, greatest(1, ceil(extract(epoch from
        greatest(t.tat, v_now) + make_interval(secs => a.step) - make_interval(secs => a.period) - v_now)))::float8
    from json_to_recordset(p_asked) as a (key text, step float8, period float8) join throttles t on t.key = a.key
    where greatest(t.tat, v_now) + make_interval(secs => a.step) - v_now > make_interval(secs => a.period);
  if not found then
    update throttles t set tat = greatest(t.tat, v_now) + make_interval(secs => a.step)
      from json_to_recordset(p_asked) as a (key text, step float8) where t.key = a.key;
  end if;
end $$
`)
