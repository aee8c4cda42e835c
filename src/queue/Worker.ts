import { Cause, Context, Deferred, Effect, Exit, Layer, Redacted, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { type JobHelpers, Logger, parseCronItems, run, type Runner, type TaskList, type WorkerEvents } from "graphile-worker"
import { EventEmitter, setMaxListeners } from "node:events"
import pg from "pg"
import { AppConfig } from "../Config.ts"
import { processId } from "../gemini/Leases.ts"
import { replyTask } from "./Queue.ts"
import { type Task, Tasks } from "./Tasks.ts"

/** Milliseconds that running replies get to end after a SIGTERM; then they hand their leases back. */
const drainMillis = 10_000
/** Connections of the queue: its queries are short, so many replies in flight share a few. */
const poolSize = 10

/** Whether this process has a worker, and whether it runs. A worker that ended by itself must end the process. */
export class WorkerHealth extends Context.Service<
  WorkerHealth,
  { readonly status: () => "ok" | "failed" | "draining" | undefined }
>()("chat-backend/queue/WorkerHealth") {
  static readonly layerNone = Layer.succeed(WorkerHealth, { status: () => undefined })
}

/** graphile-worker talks of every job; only its warnings are news, and of those not that its pool is small on purpose. */
const makeLogger = (log: (event: Effect.Effect<void>) => void) =>
  new Logger(() => (level, message) => {
    if ((level !== "error" && level !== "warning") || message.includes("maxPoolSize")) return
    const event = level === "error" ? Effect.logError(message) : Effect.logWarning(message)
    log(Effect.annotateLogs(event, { source: "graphile-worker" }))
  })

const makePool = (connectionString: string) => {
  const pool = new pg.Pool({
    connectionString,
    max: poolSize,
    application_name: "chat-backend worker",
    // A job is a wake-up that can be made again, so its bookkeeping need not wait for the disk.
    options: "-c synchronous_commit=off"
  })
  // Without these an idle connection that breaks would be an unhandled error and end the process.
  pool.on("error", () => {})
  pool.on("connect", (client) => client.on("error", () => {}))
  return pool
}

/** graphile-worker as a scoped layer: started with it, drained when it closes, fatal when it ends by itself. */
export const WorkerLayer = Layer.effect(
  WorkerHealth,
  Effect.gen(function* () {
    const settings = yield* AppConfig
    const tasks = yield* Tasks
    const sql = yield* SqlClient.SqlClient
    const runTask = Effect.runPromiseExitWith(yield* Effect.context())
    const logger = makeLogger(Effect.runForkWith(yield* Effect.context()))
    const lockIds = new Set<string>()
    const events: WorkerEvents = new EventEmitter()
    // Jobs are locked by the id of the pool of workers, not by a worker's own.
    events.on("pool:create", ({ workerPool }) => lockIds.add(workerPool.id))
    // With Postgres gone at an acknowledgement the queue shuts itself down, and its promise may never settle.
    const shuttingDown = yield* Deferred.make<void>()
    events.on("pool:gracefulShutdown", () => Deferred.doneUnsafe(shuttingDown, Effect.void))
    let status: "ok" | "failed" | "draining" = "ok"

    const runJob =
      (task: Task) =>
      (payload: unknown, { abortSignal }: JobHelpers) => {
        // One signal for all jobs: each listens to it while it runs, and that many is as it should be.
        if (abortSignal !== undefined) setMaxListeners(0, abortSignal)
        return runTask(task.run(payload), abortSignal === undefined ? {} : { signal: abortSignal }).then((exit) => {
          // Interrupted by the shutdown: a reply was handed back and has a new job, so this one is done.
          if (Exit.isFailure(exit) && !(task.name === replyTask && Cause.hasInterruptsOnly(exit.cause)))
            throw Cause.squash(exit.cause)
        })
      }
    const taskList: TaskList = Object.fromEntries(tasks.map((task) => [task.name, runJob(task)]))
    const crons = tasks.flatMap(({ cron, name }) =>
      cron === undefined ? [] : [{ task: name, match: cron, identifier: name, options: { jobKey: name } }]
    )

    const pool = yield* Effect.acquireRelease(
      Effect.sync(() => makePool(Redacted.value(settings.databaseDirectUrl))),
      // It waits for connections in use, and one that was cut off may stay so.
      (pool) =>
        Effect.timeoutOption(
          Effect.promise(() => pool.end()),
          "2 seconds"
        )
    )
    const runner: Runner = yield* Effect.acquireRelease(
      Effect.promise(() =>
        run({
          pgPool: pool,
          taskList,
          events,
          logger,
          concurrency: settings.workerConcurrency,
          // New jobs announce themselves; polling is for those that were due at a time.
          // Each idle slot polls for itself: this bounds them to fifty queries a second together.
          pollInterval: Math.max(1_000, 20 * settings.workerConcurrency),
          noHandleSignals: true,
          parsedCronItems: parseCronItems(crons),
          preset: {
            worker: {
              // With the default delay `stop` returns before the last acknowledgement, and the jobs stay locked.
              completeJobBatchDelay: 0,
              failJobBatchDelay: 0,
              gracefulShutdownAbortTimeout: drainMillis
            }
          }
        })
      ),
      (runner) =>
        Effect.promise(() => {
          status = "draining"
          return runner.stop().catch(() => undefined)
        }).pipe(Effect.timeoutOption(drainMillis + 3_000))
    )

    // The runner's promise resolves, not rejects, when its connections die: any early end is fatal.
    yield* Effect.promise(() => runner.promise.catch(() => undefined)).pipe(
      Effect.raceFirst(Deferred.await(shuttingDown)),
      Effect.andThen(
        Effect.suspend(() => {
          if (status === "draining") return Effect.void
          status = "failed"
          return Effect.andThen(
            Effect.logFatal("The queue's worker ended by itself; leaving so that a new process takes over"),
            Effect.sync(() => {
              // Drained as by a signal, and yet a failure: what supervises the process may restart only those.
              process.exitCode = 1
              process.kill(process.pid, "SIGTERM")
            })
          )
        })
      ),
      Effect.forkScoped
    )

    // Lets the reaper unlock, by the ids the queue locks with, the jobs of a process that is gone.
    yield* Effect.suspend(
      () => sql`
        insert into worker_heartbeats (id, graphile_worker_ids)
        values (${processId}, string_to_array(${[...lockIds].join(",")}, ','))
        on conflict (id) do update set seen_at = now(), graphile_worker_ids = excluded.graphile_worker_ids
      `
    ).pipe(
      Effect.catchCause((cause) => Effect.logWarning("The worker's heartbeat failed", cause)),
      Effect.repeat(Schedule.spaced("10 seconds")),
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() => Effect.ignore(sql`delete from worker_heartbeats where id = ${processId}`))

    return WorkerHealth.of({ status: () => status })
  })
)
