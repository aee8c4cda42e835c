import { Context, Effect, Layer, Metric } from "effect"
import { SqlClient } from "effect/sql"
import type { QueueCounts } from "../api/ops/QueueCounts.ts"
import { replyTask } from "./Announcer.ts"

const priorities = ["pro", "basic", "background"] as const
type Priority = (typeof priorities)[number]

interface Row {
  readonly task: string
  readonly priority: Priority
  readonly ready: number
  readonly running: number
  readonly failed: number
  /** Not due yet, and failed ones that are retried later. */
  readonly waiting: number
  readonly oldest: number
}

const jobs = (task: string, state: string, priority: string) =>
  Metric.gauge("chat_queue_jobs", {
    description: "Jobs of the fleet's queue; those that wait are not due yet.",
    attributes: { task, state, priority }
  })
const oldest = (priority: Priority) =>
  Metric.gauge("chat_queue_oldest_seconds", {
    description: "How long the oldest ready job of the priority has been due.",
    attributes: { priority }
  })

const sum = (rows: ReadonlyArray<Row>, select: (row: Row) => number) => rows.reduce((total, row) => total + select(row), 0)
const countsOf = (rows: ReadonlyArray<Row>) => ({
  ready: sum(rows, (row) => row.ready),
  running: sum(rows, (row) => row.running),
  failed: sum(rows, (row) => row.failed)
})
const oldestOf = (rows: ReadonlyArray<Row>) => Math.max(0, ...rows.map((row) => row.oldest))
const waitsOf = (rows: ReadonlyArray<Row>) => {
  const { ready, running } = countsOf(rows)
  return { ready, running, oldestSeconds: oldestOf(rows) }
}

/** Counts the queue's jobs, for operators. */
export class QueueState extends Context.Service<
  QueueState,
  {
    readonly read: Effect.Effect<QueueCounts>
    /** Reads the queue into the metrics. */
    readonly measure: Effect.Effect<void>
  }
>()("chat-backend/queue/QueueState") {
  static readonly layer = Layer.effect(
    QueueState,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient

      const readRows = sql<Row>`
        select task_identifier as task,
          case when task_identifier <> ${replyTask} then 'background' when priority <= 0 then 'pro' else 'basic' end as priority,
          count(*) filter (where locked_at is null and run_at <= now() and attempts < max_attempts)::int as ready,
          count(*) filter (where locked_at is not null)::int as running,
          count(*) filter (where locked_at is null and last_error is not null)::int as failed,
          count(*) filter (where locked_at is null and run_at > now() and attempts < max_attempts)::int as waiting,
          coalesce(extract(epoch from now() - min(run_at)
            filter (where locked_at is null and run_at <= now() and attempts < max_attempts)), 0)::float8 as oldest
        from graphile_worker.jobs group by 1, 2
      `.pipe(Effect.orDie)

      const read = Effect.map(readRows, (rows) => {
        const byTask = Map.groupBy(rows, ({ task }) => task)
        return {
          ...countsOf(rows),
          oldestSeconds: oldestOf(rows),
          byTask: Object.fromEntries([...byTask].map(([task, rows]) => [task, countsOf(rows)])),
          byPriority: {
            pro: waitsOf(rows.filter(({ priority }) => priority === "pro")),
            basic: waitsOf(rows.filter(({ priority }) => priority === "basic")),
            background: waitsOf(rows.filter(({ priority }) => priority === "background"))
          }
        }
      })

      /** Every series seen so far: one whose last job is done is still there, at zero. */
      const series = new Map<string, { readonly task: string; readonly priority: Priority }>()
      const remember = (seen: { readonly task: string; readonly priority: Priority }) =>
        series.set(`${seen.task} ${seen.priority}`, { task: seen.task, priority: seen.priority })
      for (const priority of ["pro", "basic"] as const) remember({ task: replyTask, priority })
      const registry = yield* Metric.MetricRegistry
      const measure = Effect.gen(function* () {
        const rows = yield* readRows
        for (const row of rows) remember(row)
        for (const { priority, task } of series.values()) {
          const own = rows.filter((row) => row.task === task && row.priority === priority)
          const counts = { ...countsOf(own), waiting: sum(own, (row) => row.waiting) }
          for (const [state, count] of Object.entries(counts)) yield* Metric.update(jobs(task, state, priority), count)
        }
        for (const priority of priorities) {
          yield* Metric.update(oldest(priority), oldestOf(rows.filter((row) => row.priority === priority)))
        }
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))

      return QueueState.of({ read, measure })
    })
  )
}
