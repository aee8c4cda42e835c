import { define } from "./define.ts"

/**
 * Writes a reply's calls of the model into the ledger, and counts them in the user's day. A call is written once, by its
 * id: a repetition adds nothing, but what the model has counted replaces an estimate, which another worker wrote because
 * it held the first one for lost; then only the difference is added. The same update settles the reply: `p_reserved` is given back to the budget, and
 * `p_refunds` units to the quota. Returns what the calls cost, null when no price is known.
 *
 * The ledger of a deleted account is gone; its day, which is kept for the number's quota, still counts.
 */
export const recordCalls = define(`
create or replace function record_calls(
  p_user uuid, p_reply uuid, p_quota_key text, p_day date, p_calls jsonb, p_reserved bigint, p_refunds int
) returns bigint language plpgsql as $$
declare
  v_written int; v_cost bigint; v_more bigint; v_prompt bigint; v_cached bigint; v_tool bigint; v_reply bigint; v_thought bigint; v_searches bigint;
begin
  with written as (
    insert into model_calls as c (user_id, id, reply_id, attempt, kind, tier, model, model_version, prompt_tokens, cached_tokens,
        tool_tokens, reply_tokens, thought_tokens, searches, cost_micros, is_priced, is_estimated)
      select p_user, n.id, p_reply, n.attempt, n.kind, n.tier, n.model, n.model_version, n.prompt_tokens, n.cached_tokens,
        n.tool_tokens, n.reply_tokens, n.thought_tokens, n.searches, n.cost_micros, n.is_priced, n.is_estimated
      from jsonb_populate_recordset(null::model_calls, p_calls) n
      on conflict (user_id, id) do nothing
      returning c.*
  )
  select count(*), sum(w.cost_micros), coalesce(sum(w.prompt_tokens), 0), coalesce(sum(w.cached_tokens), 0),
      coalesce(sum(w.tool_tokens), 0), coalesce(sum(w.reply_tokens), 0), coalesce(sum(w.thought_tokens), 0),
      coalesce(sum(w.searches), 0)
    into v_written, v_cost, v_prompt, v_cached, v_tool, v_reply, v_thought, v_searches from written w;
  if v_written < jsonb_array_length(p_calls) then
    with replaced as (
      update model_calls c set (model, model_version, prompt_tokens, cached_tokens, tool_tokens, reply_tokens, thought_tokens,
          searches, cost_micros, is_priced, is_estimated) = (n.model, n.model_version, n.prompt_tokens, n.cached_tokens,
          n.tool_tokens, n.reply_tokens, n.thought_tokens, n.searches, n.cost_micros, n.is_priced, false)
        from jsonb_populate_recordset(null::model_calls, p_calls) n
          join model_calls e on e.user_id = p_user and e.id = n.id
        where c.user_id = p_user and c.id = n.id and c.is_estimated and not n.is_estimated
        returning coalesce(c.cost_micros, 0) - coalesce(e.cost_micros, 0) as cost, c.prompt_tokens - e.prompt_tokens as prompt,
          c.cached_tokens - e.cached_tokens as cached, c.tool_tokens - e.tool_tokens as tool,
          c.reply_tokens - e.reply_tokens as reply, c.thought_tokens - e.thought_tokens as thought,
          c.searches - e.searches as searches
    )
    select sum(r.cost), v_prompt + coalesce(sum(r.prompt), 0), v_cached + coalesce(sum(r.cached), 0),
        v_tool + coalesce(sum(r.tool), 0), v_reply + coalesce(sum(r.reply), 0), v_thought + coalesce(sum(r.thought), 0),
        v_searches + coalesce(sum(r.searches), 0)
      into v_more, v_prompt, v_cached, v_tool, v_reply, v_thought, v_searches from replaced r;
    v_cost := case when v_more is null then v_cost else coalesce(v_cost, 0) + v_more end;
  end if;
  update usage_daily d set used = d.used - p_refunds, refunded = d.refunded + p_refunds,
      reserved_micros = d.reserved_micros - p_reserved, cost_micros = d.cost_micros + coalesce(v_cost, 0),
      prompt_tokens = d.prompt_tokens + v_prompt, cached_tokens = d.cached_tokens + v_cached,
      tool_tokens = d.tool_tokens + v_tool, reply_tokens = d.reply_tokens + v_reply,
      thought_tokens = d.thought_tokens + v_thought, searches = d.searches + v_searches
    where d.quota_key = p_quota_key and d.day = p_day;
  return v_cost;
end $$
`)
