import pg from "pg"
import { claimsOf } from "../usualStack.ts"

/** A user whose requests are measured. */
export interface Subject {
  readonly what: string
  readonly rooms: number
  readonly messagesEach: number
}

const exchanges = (rooms: string, perRoom: string) => `
  insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, attempt, finish_reason, model, prompt_tokens,
    reply_tokens, thought_tokens, cached_tokens, quota_state, created_at, started_at, completed_at, cost_micros)
  select r.user_id, m.id, r.id, m.role, m.content, 'completed', m.reply_to, m.attempt, m.finish_reason, m.model, m.tokens, m.tokens,
    m.zero, m.zero, m.quota_state, m.at, m.at, m.at, m.tokens
  from (${rooms}) r
  cross join generate_series(${perRoom}, 1, -1) as step
  cross join lateral (
    select uuidv7(make_interval(secs => -60 * step)) as question, uuidv7(make_interval(secs => 5 - 60 * step)) as reply,
      date_trunc('milliseconds', now() - make_interval(secs => 60 * step)) as at
    where r.id is not null -- evaluated for each room
  ) ids
  cross join lateral (values
    (question, 'user', 'What does the loom weave on day ' || step || '? Please answer in two sentences.', null::uuid, 0, null, null, null::int,
      null::int, null, at),
    (reply, 'model', repeat('It weaves algebraical patterns, as another loom weaves flowers and leaves. ', 3), question, 1, 'STOP',
      'gemini-3.8-flash', 60, 0, 'spent', at)
  ) as m (id, role, content, reply_to, attempt, finish_reason, model, tokens, zero, quota_state, at)
`

/** Rooms and messages of the measured users, one token for each. */
export const insertSubjects = async (database: pg.Client, subjects: ReadonlyArray<Subject>, tokens: ReadonlyArray<string>) => {
  for (const [index, { messagesEach, rooms }] of subjects.entries()) {
    const { sub } = claimsOf(tokens[index] ?? "")
    await database.query(
      `insert into chatrooms (user_id, id, title, last_message_at) select $1, uuidv7(), 'Room ' || n, now() - make_interval(mins => n)
       from generate_series(1, $2::int) n`,
      [sub, rooms]
    )
    await database.query("update users set chatrooms = $2 where id = $1", [sub, rooms])
    await database.query(exchanges("select user_id, id from chatrooms where user_id = $1", "$2::int"), [sub, messagesEach / 2])
  }
}

/** Users of this many messages, ten rooms of a hundred messages each. */
const messagesOfUser = 1_000
const usersAtOnce = 200

/** So many messages of other users, with a session, a day, a call and a key of each user. */
export const insertOthers = async (database: pg.Client, messages: number, observe: (done: number) => void): Promise<void> => {
  await database.query("set synchronous_commit = off")
  // Without the checks of foreign keys, which take most of the time.
  await database.query("set session_replication_role = replica")
  for (let done = 0; done < messages; done += usersAtOnce * messagesOfUser) {
    const users = Math.min(usersAtOnce, Math.ceil((messages - done) / messagesOfUser))
    const first = done / messagesOfUser
    await database.query(
      `insert into users (id, mobile, status, quota_key, chatrooms)
       select uuidv7(), '+9170' || lpad(n::text, 8, '0'), 'active', 'other ' || n, 10 from generate_series($1::int, $2::int) n`,
      [first, first + users - 1]
    )
    const others =
      "select id, quota_key from users where quota_key in (select 'other ' || n from generate_series($1::int, $2::int) n)"
    for (const statement of [
      `insert into sessions (user_id, id, expires_at) select id, uuidv7(), now() + interval '30 days' from (${others}) o`,
      `insert into usage_daily (quota_key, day, used) select quota_key, (now() at time zone 'utc')::date, 1 from (${others}) o`,
      `insert into idempotency_keys (user_id, route, key, request_hash, status, response)
       select id, 'sendMessage', 'key', 'hash', 202, '{}' from (${others}) o`,
      `insert into model_calls (user_id, id, reply_id, attempt, kind, tier, model, prompt_tokens, cached_tokens, tool_tokens, reply_tokens,
         thought_tokens, searches, is_priced, is_estimated)
       select id, uuidv7(), uuidv7(), 1, 'reply', 'basic', 'gemini-3.8-flash', 1, 0, 0, 1, 0, 0, true, false from (${others}) o`,
      `insert into chatrooms (user_id, id, title, last_message_at)
       select id, uuidv7(), 'Room ' || n, now() - make_interval(mins => n) from (${others}) o cross join generate_series(1, 10) n`,
      exchanges(`select c.user_id, c.id from chatrooms c where c.user_id in (select id from (${others}) o)`, "50")
    ]) {
      await database.query(statement, [first, first + users - 1])
    }
    observe(done + users * messagesOfUser)
  }
  await database.query("reset synchronous_commit; reset session_replication_role")
}
