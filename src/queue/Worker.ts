import { Context, Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { processId } from "./ProcessId.ts"
import { makeRunner, type Runner } from "./Runner.ts"

/** The state of this process's worker; undefined in a process without one. */
export class WorkerHealth extends Context.Service<
  WorkerHealth,
  { readonly status: () => "ok" | "failed" | "draining" | undefined }
>()("chat-backend/queue/WorkerHealth") {
  static readonly layerNone = Layer.succeed(WorkerHealth, { status: () => undefined })
}

/** Ends the process when the runner ends too early, so that a new process takes over. */
const watchForEarlyEnd = ({ ended }: Runner, onEnd: () => void) =>
  ended.pipe(
    Effect.andThen(Effect.sync(onEnd)),
    Effect.andThen(Effect.logFatal("The queue's worker ended by itself; leaving so that a new process takes over")),
    Effect.andThen(
      Effect.sync(() => {
        // The process drains as on a signal but exits as a failure, because a supervisor may restart failures alone.
        process.exitCode = 1
        process.kill(process.pid, "SIGTERM")
      })
    ),
    Effect.forkScoped
  )

/** Records every ten seconds that this process is alive and which locks it holds, so that the reaper can unlock the jobs of dead ones. */
const heartbeat = Effect.fnUntraced(function* ({ lockIds }: Runner) {
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

/** The queue's worker: drained when the layer closes, fatal to the process when it ends by itself. */
export const WorkerLayer = Layer.effect(
  WorkerHealth,
  Effect.gen(function* () {
    let status: "ok" | "failed" | "draining" = "ok"
    const runner = yield* makeRunner
    yield* Effect.addFinalizer(() => Effect.sync(() => void (status = "draining")))
    yield* watchForEarlyEnd(runner, () => (status = "failed"))
    yield* heartbeat(runner)
    return WorkerHealth.of({ status: () => status })
  })
)
