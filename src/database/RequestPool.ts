import { PgClient } from "@effect/sql-pg"
import { Context, Data, Effect, Predicate, type Scope, String } from "effect"
import { SqlClient, SqlError, Statement } from "effect/sql"
import { CurrentSlot } from "../ops/RequestSlot.ts"

/** Milliseconds a request waits for a connection. */
const patience = 3_000

/** No connection came free in time. A defect: no service can do anything about it. */
export class DatabaseBusy extends Data.TaggedError("DatabaseBusy") {}

/** Lets so many through at once. Others wait in their order, and not for ever. */
const makeGate = (places: number): Effect.Effect<void, never, Scope.Scope> => {
  let free = places
  const waiting = new Set<() => void>()
  const leave = Effect.sync(() => {
    const [next] = waiting
    if (next === undefined) free++
    else next()
  })
  const enter = Effect.suspend(() => {
    let isIn = false
    return Effect.callback<void>((resume) => {
      const goIn = () => {
        waiting.delete(goIn)
        clearTimeout(timer)
        isIn = true
        resume(Effect.void)
      }
      const giveUp = () => {
        waiting.delete(goIn)
        resume(Effect.die(new DatabaseBusy()))
      }
      const timer = setTimeout(giveUp, patience)
      if (free === 0) waiting.add(goIn)
      else {
        free--
        goIn()
      }
      return Effect.sync(() => {
        waiting.delete(goIn)
        clearTimeout(timer)
      })
      // Cut off as its turn came: the turn is the next one's.
    }).pipe(Effect.onInterrupt(() => (isIn ? leave : Effect.void)))
  })
  return Effect.acquireRelease(enter, () => leave, { interruptible: true })
}

/** Postgres answers ROLLBACK to the COMMIT of a transaction in which a statement failed: nothing was written. */
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
 * The client of a pool of which requests together take no more than a share. So a flood of them never takes the
 * connections by which this process's own work (replies, leases, announcements) goes on; and who waits for one in vain
 * is told so, long before the request's own time-out.
 */
export const limitRequestConnections = Effect.fnUntraced(function* (pool: PgClient.PgClient, share: number) {
  const gate = makeGate(share)
  const acquirer = Effect.withFiber((fiber) =>
    Context.get(fiber.context, CurrentSlot) === undefined ? pool.reserve : Effect.andThen(gate, pool.reserve)
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
