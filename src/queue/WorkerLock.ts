import { Effect, Schedule } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { makeClient } from "../database/Connections.ts"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { processId } from "./ProcessId.ts"

/** The key of a worker's lock in SQL, from its id. */
export const lockKey = (id: string) => `hashtextextended(${id}::text, 0)`

/**
 * The timeline of the server that is asked, in SQL: the promotion of a standby begins a new one. Locks are not replicated,
 * so a lock that was taken on another timeline says nothing.
 */
export const timeline = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int"

const pingEvery = "3 seconds"
/** Milliseconds without a ping after which Postgres ends the session, and so frees the lock of a frozen process. */
const idleMillis = 10_000

/**
 * Holds an advisory lock on a session of its own while the process lives: when the process is killed Postgres frees the
 * lock within milliseconds, and the reaper hands its replies to others. A session that is lost is replaced; until then
 * the lock is free and another worker may take a reply over, which costs a model call but never a second answer, since
 * claims are fenced by the attempt.
 */
export const holdWorkerLock = Effect.gen(function* () {
  const { databaseDirect } = yield* AppConfig
  const sql = yield* SqlClient.SqlClient
  const session = yield* makeClient({
    endpoint: databaseDirect,
    name: "chat-backend worker lock",
    statementMillis: 5_000,
    silenceMillis: 7_000,
    idleMillis,
    connections: 1
  }).pipe(Effect.provide(Reactivity.layer))

  /** Takes the lock unless this session holds it; the server's timeline when it was taken anew. */
  const take = Effect.map(
    session<{ taken: boolean; timeline: number }>`
      with mine as (
        select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and objsubid = 1
      )
      select pg_try_advisory_lock(${session.literal(lockKey(`'${processId}'`))}) as taken,
        ${session.literal(timeline)} as timeline
      where not exists (select from mine)
    `,
    ([row]) => (row?.taken === true ? row.timeline : undefined)
  )
  const step = Effect.gen(function* () {
    const taken = yield* take
    if (taken === undefined) return
    // The heartbeat's row may not be there yet: then the lock is announced at the next ping.
    const [row] = yield* sql`
      update worker_heartbeats set locked_since = clock_timestamp(), locked_timeline = ${taken} where id = ${processId} returning 1
    `
    if (row === undefined) yield* session`select pg_advisory_unlock_all()`
  })
  yield* backgroundStep("The worker's lock could not be kept", step).pipe(
    Effect.repeat(Schedule.spaced(pingEvery)),
    Effect.forkScoped
  )
})
