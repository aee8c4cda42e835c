import { Effect, Schedule } from "effect"
import { isSqlError, type SqlError } from "effect/sql/SqlError"

const isConflict = (error: SqlError) => error.reason._tag === "SerializationError" || error.reason._tag === "DeadlockError"

/** Repeats a transaction that Postgres has rolled back in favour of another one (SQLSTATE 40001, 40P01). */
export const retryConflicts = <A, E, R>(transaction: Effect.Effect<A, E | SqlError, R>) =>
  Effect.retry(transaction, {
    while: (error) => isSqlError(error) && isConflict(error),
    schedule: Schedule.exponential("5 millis").pipe(Schedule.jittered),
    times: 5
  })
