import { Context, Effect, Layer, Schedule } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { makePool, type PoolOptions } from "./ConnectionPool.ts"
import { isPassing, makeClient, reasonOf, unusable } from "./Connections.ts"
import { migrate, refuseUnmigrated } from "./Migrations.ts"
import { refuseDirectWithoutRights, refuseWithoutRights } from "./Rights.ts"

/** A statement is given up after `statementMillis`; a connection that has not answered by then and a little more is dead. */
export const statementMillis = 15_000
const bounds = { statementMillis, silenceMillis: statementMillis + 2_000 }
const writes = { ...bounds, name: "chat-backend" }
const reads = { ...bounds, name: "chat-backend reads", connections: 4, multiplex: true }
/** Of `DATABASE_POOL_SIZE`, connections that requests leave for the process's own work. */
const ownConnections = 2

/** The pool of requests and jobs, of which requests leave some connections for the rest. */
export const requestPool = (connections: number) => ({
  ...bounds,
  connections,
  requestConnections: connections - ownConnections
})

/** A pool that has shown that it can connect: it connects when it is first used, a start must find out at once. */
const connect = (options: PoolOptions) =>
  makePool(options).pipe(
    Effect.tap((sql) => sql`select 1`),
    Effect.mapError(unusable(options.endpoint))
  )

/**
 * Completes when the database takes connections. It may be away when a process starts: that is said once and waited
 * for. What an operator must mend (a wrong password, a missing database, a certificate) ends the start.
 */
export const awaitDatabase = Effect.fnUntraced(function* (options: { readonly tries?: number | undefined } = {}) {
  const { databaseDirect } = yield* AppConfig
  let isSaid = false
  const attempt = makeClient({ ...writes, endpoint: databaseDirect, connections: 1 }).pipe(
    Effect.andThen((sql) => sql`select 1`),
    Effect.scoped,
    Effect.provide(Reactivity.layer),
    Effect.timeout("8 seconds")
  )
  yield* attempt.pipe(
    Effect.tapError((error) => {
      if (isSaid || !isPassing(error)) return Effect.void
      isSaid = true
      return Effect.logWarning(`Waiting for the database: ${reasonOf(error)}`)
    }),
    Effect.retry({ while: isPassing, schedule: Schedule.spaced("500 millis"), times: options.tries }),
    Effect.mapError(unusable(databaseDirect))
  )
})

/** The migrations alone (`npm run migrate`): a deployment is told within a minute that its database is away. */
export const runAllMigrations = Effect.andThen(awaitDatabase({ tries: 60 }), migrate())

/**
 * For short reads that wait for no lock. Statements of many requests are pipelined on a few connections, where a slow
 * statement delays all behind it; so writes, locks and slow reads go through `SqlClient`.
 *
 * Through a pooler in transaction mode nothing is pipelined: PgBouncer (1.18) gives the server's connection back after a
 * statement although a part of the next one has been sent to it, and sends the rest to another connection.
 */
export class ReadSql extends Context.Service<ReadSql, SqlClient.SqlClient>()("chat-backend/database/ReadSql") {
  static readonly layer = Layer.effect(
    ReadSql,
    Effect.gen(function* () {
      const { database, databasePoolSize, isPooled } = yield* AppConfig
      const pipelined = isPooled ? { multiplex: false, connections: databasePoolSize } : {}
      return yield* connect({ ...reads, ...pipelined, endpoint: database, isPooled })
    })
  )
}

/** A migrated database: layers on top of it can rely on the newest schema. */
export const DatabaseLayer = Layer.effect(
  SqlClient.SqlClient,
  Effect.gen(function* () {
    const { database, databasePoolSize, isPooled, migrate: migrates } = yield* AppConfig
    if (migrates) yield* migrate()
    const pool = yield* connect({
      ...writes,
      ...requestPool(databasePoolSize),
      endpoint: database,
      isPooled
    })
    // Before the migrations are looked up: a role that sees no table would find none.
    yield* refuseWithoutRights(pool, database)
    yield* refuseDirectWithoutRights
    if (!migrates) yield* refuseUnmigrated(pool)
    return pool
  })
).pipe(Layer.provideMerge(ReadSql.layer), Layer.provide(Reactivity.layer))
