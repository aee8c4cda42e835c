import { define } from "./define.ts"

/**
 * Ends a reply: stores its text and outcome, settles its unit of quota, and releases the user's next held replies
 * (`release_replies`).
 * Fenced: with `p_attempt`, that attempt must still hold the reply; without it (a cancel, a deadline) it ends any
 * unfinished reply. Without `p_content` the reply keeps what its attempt has streamed so far. With `p_refunds_a_day` the
 * unit is given back, to so many replies of a day. `p_calls` are the attempt's calls of the model, which
 * `record_calls` writes; what the reply has reserved of the budget is given back. `FinishOutcome` of `ReplyStore.ts` describes what it returns.
 *
 * The lock order of docs/architecture.md: the user, then the room, then its messages, then the day's usage.
 */
export const finishReply = define(`
create or replace function finish_reply(
  p_user uuid, p_reply uuid, p_attempt int, p_status text, p_content text, p_finish_reason text, p_truncated boolean,
  p_error_code text, p_error_message text, p_model text,
  p_prompt_tokens int, p_reply_tokens int, p_thought_tokens int, p_cached_tokens int, p_tool_tokens int, p_calls jsonb,
  p_refunds_a_day int, p_basic_running int, p_pro_running int, p_context_ids uuid[], p_output json, p_thoughts text,
  p_error_detail jsonb, p_grounding jsonb, p_context_summary jsonb
) returns jsonb language plpgsql as $$
declare
  v_reply messages; v_quota_key text; v_refunded boolean; v_cost bigint; v_next jsonb := '[]';
begin
  select u.quota_key into v_quota_key from users u where u.id = p_user for no key update;
  perform 1 from chatrooms c where c.user_id = p_user
    and c.id = (select m.chatroom_id from messages m where m.user_id = p_user and m.id = p_reply) for update;
  select * into v_reply from messages m where m.user_id = p_user and m.id = p_reply and m.role = 'model'
    and case when p_attempt is null then m.completed_at is null
             else m.status = 'processing' and m.attempt = p_attempt end
    for update;
  if not found then
    return jsonb_build_object('outcome', 'fenced_off');
  end if;

  -- The day's row is locked by the user's row: every change of it happens under that lock.
  v_refunded := v_reply.quota_state = 'reserved' and exists (
    select from usage_daily d where d.quota_key = v_quota_key and d.day = v_reply.quota_day
      and d.refunded < p_refunds_a_day and d.used > 0);
  v_cost := record_calls(p_user, p_reply, v_quota_key, v_reply.quota_day, p_calls, v_reply.reserved_micros,
    case when v_refunded then 1 else 0 end);

  if p_content is null then
    -- Segments of thoughts have negative offsets, from -1 down.
    select string_agg(s.body, '' order by s.start_offset) filter (where s.start_offset >= 0),
        string_agg(s.body, '' order by s.start_offset desc) filter (where s.start_offset < 0)
      into p_content, p_thoughts from stream_segments s
      where s.user_id = p_user and s.reply_id = p_reply and s.attempt = v_reply.attempt;
  end if;
  update messages m set status = p_status, content = coalesce(p_content, m.content), finish_reason = p_finish_reason,
      truncated = p_truncated, error_code = p_error_code, error_message = p_error_message, error_detail = p_error_detail,
      model = coalesce(p_model, m.model), prompt_tokens = p_prompt_tokens, reply_tokens = p_reply_tokens,
      thought_tokens = p_thought_tokens, cached_tokens = p_cached_tokens, tool_tokens = p_tool_tokens, reserved_micros = 0,
      cost_micros = case when v_cost is null then m.cost_micros else coalesce(m.cost_micros, 0) + v_cost end,
      quota_state = case when v_refunded then 'refunded' else 'spent' end,
      context_ids = p_context_ids, context_summary = p_context_summary, output = p_output, thoughts = p_thoughts, grounding = p_grounding,
      worker_id = null, lease_until = null, retry_at = null,
      completed_at = date_trunc('milliseconds', clock_timestamp())
    where m.user_id = p_user and m.id = p_reply;
  -- Questions that were asked while it was made do not follow a reply without an answer.
  if p_status <> 'completed' then
    update messages q set parent_id = followed_by(p_user, v_reply.chatroom_id, p_reply)
      where q.user_id = p_user and q.chatroom_id = v_reply.chatroom_id and q.role = 'user' and q.parent_id = p_reply;
  end if;
  -- A room's latest activity is its newest message, and the reply was there since its question: the list stands.
  update chatrooms c set unfinished = c.unfinished - 1,
      text_bytes = c.text_bytes + case when p_status = 'completed' then octet_length(p_content) else 0 end
    where c.user_id = p_user and c.id = v_reply.chatroom_id;
  if exists (select from messages m where m.user_id = p_user and m.completed_at is null and m.status = 'held') then
    v_next := release_replies(p_user => p_user, p_basic_running => p_basic_running, p_pro_running => p_pro_running);
  end if;
  return jsonb_build_object('outcome', 'finished', 'nextReplies', v_next);
end $$
`)
