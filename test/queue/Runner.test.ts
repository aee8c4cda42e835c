import { it } from "@effect/vitest"
import { Effect } from "effect"
import { assert, describe } from "vitest"
import { makeTaskList } from "../../src/queue/Runner.ts"
import type { Task } from "../../src/queue/Tasks.ts"

/** Runs the task as graphile-worker does; returns whether the job counts as done, or why it failed. */
const runJob = (task: Pick<Task, "run" | "interruptedIsDone">, signal = new AbortController().signal) =>
  Effect.gen(function* () {
    const { job } = yield* makeTaskList([{ ...task, name: "job" }], signal)
    assert.isDefined(job)
    return yield* Effect.promise(() =>
      job({}).then(
        () => "done",
        (error: unknown) => String(error)
      )
    )
  })

describe("a task of the queue", () => {
  it.effect("completes its job when it succeeds", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* runJob({ run: () => Effect.void }), "done")
    })
  )

  it.effect("fails its job with its own error", () =>
    Effect.gen(function* () {
      for (const interruptedIsDone of [true, false]) {
        assert.strictEqual(yield* runJob({ run: () => Effect.fail("no"), interruptedIsDone }), "no")
        assert.strictEqual(yield* runJob({ run: () => Effect.die("never"), interruptedIsDone }), "never")
      }
    })
  )

  it.effect("completes an interrupted job only if it says that interrupted is done", () =>
    Effect.gen(function* () {
      const run = () => Effect.never
      assert.strictEqual(yield* runJob({ run, interruptedIsDone: true }, AbortSignal.abort()), "done")
      assert.notStrictEqual(yield* runJob({ run, interruptedIsDone: false }, AbortSignal.abort()), "done")
      assert.notStrictEqual(yield* runJob({ run }, AbortSignal.abort()), "done")
    })
  )
})
