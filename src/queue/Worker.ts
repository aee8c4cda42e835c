import { Cause, Context, Deferred, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { processId } from "./ProcessId.ts"
import { holdWorkerLock } from "./WorkerLock.ts"
import { drainMillis, makeRunner, type Runner, type RunnerPool, runnerPools } from "./Runner.ts"

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
 * Runs a pool. A runner that loses Postgres is replaced by a new one in the same process, with new connections; the jobs
 * that it had locked are unlocked.
 */
const supervise = Effect.fnUntraced(function* (pool: RunnerPool, draining: AbortSignal) {
  const sql = yield* SqlClient.SqlClient
  const started = yield* Deferred.make<void>()
  let isRunning = false
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
    const current = yield* makeRunner(pool, draining).pipe(
      Effect.timeout(startWait),
      // No later start would succeed: the process does not start.
      Effect.tapErrorTag("UnknownLocalQueue", (error) => Deferred.die(started, error))
    )
    runner = current
    yield* unlock
    isRunning = true
    yield* Deferred.succeed(started, undefined)
    yield* lost(current)
  })

  const runOnce = Effect.gen(function* () {
    const scope = yield* Scope.make()
    yield* runUntilLost.pipe(
      Effect.onError((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.void
          : Effect.logWarning(`The queue's runner of ${pool.name} jobs could not start`, cause)
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
    if (runner !== undefined)
      yield* Effect.logWarning(`The queue's runner of ${pool.name} jobs lost Postgres; a new one takes over`)
    runner = undefined
    isRunning = false
  })

  return {
    /** The lock ids of the current runner. */
    lockIds: () => runner?.lockIds() ?? [],
    isRunning: () => isRunning,
    /** Completes when it has started for the first time. */
    started: Deferred.await(started),
    /** Does not end; interrupting it lets running jobs end. */
    run: runOnce.pipe(Effect.repeat(Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("2 seconds")])))
  }
})

/** The queue's workers. The layer drains them when it closes. */
export const WorkerLayer = Layer.effect(
  WorkerHealth,
  Effect.gen(function* () {
    const draining = new AbortController()
    let isDraining = false
    const pools = yield* Effect.forEach(yield* runnerPools, (pool) => supervise(pool, draining.signal))

    // One fiber for all, so that they drain at the same time.
    yield* Effect.forkScoped(Effect.forEach(pools, ({ run }) => run, { concurrency: "unbounded", discard: true }))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isDraining = true
        setTimeout(() => draining.abort(), drainMillis).unref()
      })
    )
    // The first heartbeat must name the lock ids, so it comes after the start.
    yield* Effect.timeoutOption(
      Effect.forEach(pools, ({ started }) => started, { discard: true }),
      startWait
    )
    yield* heartbeat(() => pools.flatMap(({ lockIds }) => lockIds()))
    yield* holdWorkerLock
    return WorkerHealth.of({
      status: () => (isDraining ? "draining" : pools.every(({ isRunning }) => isRunning()) ? "ok" : "failed")
    })
  })
)
