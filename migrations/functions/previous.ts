import { Effect } from "effect"
import { define } from "./define.ts"

/**
 * The signatures that processes of the previous release call while a deploy rolls, as wrappers of today's. The next
 * release drops them: `drop function send_message(uuid, uuid, uuid, uuid, text, int, int, int, text, text, uuid)`, and
 * `finish_reply` with its eighteen parameters.
 */
export const previousSignatures = Effect.andThen(
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
  from send_message(p_user => p_user, p_room => p_room, p_question => p_question, p_reply => p_reply, p_content => p_content,
    p_again => p_again, p_basic_limit => p_basic_limit, p_pro_limit => p_pro_limit, p_room_limit => p_room_limit,
    p_basic_running => 3, p_pro_running => 10, p_key => p_key, p_hash => p_hash, p_key_lifetime => '24 hours') s
$$
`),
  define(`
create or replace function finish_reply(
  p_user uuid, p_reply uuid, p_attempt int, p_status text, p_content text, p_finish_reason text, p_truncated boolean,
  p_error_code text, p_error_message text, p_model text,
  p_prompt_tokens int, p_reply_tokens int, p_thought_tokens int, p_cached_tokens int,
  p_refund boolean, p_refunds_a_day int, p_context_ids uuid[], p_context_system_prompt text
) returns table (finished boolean, next_reply uuid) language sql as $$
  select f ->> 'outcome' = 'finished', (f #>> '{nextReplies,0,id}')::uuid
  from finish_reply(p_user => p_user, p_reply => p_reply, p_attempt => p_attempt, p_status => p_status,
    p_content => p_content, p_finish_reason => p_finish_reason, p_truncated => p_truncated, p_error_code => p_error_code,
    p_error_message => p_error_message, p_model => p_model, p_prompt_tokens => p_prompt_tokens,
    p_reply_tokens => p_reply_tokens, p_thought_tokens => p_thought_tokens, p_cached_tokens => p_cached_tokens,
    p_refunds_a_day => case when p_refund then p_refunds_a_day end, p_basic_running => 3, p_pro_running => 10,
    p_context_ids => p_context_ids, p_context_system_prompt => p_context_system_prompt) f
$$
`)
)
