import { Cause, Deferred, Effect, Exit } from "effect"
import { Logger, parseCronItems, run, type TaskList, type WorkerEvents } from "graphile-worker"
import { EventEmitter, setMaxListeners } from "node:events"
import pg from "pg"
import type { DatabaseEndpoint } from "../config/DatabaseUrl.ts"
import { AppConfig } from "../config/Settings.ts"
import { pgConfig } from "../database/Connections.ts"
import { observedPool } from "../database/PoolMetrics.ts"
import { jobSpan } from "../ops/Tracing.ts"
import { fetchForIdleSlots } from "./JobFetching.ts"
import { indexScans, lookUpJobsById } from "./JobStatements.ts"
import { type Task, Tasks } from "./Tasks.ts"

/** Milliseconds that running jobs get to end when the process drains; then they are interrupted. */
export const drainMillis = 10_000
/** Time between two looks for jobs whose time has come. */
const pollMillis = 200
/** A pool of workers: the jobs that it runs at the same time, and connections for taking and acknowledging them. */
export interface RunnerPool {
  readonly name: string
  readonly tasks: ReadonlyArray<Task>
  readonly concurrency: number
  /** Its queries are short, so a few connections serve many jobs in progress. One of them listens for new jobs. */
  readonly connections: number
}

/** Two pools, so that replies that take long do not hold back billing and clean-up. */
export const runnerPools = Effect.gen(function* () {
  const { workerConcurrency } = yield* AppConfig
  const tasks = yield* Tasks
  const pools: ReadonlyArray<RunnerPool> = [
    {
      name: "reply",
      tasks: tasks.filter(({ asksModel }) => asksModel === true),
      concurrency: workerConcurrency,
      connections: 10
    },
    { name: "background", tasks: tasks.filter(({ asksModel }) => asksModel !== true), concurrency: 20, connections: 5 }
  ]
  return pools
})

/** A started graphile-worker. */
export interface Runner {
  /** The ids under which it locks jobs. */
  readonly lockIds: () => ReadonlyArray<string>
  /** Completes when it stops taking jobs. */
  readonly ended: Effect.Effect<void>
  /** Asks Postgres something through the runner's own connections. */
  readonly ping: Effect.Effect<void, unknown>
}

/** Logs warnings and errors alone: graphile-worker reports every job, and warns of a small pool, which is intended. */
const makeLogger = Effect.map(
  Effect.context<never>(),
  (context) =>
    new Logger(() => (level, message) => {
      if ((level !== "error" && level !== "warning") || message.includes("maxPoolSize")) return
      const event = level === "error" ? Effect.logError(message) : Effect.logWarning(message)
      Effect.runForkWith(context)(Effect.annotateLogs(event, { source: "graphile-worker" }))
    })
)

const makePool = (endpoint: DatabaseEndpoint, { connections, name }: Pick<RunnerPool, "connections" | "name">) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const config = pgConfig({ endpoint, name: `chat-backend ${name} worker`, statementMillis: 8_000, silenceMillis: 10_000 })
      const pool = new pg.Pool({
        ...config,
        max: connections,
        // A lost job is announced again, so its bookkeeping need not wait for the disk.
        options: `${config.options} -c synchronous_commit=off ${indexScans}`
      })
      // Without these listeners an idle connection that breaks would be an unhandled error and end the process.
      pool.on("error", () => {})
      pool.on("connect", (client) => {
        client.on("error", () => {})
        lookUpJobsById(client)
      })
      return pool
    }),
    // `end` waits for connections in use, and a connection that was cut off may stay in use for ever.
    (pool) => Effect.promise(() => pool.end()).pipe(Effect.timeoutOption("2 seconds"))
  )

/**
 * Tasks as graphile-worker calls them: a promise that rejects makes the queue retry the job. They are interrupted by
 * `signal`, when the process drains, and not by graphile-worker, which also does so when it loses Postgres: a reply in
 * progress goes on under its lease.
 */
export const makeTaskList = Effect.fnUntraced(function* (tasks: ReadonlyArray<Task>, signal: AbortSignal) {
  const runTask = Effect.runPromiseExitWith(yield* Effect.context<never>())
  // All jobs listen to the same signal, so more than Node's default of ten listeners is not a leak.
  setMaxListeners(0, signal)
  const runJob =
    ({ asksModel, interruptedIsDone, name, run }: Task) =>
    (payload: unknown) => {
      // Those that ask the model know which trace they continue.
      const job = asksModel === true ? run(payload) : jobSpan(name, name, undefined)(run(payload))
      return runTask(job, { signal }).then((exit) => {
        if (Exit.isSuccess(exit) || (interruptedIsDone === true && Cause.hasInterruptsOnly(exit.cause))) return
        throw Cause.squash(exit.cause)
      })
    }
  return Object.fromEntries(tasks.map((task) => [task.name, runJob(task)])) satisfies TaskList
})

/** Starts graphile-worker on connections of its own for as long as the scope lasts; closing the scope lets running jobs end. */
export const makeRunner = Effect.fnUntraced(function* (
  { concurrency, connections, name, tasks }: RunnerPool,
  signal: AbortSignal
) {
  const { databaseDirect } = yield* AppConfig
  const taskList = yield* makeTaskList(tasks, signal)
  const logger = yield* makeLogger
  const crons = tasks.flatMap(({ cron, name }) =>
    cron === undefined ? [] : [{ task: name, match: cron, identifier: name, options: { jobKey: name } }]
  )

  const lockIds = new Set<string>()
  const shuttingDown = yield* Deferred.make<void>()
  const events: WorkerEvents = new EventEmitter()
  // Jobs are locked by the id of a pool of workers, not by the id of a worker.
  events.on("pool:create", ({ workerPool }) => lockIds.add(workerPool.id))
  events.on("pool:gracefulShutdown", () => Deferred.doneUnsafe(shuttingDown, Effect.void))

  const fetchingFault = fetchForIdleSlots(events)

  const pool = yield* makePool(databaseDirect, { connections, name })
  yield* observedPool({
    pool: `${name} worker`,
    maximum: connections,
    open: () => pool.totalCount,
    used: () => pool.totalCount - pool.idleCount,
    waiting: () => pool.waitingCount
  })
  const starting = yield* Effect.acquireRelease(
    Effect.sync(() =>
      run({
        pgPool: pool,
        taskList,
        events,
        logger,
        concurrency,
        // New jobs are notified; polling finds those whose time has come.
        pollInterval: pollMillis,
        noHandleSignals: true,
        parsedCronItems: parseCronItems(crons),
        preset: {
          worker: {
            // With the default delay `stop` returns before the last acknowledgement, and the jobs stay locked.
            localQueue: { size: concurrency },
            completeJobBatchDelay: 0,
            failJobBatchDelay: 0,
            gracefulShutdownAbortTimeout: drainMillis
          }
        }
      })
    ),
    (starting) =>
      Effect.promise(() => starting.then((runner) => runner.stop()).catch(() => undefined)).pipe(
        Effect.timeoutOption(drainMillis + 3_000)
      )
  )
  const runner = yield* Effect.tryPromise(() => starting)
  const fault = fetchingFault()
  if (fault !== undefined) return yield* fault
  // The promise resolves, not rejects, when the connections die. If Postgres is gone at an acknowledgement, the queue
  // shuts down and the promise may never settle.
  const settled = Effect.promise(() => runner.promise.catch(() => undefined))

  return {
    lockIds: () => [...lockIds],
    ended: Effect.raceFirst(settled, Deferred.await(shuttingDown)),
    ping: Effect.tryPromise(() => pool.query("select 1"))
  } satisfies Runner
})
