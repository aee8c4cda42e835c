import type { QueryResultRow } from "pg"
import { type AuditEntry, readAudit } from "./Audit.ts"
import { markerIn } from "./Prompts.ts"
import type { Database } from "./Experiment.ts"

export type MessageRow = QueryResultRow & {
  readonly id: string
  readonly user_id: string
  readonly chatroom_id: string
  readonly role: "user" | "model"
  readonly content: string
  readonly status: string
  readonly reply_to: string | null
  readonly attempt: number
  readonly error_code: string | null
  readonly quota_state: string | null
  readonly quota_day: string | null
  readonly created_at: Date
  readonly started_at: Date | null
  readonly completed_at: Date | null
}

export type RoomRow = QueryResultRow & {
  readonly id: string
  readonly user_id: string
  readonly title: string
  readonly unfinished: number
  readonly last_message_at: Date | null
}

/** A row of the ledger of the model's calls, with the status and the question of its reply, null when its room is gone. */
export type CallRow = QueryResultRow & {
  readonly reply_id: string
  readonly kind: string
  readonly model: string
  readonly model_version: string | null
  readonly prompt: number
  readonly cached: number
  readonly tool: number
  readonly reply: number
  readonly thought: number
  readonly searches: number
  readonly cost: number | null
  readonly is_estimated: boolean
  readonly at: Date
  readonly status: string | null
  readonly question: string | null
}

/** The contents of the database after everything has settled. */
export interface Evidence {
  readonly messages: ReadonlyMap<string, MessageRow>
  readonly replies: ReadonlyArray<MessageRow>
  /** In the order of GET /chatroom. */
  readonly rooms: ReadonlyArray<RoomRow>
  readonly users: ReadonlyArray<{ readonly id: string; readonly chatrooms: number }>
  readonly usage: ReadonlyArray<{ readonly user_id: string; readonly day: string; readonly used: number }>
  /** Of each user, in all: what the days and the ledger say. Money is in millionths of a dollar. */
  readonly money: ReadonlyArray<{
    readonly user_id: string
    readonly reserved: number
    readonly day_cost: number
    readonly day_tokens: number
    readonly cost: number
    readonly tokens: number
  }>
  /** Of all users, also of hostile ones. */
  readonly calls: ReadonlyArray<CallRow & { readonly marker: string | undefined }>
  readonly audit: ReadonlyMap<string, ReadonlyArray<AuditEntry>>
}

export const ends = ["completed", "failed", "cancelled"]

/** Without the rows of hostile users, who keep no records. */
export const gather = async (database: Database, hostile: ReadonlyArray<string>): Promise<Evidence> => {
  const messages = await database.query<MessageRow>(
    `
    select id, user_id, chatroom_id, role, content, status, reply_to, attempt, error_code, quota_state, quota_day::text,
      created_at, started_at, completed_at from messages where user_id <> all($1) order by id`,
    [hostile]
  )
  const audit = await readAudit(database)
  return {
    messages: new Map(messages.map((row) => [row.id, row])),
    replies: messages.filter(({ role }) => role === "model"),
    rooms: await database.query<RoomRow>(
      "select * from chatrooms where user_id <> all($1) order by user_id, pinned desc, active_at desc, id desc",
      [hostile]
    ),
    users: await database.query("select id, chatrooms from users where id <> all($1)", [hostile]),
    usage: await database.query(
      "select u.id as user_id, d.day::text as day, d.used from usage_daily d join users u on u.quota_key = d.quota_key where u.id <> all($1)",
      [hostile]
    ),
    money: await database.query(
      `
      select u.id as user_id, d.reserved::int, d.cost::int as day_cost, d.tokens::int as day_tokens, l.cost::int, l.tokens::int
      from users u
      cross join lateral (
        select coalesce(sum(reserved_micros), 0) as reserved, coalesce(sum(cost_micros), 0) as cost,
          coalesce(sum(reply_tokens), 0) as tokens from usage_daily where quota_key = u.quota_key) d
      cross join lateral (
        select coalesce(sum(cost_micros), 0) as cost, coalesce(sum(reply_tokens), 0) as tokens from model_calls where user_id = u.id) l
      where u.id <> all($1)`,
      [hostile]
    ),
    calls: (
      await database.query<CallRow>(`
        select c.reply_id, c.kind, c.model, c.model_version, c.prompt_tokens as prompt, c.cached_tokens as cached,
          c.tool_tokens as tool, c.reply_tokens as reply, c.thought_tokens as thought, c.searches, c.cost_micros::int as cost,
          c.is_estimated, c.at, m.status, q.content as question
        from model_calls c
          left join messages m on m.user_id = c.user_id and m.id = c.reply_id
          left join messages q on q.user_id = c.user_id and q.id = m.reply_to`)
    ).map((call) => ({ ...call, marker: markerIn(call.question ?? "") })),
    audit: Map.groupBy(audit, ({ reply_id }) => reply_id)
  }
}
