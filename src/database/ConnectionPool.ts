import { PgClient, PgPool, type PgConnection } from "@effect/sql-pg"
import { type Array, Context, Effect, Exit, Fiber, Predicate, Stream, String } from "effect"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { makeRareWarning } from "../ops/RareLog.ts"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import { type ConnectionOptions, poolOptions } from "./Connections.ts"
import { makePoolMetrics } from "./PoolMetrics.ts"
import { makeBulkhead } from "./RequestBulkhead.ts"

/** Milliseconds for which a failed attempt to connect counts for all that want a connection. */
const failedAttemptMillis = 100

type TransformRows = (<A extends object>(rows: ReadonlyArray<A>) => ReadonlyArray<A>) | undefined

/** A connection of the driver, as Effect's client uses it. */
class PooledConnection implements SqlConnection.Connection {
  private readonly connection: PgConnection.PgConnection

  constructor(connection: PgConnection.PgConnection) {
    this.connection = connection
  }

  private rows(text: string, values: ReadonlyArray<unknown>, transform: TransformRows, isPrepared: boolean) {
    return Effect.map(this.connection.query(text, values, isPrepared), ({ rows }) =>
      transform === undefined ? rows : transform(rows)
    )
  }

  execute(text: string, values: ReadonlyArray<unknown>, transform: TransformRows) {
    return this.rows(text, values, transform, true)
  }
  executeUnprepared(text: string, values: ReadonlyArray<unknown>, transform: TransformRows) {
    return this.rows(text, values, transform, false)
  }
  executeRaw(text: string, values: ReadonlyArray<unknown>) {
    return this.connection.query(text, values)
  }
  executeValues(text: string, values: ReadonlyArray<unknown>) {
    return this.connection.queryValues(text, values)
  }
  executeValuesUnprepared(text: string, values: ReadonlyArray<unknown>) {
    return this.connection.queryValues(text, values, false)
  }
  executeStream(text: string, values: ReadonlyArray<unknown>, transform: TransformRows) {
    const rows = this.connection.stream(text, values)
    return transform === undefined
      ? rows
      : Stream.mapArray(rows, (page) => transform(page) as Array.NonEmptyReadonlyArray<object>)
  }
}

/** Fails when Postgres answers COMMIT with ROLLBACK: a statement of the transaction had failed, so nothing was written. */
const commit = (connection: SqlConnection.Connection) =>
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
 * Completes at once while the pool's connections live. After one was lost, it completes or fails with the next attempt to
 * get one, which all share. Without it, each of n fibers that wait for a connection has Effect's pool queue a further attempt
 * whenever one fails: 200 requests in an outage became 40,000 queued attempts, which took the whole CPU of the process.
 */
const makeGate = Effect.fnUntraced(function* () {
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  let isOpen = true
  let attempt: Fiber.Fiber<void, SqlError.SqlError> | undefined

  const begin = (pool: PgPool.PgPool) => {
    const fiber = fork(Effect.asVoid(Effect.scoped(pool.get)))
    attempt = fiber
    fiber.addObserver((exit) => {
      isOpen = Exit.isSuccess(exit)
      if (isOpen) attempt = undefined
      else setTimeout(() => (attempt = undefined), failedAttemptMillis).unref()
    })
    return fiber
  }
  const lost = () => void (isOpen = false)
  const passed = (pool: PgPool.PgPool): Effect.Effect<void, SqlError.SqlError> =>
    Effect.suspend(() => (isOpen ? Effect.void : Fiber.join(attempt ?? begin(pool))))
  return { lost, passed }
})

export interface PoolOptions extends ConnectionOptions {
  /**
   * Connections that all requests together use at most, so that a flood of requests leaves some for this process's own work
   * (replies, leases, announcements). A request that gets none is refused long before its own time-out. Unlimited without it.
   */
  readonly requestConnections?: number | undefined
}

/** A pool that connects when it is first used, and that fails quickly, at a bounded cost, while Postgres is away. */
export const makePool = Effect.fnUntraced(function* (options: PoolOptions) {
  const { connections, multiplex = false, name, requestConnections } = options
  const metrics = yield* makePoolMetrics(name, connections)
  const gate = yield* makeGate()
  const config = poolOptions(options)
  const pool = yield* PgPool.make({
    ...config,
    stream: () => {
      metrics.opened()
      return config.stream().once("close", gate.lost).once("close", metrics.closed)
    }
  })
  const warn = makeRareWarning()
  const busy = Effect.suspend(() => {
    metrics.timedOut()
    return warn(`A request got none of the ${requestConnections} connections to Postgres that requests may use within 3 seconds`)
  })
  const bulkhead = requestConnections === undefined ? undefined : makeBulkhead(requestConnections, busy)
  const passed = gate.passed(pool)
  const limited =
    bulkhead === undefined
      ? passed
      : Effect.withFiber((fiber) =>
          Context.get(fiber.context, CurrentSlot) === undefined ? passed : Effect.andThen(bulkhead, passed)
        )
  const checkout = (connection: typeof pool.get) => Effect.map(connection, (taken) => new PooledConnection(taken))
  const reserved = metrics.acquire(Effect.andThen(limited, checkout(pool.reserve)))
  return yield* SqlClient.make({
    // Statements of several fibers share a connection where it is multiplexed.
    acquirer: multiplex ? metrics.acquire(Effect.andThen(limited, checkout(pool.get))) : reserved,
    borrower: multiplex
      ? (use) =>
          Effect.suspend(() => {
            const lease = metrics.begin()
            const lent = pool.use((taken) => {
              lease.acquired()
              return use(new PooledConnection(taken))
            })
            return Effect.onExit(Effect.andThen(passed, lent), () => Effect.sync(lease.ended))
          })
      : undefined,
    transactionAcquirer: reserved,
    compiler: PgClient.makeCompiler(undefined, false),
    driver: "pg",
    spanAttributes: [
      ["db.system.name", "postgresql"],
      ["db.namespace", config.database],
      ["server.address", config.host],
      ["server.port", config.port]
    ],
    prepareTransactionControls: true,
    commit,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    transformRows: Statement.defaultTransforms(String.snakeToCamel, false).array
  })
})
