import { PgClient } from "@effect/sql-pg"
import { Context, Data, Effect, Predicate, type Scope, Semaphore, String } from "effect"
import { SqlClient, SqlError, Statement } from "effect/sql"
import { CurrentSlot } from "../ops/RequestSlot.ts"

/** How long a request waits for a connection. */
const maxWait = "3 seconds"

/** No connection came free in time. A defect, because no service can recover from it. */
export class DatabaseBusy extends Data.TaggedError("DatabaseBusy") {}

/** A bulkhead: takes one of `size` permits for the scope, in order of arrival, or dies with `DatabaseBusy`. */
export const makeBulkhead = (size: number): Effect.Effect<void, never, Scope.Scope> =>
  Semaphore.makeUnsafe(size)
    .takeScoped(1)
    .pipe(Effect.timeoutOrElse({ duration: maxWait, orElse: () => Effect.die(new DatabaseBusy()) }))

/** Fails when Postgres answers COMMIT with ROLLBACK: a statement of the transaction had failed, so nothing was written. */
const commit = (connection: SqlClient.TransactionConnection.Service[0]) =>
  Effect.flatMap(connection.executeRaw("COMMIT", []), (result) =>
    Predicate.hasProperty(result, "command") && result.command === "ROLLBACK"
      ? Effect.fail(
          new SqlError.SqlError({
            reason: new SqlError.UnknownError({ cause: new Error("the transaction had failed"), message: "COMMIT rolled back" })
          })
        )
      : Effect.void
  )

/**
 * A client of the pool in which all requests together use at most `share` connections, so a flood of requests leaves
 * some for this process's own work (replies, leases, announcements). A request that gets none is refused long before
 * its own time-out.
 */
export const limitRequestConnections = Effect.fnUntraced(function* (pool: PgClient.PgClient, share: number) {
  const bulkhead = makeBulkhead(share)
  const acquirer = Effect.withFiber((fiber) =>
    Context.get(fiber.context, CurrentSlot) === undefined ? pool.reserve : Effect.andThen(bulkhead, pool.reserve)
  )
  return yield* SqlClient.make({
    acquirer,
    transactionAcquirer: acquirer,
    compiler: PgClient.makeCompiler(undefined, false),
    driver: "pg",
    spanAttributes: [["db.system.name", "postgresql"]],
    prepareTransactionControls: true,
    commit,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    transformRows: Statement.defaultTransforms(String.snakeToCamel, false).array
  })
})
