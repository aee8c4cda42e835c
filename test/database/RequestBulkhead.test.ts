import { it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { assert, describe } from "vitest"
import { DatabaseBusy, makeBulkhead } from "../../src/database/RequestBulkhead.ts"

const hasDied = (exit: Exit.Exit<unknown>) =>
  Exit.isFailure(exit) && exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect instanceof DatabaseBusy)

/** Takes a permit and keeps it until interrupted, after noting that it has it. */
const holder = (bulkhead: ReturnType<typeof makeBulkhead>, log: Array<string>, name: string) =>
  Effect.forkChild(
    Effect.scoped(
      Effect.andThen(
        bulkhead,
        Effect.andThen(
          Effect.sync(() => log.push(name)),
          Effect.never
        )
      )
    ),
    { startImmediately: true }
  )

describe("the bulkhead of request connections", () => {
  it.effect("admits waiting requests in order of arrival", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const bulkhead = makeBulkhead(2)
      const [a, b, c, d] = yield* Effect.forEach(["a", "b", "c", "d"], (name) => holder(bulkhead, log, name))
      assert.isDefined(a)
      assert.isDefined(b)
      assert.isDefined(c)
      assert.isDefined(d)
      assert.deepStrictEqual(log, ["a", "b"])
      yield* Fiber.interrupt(b)
      yield* Effect.yieldNow
      assert.deepStrictEqual(log, ["a", "b", "c"])
      yield* Fiber.interrupt(a)
      yield* Effect.yieldNow
      assert.deepStrictEqual(log, ["a", "b", "c", "d"])
      yield* Fiber.interruptAll([c, d])
    })
  )

  it.effect("fails with DatabaseBusy after three seconds", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const bulkhead = makeBulkhead(1)
      const first = yield* holder(bulkhead, log, "first")
      const second = yield* Effect.forkChild(Effect.exit(Effect.scoped(bulkhead)), { startImmediately: true })
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(hasDied(yield* Fiber.join(second)))
      yield* Fiber.interrupt(first)
    })
  )

  it.effect("passes the permit on when a waiting request is interrupted as its turn comes, or has timed out", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const bulkhead = makeBulkhead(1)
      const first = yield* holder(bulkhead, log, "first")
      const late = yield* Effect.forkChild(Effect.exit(Effect.scoped(bulkhead)), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(late)
      const gone = yield* holder(bulkhead, log, "gone")
      const next = yield* holder(bulkhead, log, "next")
      // Both in one turn: `gone` may have been woken by then.
      yield* Effect.all([Fiber.interrupt(first), Fiber.interrupt(gone)], { concurrency: "unbounded" })
      yield* Effect.yieldNow
      assert.deepStrictEqual(log.at(-1), "next")
      yield* Fiber.interrupt(next)
      yield* Effect.scoped(bulkhead)
    })
  )
})
