import { define } from "./define.ts"

/** The ids of a question, its replies, and everything that follows them. */
export const messagesUnder = define(`
create or replace function messages_under(p_user uuid, p_room uuid, p_question uuid) returns uuid[] language sql stable as $$
  with recursive under as (
    select p_question as id
    union all
    select child.id from under, lateral (
      select m.id from messages m where m.user_id = p_user and m.chatroom_id = p_room and m.reply_to = under.id
      union all
      select m.id from messages m
        where m.user_id = p_user and m.chatroom_id = p_room and m.role = 'user' and m.parent_id = under.id
    ) child
  )
  select array_agg(id) from under
$$
`)
