import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, String } from "effect"
import { Reactivity } from "effect/reactivity"
import { Migrator, SqlClient } from "effect/sql"
import { runMigrations } from "graphile-worker"
import pg from "pg"
import { migrations } from "../../migrations/index.ts"
import { AppConfig, type Settings } from "../config/Settings.ts"
import { SettingError } from "../config/Reading.ts"
import { limitRequestConnections } from "./RequestPool.ts"

/** The advisory lock of migrations: any number, the same in every process. */
const migrationLock = 4_211_961

/** Milliseconds after which Postgres ends a statement, or a transaction that its client has left open. */
const timeouts = { statement_timeout: "15000", idle_in_transaction_session_timeout: "15000" }

/** The message of the innermost cause. It never contains the URL, which holds a password. */
const reason = (error: unknown): string => {
  if (!(error instanceof Error)) return `${error}`
  if (error.cause !== undefined) return reason(error.cause)
  return error instanceof AggregateError ? reason(error.errors[0]) : error.message
}

/** A failed first connection is reported as a bad setting. */
const unusable = (error: unknown) => new SettingError({ setting: "DATABASE_URL", problem: `cannot connect: ${reason(error)}` })

const connect = (options: {
  readonly url: Redacted.Redacted
  readonly maxConnections: number
  readonly pooled?: boolean | undefined
  readonly multiplex?: boolean | undefined
}) =>
  PgClient.make({
    url: options.url,
    applicationName: "chat-backend",
    maxConnections: options.maxConnections,
    connectTimeout: "5 seconds",
    multiplex: options.multiplex ?? false,
    // A pooler in transaction mode keeps neither prepared statements nor session settings.
    ...(options.pooled ? { prepare: false } : { startupParameters: timeouts }),
    transformResultNames: String.snakeToCamel,
    transformJson: false
    // A pool connects on first use; this query fails the start if it cannot.
  }).pipe(
    Effect.tap((sql) => sql`select 1`),
    Effect.mapError(unusable)
  )

const runPending = Migrator.make({})

const migrate = Effect.fn("Database.migrate")(function* (url: Redacted.Redacted) {
  const connectionString = Redacted.value(url)
  // Held by a session of its own: when processes start together, one migrates and the others wait.
  yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: async () => {
        const client = new pg.Client({ connectionString, application_name: "chat-backend migrations" })
        client.on("error", () => {})
        await client.connect()
        await client.query("select pg_advisory_lock($1)", [migrationLock])
        return client
      },
      catch: unusable
    }),
    (client) => Effect.promise(() => client.end())
  )
  yield* Effect.promise(() => runMigrations({ connectionString }))
  const applied = yield* runPending({ loader: Migrator.fromRecord(migrations), table: "migrations" })
  for (const [id, name] of applied) yield* Effect.logInfo(`Applied migration ${id} ${name}`)
}, Effect.scoped)

/** The number of the newest migration in this build; they are numbered from 1. */
export const newestMigration = Object.keys(migrations).length

/** The number of the newest migration that the database has. */
export const appliedMigration = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ id: number }>`select max(migration_id) as id from migrations`, ([row]) => row?.id ?? 0)

/** With `MIGRATE=off` a process does not migrate, and refuses to start on an old schema. */
const refuseUnmigrated = Effect.fnUntraced(function* (sql: PgClient.PgClient) {
  const [table] = yield* sql<{ exists: boolean }>`select to_regclass('migrations') is not null as exists`
  const lacking = newestMigration - (table?.exists === true ? yield* appliedMigration(sql) : 0)
  if (lacking > 0) {
    const problem = `is off, and the database lacks ${lacking} of ${newestMigration} migrations: \`npm run migrate\` makes them`
    return yield* new SettingError({ setting: "MIGRATE", problem })
  }
})

/** Runs all migrations: `npm run migrate`, and every start unless `MIGRATE=off`. */
export const runAllMigrations = Effect.gen(function* () {
  const { databaseDirectUrl } = yield* AppConfig
  const direct = yield* Layer.build(PgClient.layerFrom(connect({ url: databaseDirectUrl, maxConnections: 2 })))
  yield* migrate(databaseDirectUrl).pipe(Effect.provide(direct))
}).pipe(Effect.scoped)

/** A pool of session connections for LISTEN and the locks: never a pooler in transaction mode. */
export class DirectSql extends Context.Service<DirectSql, PgClient.PgClient>()("chat-backend/database/DirectSql") {
  static readonly layer = Layer.effect(
    DirectSql,
    Effect.gen(function* () {
      const { databaseDirectUrl } = yield* AppConfig
      const context = yield* Layer.build(PgClient.layerFrom(connect({ url: databaseDirectUrl, maxConnections: 4 })))
      return Context.get(context, PgClient.PgClient)
    })
  )
}

/**
 * For short reads that wait for no lock. Statements of many requests are pipelined on a few connections, where a slow
 * statement delays all behind it; so writes, locks and slow reads go through `SqlClient`.
 */
export class ReadSql extends Context.Service<ReadSql, PgClient.PgClient>()("chat-backend/database/ReadSql") {
  static readonly layer = Layer.effect(
    ReadSql,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const context = yield* Layer.build(
        PgClient.layerFrom(connect({ url: settings.databaseUrl, maxConnections: 4, pooled: isPooled(settings), multiplex: true }))
      )
      return Context.get(context, PgClient.PgClient)
    })
  )
}

const isPooled = ({ databaseDirectUrl, databaseUrl }: Settings) =>
  Redacted.value(databaseUrl) !== Redacted.value(databaseDirectUrl)

/** Connections for everything that writes, and how many of them requests may use at once. */
const maxConnections = 12
const requestShare = 10

/** A migrated database: layers on top of it can rely on the newest schema. */
export const DatabaseLayer = Layer.effect(
  SqlClient.SqlClient,
  Effect.gen(function* () {
    const settings = yield* AppConfig
    if (settings.migrate) yield* runAllMigrations
    const pool = yield* connect({ url: settings.databaseUrl, maxConnections, pooled: isPooled(settings) })
    if (!settings.migrate) yield* refuseUnmigrated(pool)
    return yield* limitRequestConnections(pool, requestShare)
  })
).pipe(Layer.provide(Reactivity.layer), Layer.merge(Layer.mergeAll(DirectSql.layer, ReadSql.layer)))
