import { Cause, Context, Deferred, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { processId } from "./ProcessId.ts"
import { holdWorkerLock } from "./WorkerLock.ts"
import { drainMillis, makeRunner, type Runner } from "./Runner.ts"

/** The state of this process's worker; undefined in a process without one. */
export class WorkerHealth extends Context.Service<
  WorkerHealth,
  { readonly status: () => "ok" | "failed" | "draining" | undefined }
>()("chat-backend/queue/WorkerHealth") {
  static readonly layerNone = Layer.succeed(WorkerHealth, { status: () => undefined })
}

/** Time between two pings of the runner's connections, and time that Postgres has to answer one. */
const pingEvery = "3 seconds"
const pingWait = "10 seconds"
const startWait = "15 seconds"

/** Completes when the runner takes no more jobs, or its connections have gone silent. */
const lost = ({ ended, ping }: Runner): Effect.Effect<void> => {
  const silent = ping.pipe(Effect.timeout(pingWait), Effect.repeat(Schedule.spaced(pingEvery)), Effect.ignore)
  return Effect.raceFirst(ended, silent)
}

/** Records every ten seconds that this process is alive and which locks it holds, so that the reaper can unlock the jobs of dead ones. */
const heartbeat = Effect.fnUntraced(function* (lockIds: () => ReadonlyArray<string>) {
  const sql = yield* SqlClient.SqlClient
  const beat = Effect.suspend(
    () => sql`
      insert into worker_heartbeats (id, graphile_worker_ids)
      values (${processId}, string_to_array(${lockIds().join(",")}, ','))
      on conflict (id) do update set seen_at = now(), graphile_worker_ids = excluded.graphile_worker_ids
    `
  )
  // Registered first, so that it runs when no further heartbeat can follow.
  yield* Effect.addFinalizer(() => Effect.ignore(sql`delete from worker_heartbeats where id = ${processId}`))
  yield* backgroundStep("The worker's heartbeat failed", beat).pipe(
    Effect.repeat(Schedule.spaced("10 seconds")),
    Effect.forkScoped
  )
})

/**
 * The queue's worker. A runner that loses Postgres is replaced by a new one in the same process, with new connections;
 * the jobs that it had locked are unlocked. The layer drains it when it closes.
 */
export const WorkerLayer = Layer.effect(
  WorkerHealth,
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const started = yield* Deferred.make<void>()
    const draining = new AbortController()
    let status: "ok" | "failed" | "draining" = "failed"
    let runner: Runner | undefined
    /** Lock ids of lost runners whose jobs are still to be unlocked. */
    let abandoned: ReadonlyArray<string> = []

    const unlock = Effect.suspend(() => {
      if (abandoned.length === 0) return Effect.void
      const ids = abandoned
      return sql`select graphile_worker.force_unlock_workers(string_to_array(${ids.join(",")}, ',')) is null as done`.pipe(
        Effect.tap(() => Effect.sync(() => (abandoned = abandoned.filter((id) => !ids.includes(id)))))
      )
    })

    const runUntilLost = Effect.gen(function* () {
      const current = yield* Effect.timeout(makeRunner(draining.signal), startWait)
      runner = current
      yield* unlock
      status = "ok"
      yield* Deferred.succeed(started, undefined)
      yield* lost(current)
    })

    const run = Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* runUntilLost.pipe(
        Effect.onError((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logWarning("The queue's runner could not start", cause)
        ),
        Scope.provide(scope),
        // When the process drains, running jobs are waited for; the connections of a lost runner are not.
        Effect.onExit((exit) => {
          const closed = Scope.close(scope, exit)
          return Exit.hasInterrupts(exit) ? closed : Effect.asVoid(Effect.forkDetach(closed))
        }),
        Effect.ignoreCause
      )
      abandoned = [...abandoned, ...(runner?.lockIds() ?? [])]
      if (runner !== undefined) yield* Effect.logWarning("The queue lost Postgres; a new runner takes over")
      runner = undefined
      status = "failed"
    })

    yield* run.pipe(
      Effect.repeat(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")])),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        status = "draining"
        setTimeout(() => draining.abort(), drainMillis).unref()
      })
    )
    // The first heartbeat must name the lock ids, so it comes after the start.
    yield* Effect.timeoutOption(Deferred.await(started), startWait)
    yield* heartbeat(() => runner?.lockIds() ?? [])
    yield* holdWorkerLock
    return WorkerHealth.of({ status: () => status })
  })
)
