import { Record, Struct } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { groundingFields, type Grounding, noGrounding } from "../api/chat/Grounding.ts"
import { type BlockDetail, type ErrorCode, Message, type Status, TokenUsage } from "../api/chat/Message.ts"
import { iso, isoOrNull } from "../api/Schemas.ts"
import { columnsOf, type RowOf } from "../database/Rows.ts"

const nested = ["error", "usage", "toolsSkipped", "attachments", ...Record.keys(groundingFields)] as const
/** Long, so lists are read without them. */
const thoughts = "thoughts" as const

/** Bytes of UTF-8 that a reply's text may have: 1 MiB. */
export const maximumReplyBytes = 1_048_576

/**
 * A message's text. One that an earlier release stored without a limit is cut, to as many characters as a reply may have
 * bytes: the driver refuses rows above 16 MiB.
 */
export const readableContent = `case when octet_length(content) > ${maximumReplyBytes} then left(content, ${maximumReplyBytes}) else content end`

/**
 * The versions of a message, from indexes. The columns of the others have names of their own, so that a column's plain name
 * is that of the message, whatever a statement calls its table. The first questions of a room that is not filled yet
 * (`fill_branches`) are no versions of each other.
 */
const versions = `(
    select json_build_object('index', greatest(1, count(*) filter (where version <= id)), 'count', greatest(1, count(*)),
      'previous', (array_agg(version order by version desc) filter (where version < id))[1],
      'next', (array_agg(version order by version) filter (where version > id))[1])
    from (
      with others as not materialized (
        select user_id as its_user, chatroom_id as its_room, role as its_role, reply_to as its_question, parent_id as its_parent,
          id as version from messages
      )
      select version from others where its_user = user_id and its_room = chatroom_id and its_question = reply_to
      union all
      select version from others
        where role = 'user' and its_user = user_id and its_room = chatroom_id and its_role = 'user' and its_parent = parent_id
      union all
      select version from others
        where role = 'user' and parent_id is null and its_user = user_id and its_room = chatroom_id and its_role = 'user'
          and its_parent is null
          and exists (
            select from (select user_id as owner, id as room, head_id from chatrooms) filled
            where owner = user_id and room = chatroom_id and head_id is not null)
    ) found
  )`

/** Columns that are computed from the row. */
const computed: Readonly<Record<string, string>> = {
  content: readableContent,
  parent_id: "coalesce(reply_to, parent_id)",
  versions
}

/** A message's columns, but for its thoughts. Its error and its usage are stored as columns of their own, its sources in one column. */
export const columns = columnsOf([
  ...Object.keys(Struct.omit(Message.fields, [...nested, thoughts])),
  "errorCode",
  "errorMessage",
  "errorDetail",
  ...Object.keys(TokenUsage.fields)
])
  .split(", ")
  .map((name) => (computed[name] === undefined ? name : `${computed[name]} as ${name}`))
  .concat(
    "grounding",
    "settings -> 'toolsSkipped' as tools_skipped",
    "case when attachments is not null then show_attachments(user_id, attachments) end as attachments"
  )
  .join(", ")

/** All columns of a message. */
export const columnsWithThoughts = `${columns}, ${thoughts}`

export type MessageRow = RowOf<Omit<Message, "status" | typeof thoughts | (typeof nested)[number]>> & {
  readonly [Count in keyof TokenUsage]: number | null
} & {
  readonly status: Status | "held"
  readonly errorCode: ErrorCode | null
  readonly errorMessage: string | null
  readonly errorDetail: BlockDetail | null
  /** Absent where it was not selected. */
  readonly thoughts?: string | null
  readonly grounding: Grounding | null
  readonly toolsSkipped: Message["toolsSkipped"] | null
  readonly attachments: Message["attachments"] | null
}

/** Bytes of text after which a page takes no other message. */
const pageBytes = 1_048_576

/**
 * The first of these rows of `messages`, as many as a page has bytes for, with the number of all of them (`candidates`).
 * Sizes are known without reading the texts, so a text that the page does not have is not read.
 */
export const pageOf = (
  sql: SqlClient.SqlClient,
  rows: Statement.Fragment,
  ordering: `${"id" | "position"} ${"asc" | "desc"}`,
  hasThoughts = false
) => {
  const size = `octet_length(content) + coalesce(pg_column_size(grounding), 0)${hasThoughts ? " + coalesce(octet_length(thoughts), 0)" : ""}`
  const order = sql.literal(ordering)
  return sql<MessageRow & { readonly candidates: number }>`
    select ${sql.literal(hasThoughts ? columnsWithThoughts : columns)}, candidates from (
      select rows.*, count(*) over ()::int as candidates,
        sum(${sql.literal(size)}) over (order by ${order} rows between unbounded preceding and 1 preceding) as bytes_before
      from (${rows}) rows
    ) page where coalesce(bytes_before, 0) < ${pageBytes} order by ${order}
  `
}

/** A stored count; an earlier release also stored what no count is, which clients must not get. */
const countOf = (stored: number | null): number => Math.max(0, stored ?? 0)

export const toMessage = (row: MessageRow): Message => ({
  id: row.id,
  chatroomId: row.chatroomId,
  role: row.role,
  content: row.content,
  // A reply is held behind an earlier one of its room, or while its user has as many on their way as may be; for clients
  // it is queued.
  status: row.status === "held" ? "queued" : row.status,
  replyTo: row.replyTo,
  parentId: row.parentId,
  versions: row.versions,
  supersededBy: row.supersededBy,
  attempt: row.attempt,
  finishReason: row.finishReason,
  truncated: row.truncated,
  error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? "", ...row.errorDetail },
  model: row.model,
  usage:
    row.promptTokens === null
      ? null
      : {
          promptTokens: countOf(row.promptTokens),
          replyTokens: countOf(row.replyTokens),
          thoughtTokens: countOf(row.thoughtTokens),
          cachedTokens: countOf(row.cachedTokens),
          toolTokens: countOf(row.toolTokens)
        },
  costMicros: row.costMicros === null ? null : Number(row.costMicros),
  output: row.output,
  feedback: row.feedback,
  ...(row.grounding ?? noGrounding),
  toolsSkipped: row.toolsSkipped ?? [],
  attachments: row.attachments ?? [],
  ...(row.thoughts === undefined ? {} : { thoughts: row.thoughts }),
  createdAt: iso(row.createdAt),
  completedAt: isoOrNull(row.completedAt)
})
