import { Effect, Option, Schedule } from "effect"
import type { SqlClient } from "effect/sql"
import { isSqlError, type SqlError } from "effect/sql/SqlError"

const isConflict = (error: unknown): error is SqlError =>
  isSqlError(error) && (error.reason._tag === "SerializationError" || error.reason._tag === "DeadlockError")

/** A conflict is retried also where a service has already made a defect of it. */
const asFailure = (defect: unknown) => (isConflict(defect) ? Effect.fail(defect) : Effect.die(defect))

/**
 * Repeats a transaction that Postgres has rolled back in favour of another one (SQLSTATE 40001, 40P01). Every transaction
 * that locks more than one row goes through it. Inside another transaction it does nothing, because Postgres has rolled
 * back the whole: the outer one repeats.
 */
export const retryConflicts =
  (sql: SqlClient.SqlClient) =>
  <A, E, R>(transaction: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
    Effect.flatMap(Effect.serviceOption(sql.transactionService), (outer) =>
      Option.isSome(outer)
        ? transaction
        : transaction.pipe(
            Effect.catchDefect(asFailure),
            Effect.retry({
              while: isConflict,
              schedule: Schedule.exponential("5 millis").pipe(Schedule.jittered),
              times: 8
            })
          )
    )
