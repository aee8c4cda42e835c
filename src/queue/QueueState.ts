import { Context, Effect, Layer, Metric } from "effect"
import { SqlClient } from "effect/sql"
import type { QueueCounts } from "../api/ops/QueueCounts.ts"
import { replyTask } from "./Announcer.ts"

interface Row {
  readonly task: string
  readonly ready: number
  readonly running: number
  readonly failed: number
  readonly oldest: number
}

const jobs = (task: string, state: string) =>
  Metric.gauge("chat_queue_jobs", { description: "Jobs of the fleet's queue.", attributes: { task, state } })
const oldest = Metric.gauge("chat_queue_oldest_seconds", { description: "How long the oldest ready job has been due." })

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

      const read = Effect.gen(function* () {
        const rows = yield* sql<Row>`
          select task_identifier as task,
            count(*) filter (where locked_at is null and run_at <= now() and attempts < max_attempts)::int as ready,
            count(*) filter (where locked_at is not null)::int as running,
            count(*) filter (where locked_at is null and last_error is not null)::int as failed,
            coalesce(extract(epoch from now() - min(run_at)
              filter (where locked_at is null and run_at <= now() and attempts < max_attempts)), 0)::float8 as oldest
          from graphile_worker.jobs group by task_identifier
        `
        const sum = (select: (row: Row) => number) => rows.reduce((total, row) => total + select(row), 0)
        return {
          ready: sum((row) => row.ready),
          running: sum((row) => row.running),
          failed: sum((row) => row.failed),
          oldestSeconds: Math.max(0, ...rows.map((row) => row.oldest)),
          byTask: Object.fromEntries(rows.map(({ failed, ready, running, task }) => [task, { ready, running, failed }]))
        }
      }).pipe(Effect.orDie)

      const tasks = new Set<string>([replyTask])
      const registry = yield* Metric.MetricRegistry
      const measure = Effect.gen(function* () {
        const { byTask, oldestSeconds } = yield* read
        for (const task of Object.keys(byTask)) tasks.add(task)
        for (const task of tasks) {
          // A task whose last job is done still has its series, at zero.
          const { failed, ready, running } = byTask[task] ?? { ready: 0, running: 0, failed: 0 }
          for (const [state, count] of Object.entries({ ready, running, failed })) yield* Metric.update(jobs(task, state), count)
        }
        yield* Metric.update(oldest, oldestSeconds)
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))

      return QueueState.of({ read, measure })
    })
  )
}
