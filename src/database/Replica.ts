import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Effect, Layer, Schedule, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, type SqlError } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { observedCounter } from "../ops/Metrics.ts"
import { makePool } from "./ConnectionPool.ts"
import { reasonOf } from "./Connections.ts"
import { ReadSql, requestPool } from "./Database.ts"

/** How long a read waits for the replica to replay what the primary had when the read began, and between two looks. */
const maxWait = "100 millis"
const lookEvery = "5 millis"
/** Milliseconds for which reads go to the primary after the replica was behind or away. */
const pauseMillis = 1_000

type Statement<A> = (client: SqlClient.SqlClient) => Effect.Effect<A, SqlError.SqlError>

/**
 * Reads of histories, searches, exports and contexts from a streaming replica (`DATABASE_READ_URL`), which are as fresh as
 * from the primary: before each statement the primary says how far its log is on disk, and the replica must have replayed
 * so much. A position of the user's own last write would not do, because the announcement of a write can reach a process
 * later than the user's next request. When the replica is behind, away, or cancels the statement, the primary is asked.
 */
export class Replica extends Context.Service<
  Replica,
  {
    /** A client for single reads in the place of this one of the primary; without a replica, the same client. */
    readonly over: (primary: SqlClient.SqlClient) => Effect.Effect<SqlClient.SqlClient>
  }
>()("chat-backend/database/Replica") {
  static readonly layer = Layer.effect(
    Replica,
    Effect.gen(function* () {
      const { databasePoolSize, databaseRead, isPooled } = yield* AppConfig
      if (databaseRead === undefined) return Replica.of({ over: Effect.succeed })
      const primaryPosition = yield* ReadSql
      const pool = requestPool(databasePoolSize)
      const replica = yield* makePool({ ...pool, name: "chat-backend replica", endpoint: databaseRead, isPooled })
      const reactivity = yield* Effect.context<Reactivity.Reactivity>()
      let pausedUntil = 0
      let isUsed = true
      let [reads, fallbacks] = [0, 0]
      yield* observedCounter("chat_replica_reads_total", "Statements read from the replica.", () => reads)
      yield* observedCounter("chat_replica_fallbacks_total", "Statements read from the primary instead.", () => fallbacks)

      /** The replica is not asked for a while. Said once, until it is used again. */
      const pause = Effect.fnUntraced(function* (why: string) {
        pausedUntil = (yield* Clock.currentTimeMillis) + pauseMillis
        if (isUsed) yield* Effect.logWarning(`Reads go to the primary: the replica ${why}`)
        isUsed = false
      })

      /** Completes when the replica has replayed all that the primary has on disk now. */
      const caughtUp = Effect.gen(function* () {
        const [at] = yield* primaryPosition<{ position: string }>`select pg_current_wal_flush_lsn()::text as position`
        // A server that is not in recovery has no position: it follows no primary.
        const look = replica<{ isReached: boolean | null }>`
          select pg_is_in_recovery() and pg_last_wal_replay_lsn() >= ${at?.position ?? ""}::pg_lsn as is_reached
        `
        yield* Effect.repeat(look, { until: ([row]) => row?.isReached === true, schedule: Schedule.spaced(lookEvery) })
      })
      const isReady = Effect.gen(function* () {
        if ((yield* Clock.currentTimeMillis) < pausedUntil) return false
        return yield* caughtUp.pipe(
          Effect.as(true),
          Effect.timeoutOrElse({ duration: maxWait, orElse: () => Effect.as(pause("is behind"), false) }),
          Effect.catch((error) => Effect.as(pause(`cannot be asked: ${reasonOf(error)}`), false))
        )
      })

      const read =
        (primary: SqlClient.SqlClient) =>
        <A>(statement: Statement<A>): Effect.Effect<A, SqlError.SqlError> => {
          const fromPrimary = Effect.suspend(() => {
            fallbacks++
            return statement(primary)
          })
          const fromReplica = statement(replica).pipe(
            Effect.tap(() =>
              Effect.suspend(() => {
                reads++
                if (isUsed) return Effect.void
                isUsed = true
                return Effect.logInfo("Reads go to the replica again")
              })
            ),
            Effect.catch((error) => Effect.andThen(pause(`has failed: ${reasonOf(error)}`), fromPrimary))
          )
          return Effect.flatMap(isReady, (ready) => (ready ? fromReplica : fromPrimary))
        }

      const over: Replica["Service"]["over"] = (primary) =>
        SqlClient.make({
          acquirer: Effect.succeed(new RoutedConnection(read(primary))),
          compiler: PgClient.makeCompiler(undefined, false),
          driver: "pg",
          spanAttributes: [["db.system.name", "postgresql"]]
        }).pipe(Effect.provide(reactivity))

      return Replica.of({ over })
    })
  ).pipe(Layer.provide(Reactivity.layer))
}

/** Runs each statement where it is to be read. The client that runs it names the columns. */
class RoutedConnection implements SqlConnection.Connection {
  private readonly read: <A>(statement: Statement<A>) => Effect.Effect<A, SqlError.SqlError>

  constructor(read: RoutedConnection["read"]) {
    this.read = read
  }

  execute(text: string, values: ReadonlyArray<unknown>) {
    return this.read((client) => client.unsafe<object>(text, values))
  }
  executeUnprepared(text: string, values: ReadonlyArray<unknown>) {
    return this.execute(text, values)
  }
  executeRaw(text: string, values: ReadonlyArray<unknown>) {
    return this.read((client) => client.unsafe(text, values).raw)
  }
  executeValues(text: string, values: ReadonlyArray<unknown>) {
    return this.read((client) => client.unsafe(text, values).values)
  }
  executeValuesUnprepared(text: string, values: ReadonlyArray<unknown>) {
    return this.executeValues(text, values)
  }
  executeStream(text: string, values: ReadonlyArray<unknown>) {
    return Stream.fromIterableEffect(this.execute(text, values))
  }
}
