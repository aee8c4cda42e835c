import { Effect } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { inOrder, makeBatches, unlockedRowsOf } from "../database/Batches.ts"
import { retryConflicts } from "../database/Transactions.ts"
import type { ReleasedReply } from "../queue/Announcer.ts"
import type { CallRow } from "./AttemptCalls.ts"
import type { Work } from "./AttemptWork.ts"
import type { Claim } from "./Claim.ts"
import { isRefunded, type Outcome } from "./Outcome.ts"
import { type SentSummary, sentSummary } from "./PromptSummary.ts"

/** Failures a day whose quota is given back. */
const refundsADay = 5

/** What `finish_reply` returns. */
export type FinishOutcome =
  | { readonly outcome: "finished"; readonly nextReplies: ReadonlyArray<ReleasedReply> }
  /** It has ended, is gone, or another attempt holds it. */
  | { readonly outcome: "fenced_off" }

/** The arguments of `finish_reply` that differ between replies. */
interface Ending {
  readonly userId: string
  readonly id: string
  readonly attempt: number | null
  readonly status: Outcome["status"]
  readonly content: string | null
  readonly finishReason: string | null
  readonly truncated: boolean
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly model: string | null
  readonly promptTokens: number | null
  readonly replyTokens: number | null
  readonly thoughtTokens: number | null
  readonly cachedTokens: number | null
  readonly toolTokens: number | null
  readonly calls: ReadonlyArray<CallRow>
  readonly refundsADay: number | null
  readonly contextIds: ReadonlyArray<string> | null
  readonly output: string | null
  readonly thoughts: string | null
  readonly errorDetail: object | null
  readonly grounding: object | null
  readonly contextSummary: SentSummary | null
}

const endingColumns = {
  userId: "uuid",
  id: "uuid",
  attempt: "int",
  status: "text",
  content: "text",
  finishReason: "text",
  truncated: "boolean",
  errorCode: "text",
  errorMessage: "text",
  model: "text",
  promptTokens: "int",
  replyTokens: "int",
  thoughtTokens: "int",
  cachedTokens: "int",
  toolTokens: "int",
  calls: "jsonb",
  refundsADay: "int",
  contextIds: "uuid[]",
  output: "text",
  thoughts: "text",
  errorDetail: "jsonb",
  grounding: "jsonb",
  contextSummary: "jsonb"
}

/** The arguments for a reply that ends like this. Without an attempt, whatever holds the reply loses it. */
export const endingOf = (
  reply: Pick<Claim, "userId" | "id">,
  attempt: number | null,
  outcome: Outcome,
  calls: ReadonlyArray<CallRow>,
  work: Work | undefined
): Ending => {
  const { error, usage } = outcome
  return {
    userId: reply.userId,
    id: reply.id,
    attempt,
    status: outcome.status,
    content: outcome.content,
    finishReason: outcome.finishReason,
    truncated: outcome.truncated,
    errorCode: error?.code ?? null,
    errorMessage: error?.message ?? null,
    model: outcome.model,
    promptTokens: usage?.promptTokens ?? null,
    replyTokens: usage?.replyTokens ?? null,
    thoughtTokens: usage?.thoughtTokens ?? null,
    cachedTokens: usage?.cachedTokens ?? null,
    toolTokens: usage?.toolTokens ?? null,
    calls,
    refundsADay: isRefunded(outcome) ? refundsADay : null,
    contextIds: work?.messageIds ?? null,
    output: outcome.output ?? null,
    thoughts: outcome.thoughts ?? null,
    errorDetail: error?.detail ?? null,
    grounding: outcome.grounding ?? null,
    contextSummary: sentSummary(work?.summary ?? null)
  }
}

/** Makes the function that calls `finish_reply`. Calls that come together share a transaction. */
export const makeFinishReply = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const { userConcurrency } = yield* AppConfig

  return yield* makeBatches<Ending, FinishOutcome, SqlError.SqlError>((endings, waits) => {
    const rows = sql<{ position: number; ended: FinishOutcome }>`
      select e.position, finish_reply(p_user => e."userId", p_reply => e.id, p_attempt => e.attempt,
        p_status => e.status, p_content => e.content, p_finish_reason => e."finishReason", p_truncated => e.truncated,
        p_error_code => e."errorCode", p_error_message => e."errorMessage", p_model => e.model,
        p_prompt_tokens => e."promptTokens", p_reply_tokens => e."replyTokens", p_thought_tokens => e."thoughtTokens",
        p_cached_tokens => e."cachedTokens", p_tool_tokens => e."toolTokens", p_calls => e.calls,
        p_refunds_a_day => e."refundsADay", p_basic_running => ${userConcurrency.basic},
        p_pro_running => ${userConcurrency.pro}, p_context_ids => e."contextIds", p_output => e.output::json,
        p_thoughts => e.thoughts, p_error_detail => e."errorDetail",
        p_grounding => e.grounding, p_context_summary => e."contextSummary") as ended
      from ${unlockedRowsOf(sql, endings, endingColumns, waits)} e
    `
    return Effect.map(waits ? retryConflicts(sql)(rows) : rows, (found) => inOrder(endings, found).map((row) => row?.ended))
  })
})
