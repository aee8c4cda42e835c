import type { SqlClient } from "effect/sql"
import { estimateTokens } from "../models/TokenEstimate.ts"

/** The summary that a prompt carries in place of the exchanges that it leaves out. */
export interface PromptSummary {
  /** The last message that it covers. */
  readonly upTo: string
  /** Of its text, an estimate. */
  readonly tokens: number
  readonly text: string
  /** The first question of the branch, word for word; null where it does not fit. */
  readonly first: { readonly id: string; readonly text: string } | null
}

/** The summary of a prompt as its reply keeps it. */
export type SentSummary = Pick<PromptSummary, "upTo" | "tokens" | "text">

export const sentSummary = (summary: PromptSummary | null): SentSummary | null =>
  summary === null ? null : { upTo: summary.upTo, tokens: summary.tokens, text: summary.text }

/** Tokens that prompts leave out and no summary covers, above which there is a new summary. */
export const summaryStep = 4_000

/** Tokens before the oldest exchange that is read, and exchanges, among which the end of the summary is looked for. */
const searchedTokens = 20_000
const searchedExchanges = 1_000

/** The system instruction with the summary at its end. */
export const withSummary = (
  systemPrompt: string | null,
  summary: Pick<PromptSummary, "first" | "text"> | null
): string | null => {
  if (summary === null) return systemPrompt
  const { first, text } = summary
  return [
    ...(systemPrompt === null || systemPrompt === "" ? [] : [systemPrompt]),
    ...(first === null ? [] : [`The conversation began with this question:\n${first.text}`]),
    `Earlier in this conversation:\n${text}`
  ].join("\n\n")
}

/** What lies before the exchanges that are read for a prompt. */
interface BeforeThem {
  /** Tokens of the exchanges after the summary's end; no more are counted than decide about a new summary. */
  readonly tokens: number
  /** Whether the summary ends there. */
  readonly isReached: boolean
  readonly text: string | null
  readonly summaryTokens: number | null
  readonly firstId: string | null
  readonly first: string | null
}

/**
 * The summary that ends at `upTo`, with its first question; and, unless `from` is null, the path from the question `from`
 * back to the summary's end, each step by the primary key. Texts of messages on the path are not read.
 */
export const beforeThem = (
  sql: SqlClient.SqlClient,
  room: { readonly userId: string; readonly chatroomId: string },
  { from, upTo }: { readonly from: string | null; readonly upTo: string | null }
) => {
  const limit = upTo === null ? summaryStep : searchedTokens
  return sql<BeforeThem>`
    with recursive path as (
      select q.parent_id, 0 as depth, 0::bigint as tokens, false as is_end
      from messages q where q.user_id = ${room.userId} and q.id = ${from}::uuid
      union all
      select q.parent_id, p.depth + 1, p.tokens + (octet_length(r.content) + octet_length(q.content)) / 4,
        coalesce(r.id = ${upTo}::uuid, false)
      from path p
      join messages r on r.user_id = ${room.userId} and r.id = p.parent_id
      join messages q on q.user_id = ${room.userId} and q.id = r.reply_to
      where not p.is_end and p.depth < ${searchedExchanges} and p.tokens <= ${limit}
    )
    select coalesce((select max(p.tokens) from path p where not p.is_end), 0)::float8 as tokens,
      exists (select from path p where p.is_end) as is_reached,
      s.body as text, s.tokens as summary_tokens, q.id as first_id, q.content as first
    from (select) one
    left join room_summaries s on s.user_id = ${room.userId} and s.chatroom_id = ${room.chatroomId} and s.upto_id = ${upTo}::uuid
    left join messages q on q.user_id = s.user_id and q.id = s.first_id
  `
}

/** The summary, as much of it as the budget holds beside the question. */
export const summaryFor = (upTo: string, found: BeforeThem, left: number): PromptSummary | null => {
  if (found.text === null || found.summaryTokens === null) return null
  const tokensWith = (first: PromptSummary["first"]) =>
    estimateTokens(withSummary(null, { first, text: found.text ?? "" }) ?? "") + 1
  const summary = { upTo, tokens: found.summaryTokens, text: found.text }
  const first = found.firstId === null ? null : { id: found.firstId, text: found.first ?? "" }
  if (tokensWith(first) <= left / 2) return { ...summary, first }
  return tokensWith(null) <= left ? { ...summary, first: null } : null
}
