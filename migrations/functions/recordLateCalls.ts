import { define } from "./define.ts"

/**
 * Writes calls that ended without ending their reply: of an attempt that is repeated, or whose reply has ended meanwhile
 * (a cancel that its worker did not hear of). Such a reply gets the tokens of the last call, too. Calls for a room's title
 * or summary name the reply beside or after which they were made, and are no cost of it; their day may have no row yet.
 */
export const recordLateCalls = define(`
create or replace function record_late_calls(p_user uuid, p_reply uuid, p_quota_key text, p_day date, p_calls jsonb)
returns void language plpgsql as $$
declare
  v_cost bigint; v_last jsonb := p_calls -> -1;
begin
  perform 1 from users u where u.id = p_user for no key update;
  if not found then
    return;
  end if;
  if v_last ->> 'kind' in ('title', 'summary') then
    insert into usage_daily (quota_key, day, used) values (p_quota_key, p_day, 0) on conflict (quota_key, day) do nothing;
    perform record_calls(p_user, p_reply, p_quota_key, p_day, p_calls, 0, 0);
    return;
  end if;
  perform 1 from messages m where m.user_id = p_user and m.id = p_reply for update;
  v_cost := record_calls(p_user, p_reply, p_quota_key, p_day, p_calls, 0, 0);
  update messages m set cost_micros = case when v_cost is null then m.cost_micros else coalesce(m.cost_micros, 0) + v_cost end
    where m.user_id = p_user and m.id = p_reply;
  update messages m set prompt_tokens = (v_last ->> 'prompt_tokens')::int, reply_tokens = (v_last ->> 'reply_tokens')::int,
      thought_tokens = (v_last ->> 'thought_tokens')::int, cached_tokens = (v_last ->> 'cached_tokens')::int,
      tool_tokens = (v_last ->> 'tool_tokens')::int
    where m.user_id = p_user and m.id = p_reply and m.completed_at is not null and m.prompt_tokens is null
      and m.attempt = (v_last ->> 'attempt')::int;
end $$
`)
