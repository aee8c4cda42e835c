import { Effect, Schedule } from "effect"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { isPassing } from "../database/Connections.ts"
import { retryConflicts } from "../database/Transactions.ts"
import type { CallRow } from "./AttemptCalls.ts"
import type { CallCounts } from "./CallCounts.ts"

/** Whose calls they are, and the day that they count in. */
export interface CallsOwner {
  readonly userId: string
  /** The reply that they made, or beside which they were made. */
  readonly replyId: string
  readonly quotaKey: string
  /** `YYYY-MM-DD`; today when it is not given. */
  readonly day?: string | undefined
}

/** Half a second to two seconds apart, for some two minutes: a lock that a silent process holds is released after 15 s. */
const schedule = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("2 seconds")]).pipe(Schedule.jittered)
const maximumRetries = 60

const isWorthRepeating = (error: SqlError): boolean => error.isRetryable || isPassing(error)

/**
 * Writes calls that ended without ending their reply into the ledger. A call is written once, by its id, so the statement
 * may be repeated. It never fails: calls that Postgres does not take within two minutes are logged and lost.
 */
export const recordLateCalls =
  (sql: SqlClient.SqlClient, countCalls: CallCounts) =>
  ({ day, quotaKey, replyId, userId }: CallsOwner, rows: ReadonlyArray<CallRow>): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (rows.length === 0) return Effect.void
      countCalls(rows)
      return sql`
        select record_late_calls(${userId}, ${replyId}, ${quotaKey},
          coalesce(${day ?? null}::date, (clock_timestamp() at time zone 'utc')::date), ${JSON.stringify(rows)}::text::jsonb)
      `.pipe(
        retryConflicts(sql),
        Effect.retry({ while: isWorthRepeating, schedule, times: maximumRetries }),
        Effect.asVoid,
        Effect.catchCause((cause) => Effect.logError("Calls of the model could not be written into the ledger", cause))
      )
    })
