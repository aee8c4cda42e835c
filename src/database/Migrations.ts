import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Schedule } from "effect"
import { Migrator, SqlClient, SqlError } from "effect/sql"
import { runMigrations as runQueueMigrations } from "graphile-worker"
import pg from "pg"
import { migrations } from "../../migrations/index.ts"
import { SettingError } from "../config/Reading.ts"
import { AppConfig } from "../config/Settings.ts"
import { explainForbidden } from "./Rights.ts"
import { type ConnectionOptions, makeClient, pgConfig, unusable } from "./Connections.ts"

/** Any number that every process of this product uses. */
const migrationLock = 4_211_961
/** How long a statement waits for a lock that running processes hold, before the migrations begin again. */
const lockMillis = 3_000
/** How long a process tries: as long as another one may migrate, or as running processes may hold a lock. */
const patience = "10 minutes"

/** The number of migrations; they are numbered from 1. */
export const newestMigration = Object.keys(migrations).length

/** The number of the newest applied migration. */
export const appliedMigration = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ id: number }>`select max(migration_id) as id from migrations`, ([row]) => row?.id ?? 0)

/** A migration may take as long as it needs, but it never blocks running processes by waiting for a lock. */
const connection = Effect.map(AppConfig, ({ databaseDirect }): ConnectionOptions => ({
  endpoint: databaseDirect,
  name: "chat-backend migrations",
  statementMillis: 0,
  lockMillis,
  silenceMillis: 3_600_000,
  connections: 2
}))

/** Held by a session of its own, so that of processes that start together one migrates and the others wait. */
const exclusively = Effect.gen(function* () {
  const options = yield* connection
  const client = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => {
        // The lock is asked for again and again instead of waited for: a question that is not answered is a dead connection.
        const client = new pg.Client(pgConfig({ ...options, silenceMillis: 20_000 }))
        client.on("error", () => {})
        return client.connect().then(() => client)
      },
      catch: unusable(options.endpoint)
    }),
    (client) => Effect.promise(() => client.end().catch(() => {})).pipe(Effect.timeoutOption("5 seconds"))
  )
  const tryLock = Effect.tryPromise({
    try: () => client.query<{ ours: boolean }>("select pg_try_advisory_lock($1) as ours", [migrationLock]),
    catch: unusable(options.endpoint)
  })
  yield* tryLock.pipe(
    Effect.flatMap(({ rows }) => (rows[0]?.ours === true ? Effect.void : Effect.fail("taken" as const))),
    Effect.retry({ while: (error) => error === "taken", schedule: Schedule.spaced("250 millis") }),
    Effect.timeout(patience),
    Effect.catchIf(
      (error) => !(error instanceof SettingError),
      () => Effect.fail(new SettingError({ setting: "MIGRATE", problem: "another process has been migrating for ten minutes" }))
    )
  )
})

const isLockTimeout = (error: unknown): boolean =>
  SqlError.isSqlError(error)
    ? error.reason._tag === "LockTimeoutError"
    : error instanceof Migrator.MigrationError && isLockTimeout(error.cause)

const runOwnMigrations = Migrator.make({})({ loader: Migrator.fromRecord(migrations), table: "migrations" }).pipe(
  Effect.tapError((error) =>
    isLockTimeout(error) ? Effect.logWarning("A migration waits for a lock that a running process holds") : Effect.void
  ),
  Effect.retry({ while: isLockTimeout, schedule: Schedule.spaced("1 second").pipe(Schedule.jittered), times: 200 })
)

/** Applies the queue's migrations and ours, in one process of the fleet at a time. */
export const migrate = Effect.fn("Migrations.migrate")(function* () {
  const options = yield* connection
  yield* exclusively
  const pool = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const pool = new pg.Pool({ ...pgConfig(options), max: 1 })
      pool.on("error", () => {})
      pool.on("connect", (client) => client.on("error", () => {}))
      return pool
    }),
    (pool) => Effect.promise(() => pool.end()).pipe(Effect.timeoutOption("5 seconds"))
  )
  yield* Effect.tryPromise({ try: () => runQueueMigrations({ pgPool: pool }), catch: explainForbidden(options.endpoint) }).pipe(
    Effect.catchIf((error) => !(error instanceof SettingError), Effect.die)
  )
  const client = yield* Layer.build(PgClient.layerFrom(makeClient(options)))
  const applied = yield* runOwnMigrations.pipe(Effect.provide(client), Effect.mapError(explainForbidden(options.endpoint)))
  for (const [id, name] of applied) yield* Effect.logInfo(`Applied migration ${id} ${name}`)
}, Effect.scoped)

/** With `MIGRATE=off` another process migrates, and must have done so. */
export const refuseUnmigrated = Effect.fnUntraced(function* (sql: SqlClient.SqlClient) {
  const [table] = yield* sql<{ exists: boolean }>`select to_regclass('migrations') is not null as exists`
  const lacking = newestMigration - (table?.exists === true ? yield* appliedMigration(sql) : 0)
  if (lacking > 0) {
    const problem = `is off, and the database lacks ${lacking} of ${newestMigration} migrations: run \`npm run migrate\``
    return yield* new SettingError({ setting: "MIGRATE", problem })
  }
})
