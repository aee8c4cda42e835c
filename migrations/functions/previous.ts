import { Effect } from "effect"
import { define } from "./define.ts"
import { tierOf } from "./tierOf.ts"

/**
 * The signatures that processes of the previous release call while a deploy rolls, as wrappers of today's. The next
 * release drops them: `drop function send_message(uuid, uuid, uuid, uuid, text, int, int, int, text, text, uuid)`, and
 * `finish_reply` with its eighteen parameters.
 */
export const previousSignatures = Effect.all([
  // The wrappers are in SQL, which is checked when it is made.
  tierOf,
  define(`
create or replace function send_message(
  p_user uuid, p_room uuid, p_question uuid, p_reply uuid, p_content text,
  p_basic_limit int, p_pro_limit int, p_room_limit int, p_key text, p_hash text, p_again uuid
) returns table (
  outcome text, question_id uuid, reply_id uuid, sent_at timestamptz,
  daily_limit int, used int, resets_at timestamptz, status int, is_head boolean
) language sql as $$
  select s ->> 'outcome', (s ->> 'questionId')::uuid, (s ->> 'replyId')::uuid, (s ->> 'sentAt')::timestamptz,
    (s ->> 'limit')::int, coalesce(s ->> 'used', s ->> 'limit')::int, (s ->> 'resetsAt')::timestamptz,
    case s ->> 'outcome' when 'accepted' then 202 else (s ->> 'status')::int end,
    case s ->> 'outcome' when 'replayed' then false else (s ->> 'isHead')::boolean end
  from (
    select coalesce((select tier_of(u) from users u where u.id = p_user), 'basic') as tier
  ) t, send_message(p_user => p_user, p_room => p_room, p_question => p_question, p_reply => p_reply,
    p_content => case when p_again is null then p_content else '' end, p_again => p_again, p_tier => tier, p_daily_limit => nullif(case tier when 'basic' then p_basic_limit else p_pro_limit end, 0),
    p_running_limit => case tier when 'basic' then 3 else 10 end, p_room_limit => p_room_limit, p_title => null, p_settings => null,
    p_settings_version => null, p_context_tokens => 32000, p_input_price => 0, p_output_micros => 0, p_daily_searches => null, p_search_micros => 0, p_budget => null, p_key => p_key, p_hash => p_hash, p_key_lifetime => '24 hours', p_attachments => null, p_attachment_limits => '{"bytes": 20971520, "kinds": ["image", "pdf", "audio", "text"]}', p_input => null) s
$$
`),
  define(`
create or replace function finish_reply(
  p_user uuid, p_reply uuid, p_attempt int, p_status text, p_content text, p_finish_reason text, p_truncated boolean,
  p_error_code text, p_error_message text, p_model text,
  p_prompt_tokens int, p_reply_tokens int, p_thought_tokens int, p_cached_tokens int,
  p_refund boolean, p_refunds_a_day int, p_context_ids uuid[], p_context_system_prompt text
) returns table (finished boolean, next_reply uuid) language sql as $$
  update messages m set context_system_prompt = p_context_system_prompt
    where m.user_id = p_user and m.id = p_reply and m.attempt = p_attempt and m.status = 'processing';
  select f ->> 'outcome' = 'finished', (f #>> '{nextReplies,0,id}')::uuid
  from finish_reply(p_user => p_user, p_reply => p_reply, p_attempt => p_attempt, p_status => p_status,
    p_content => p_content, p_finish_reason => p_finish_reason, p_truncated => p_truncated, p_error_code => p_error_code,
    p_error_message => p_error_message, p_model => p_model, p_prompt_tokens => p_prompt_tokens,
    p_reply_tokens => p_reply_tokens, p_thought_tokens => p_thought_tokens, p_cached_tokens => p_cached_tokens,
    p_tool_tokens => null,
    p_calls => case when p_prompt_tokens is null then '[]' else jsonb_build_array(jsonb_build_object(
      'id', md5(p_reply || '/' || coalesce(p_attempt, 0))::uuid, 'attempt', coalesce(p_attempt, 0), 'kind', 'reply', 'tier', 'basic',
      'model', coalesce(p_model, ''), 'prompt_tokens', p_prompt_tokens, 'cached_tokens', coalesce(p_cached_tokens, 0),
      'tool_tokens', 0, 'reply_tokens', coalesce(p_reply_tokens, 0), 'thought_tokens', coalesce(p_thought_tokens, 0),
      'searches', 0, 'is_priced', false, 'is_estimated', false)) end,
    p_refunds_a_day => case when p_refund then p_refunds_a_day end, p_basic_running => 3, p_pro_running => 10,
    p_context_ids => p_context_ids, p_output => null, p_thoughts => null,
    p_error_detail => null, p_grounding => null, p_context_summary => null) f
$$
`)
])
