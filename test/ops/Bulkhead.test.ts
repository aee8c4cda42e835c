import { it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { assert, describe } from "vitest"
import { type Bulkhead, BulkheadFull, makeBulkhead, untilDisconnected } from "../../src/ops/Bulkhead.ts"
import { CurrentSlot, type RequestSlot } from "../../src/ops/RequestSlot.ts"

const options = { permits: 2, waiting: 2, maxWait: "3 seconds" } as const

/** Holds a permit until interrupted, after noting that it has it. */
const hold = (bulkhead: Bulkhead, log: Array<string>, key: string, name: string) =>
  Effect.forkChild(
    bulkhead.run(
      key,
      Effect.andThen(
        Effect.sync(() => log.push(name)),
        Effect.never
      )
    ),
    { startImmediately: true }
  )

const isFull = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) && exit.cause.reasons.some((reason) => reason._tag === "Fail" && reason.error instanceof BulkheadFull)

/** A slot that notes what happens to it, and whose client disconnects when told. */
const slotWith = (log: Array<string>, disconnected: Effect.Effect<void>): RequestSlot => ({
  move: (to) => log.push(to) > 0,
  reacquire: () => void log.push("working"),
  hasManyBodies: () => false,
  receive: () => {},
  resume: Effect.succeed(true),
  disconnected
})

describe("Bulkhead", () => {
  it.effect("runs two operations of a key at once and admits waiting ones in order of arrival", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const bulkhead = makeBulkhead(options)
      const [first, second] = yield* Effect.forEach(["a", "b", "c", "d"], (name) => hold(bulkhead, log, "one", name))
      assert.deepStrictEqual(log, ["a", "b"])
      yield* hold(bulkhead, log, "other", "x")
      assert.deepStrictEqual(log, ["a", "b", "x"])
      assert.isDefined(first)
      assert.isDefined(second)
      yield* Fiber.interrupt(second)
      yield* Effect.yieldNow
      assert.deepStrictEqual(log, ["a", "b", "x", "c"])
      yield* Fiber.interrupt(first)
      yield* Effect.yieldNow
      assert.deepStrictEqual(log, ["a", "b", "x", "c", "d"])
    })
  )

  it.effect("fails at once when too many operations wait, and after the longest wait", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const bulkhead = makeBulkhead(options)
      yield* Effect.forEach(["a", "b"], (name) => hold(bulkhead, log, "one", name))
      const waiters = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(Effect.exit(bulkhead.run("one", Effect.void)), { startImmediately: true })
      )
      assert.isTrue(isFull(yield* Effect.exit(bulkhead.run("one", Effect.void))))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(waiters[0]?.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      for (const waiter of waiters) assert.isTrue(isFull(yield* Fiber.join(waiter)))
      // Those that gave up have left their places.
      yield* Effect.forkChild(bulkhead.run("one", Effect.void), { startImmediately: true })
    })
  )

  it.effect("waits without a working slot, and leaves when the client disconnects", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const bulkhead = makeBulkhead({ ...options, permits: 1 })
      const gone = yield* Deferred.make<void>()
      const slot = slotWith(log, Deferred.await(gone))
      const first = yield* hold(bulkhead, log, "one", "first")
      const waiter = yield* Effect.forkChild(
        Effect.exit(bulkhead.run("one", Effect.void).pipe(Effect.provideService(CurrentSlot, slot))),
        { startImmediately: true }
      )
      assert.deepStrictEqual(log, ["first", "waiting"])
      yield* Deferred.succeed(gone, undefined)
      assert.isTrue(isFull(yield* Fiber.join(waiter)))
      assert.deepStrictEqual(log, ["first", "waiting", "working"])
      yield* Fiber.interrupt(first)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(bulkhead.run("one", Effect.void))))
    })
  )
})

describe("untilDisconnected", () => {
  it.effect("interrupts the read when the client disconnects", () =>
    Effect.gen(function* () {
      const gone = yield* Deferred.make<void>()
      let isInterrupted = false
      const read = Effect.never.pipe(Effect.onInterrupt(() => Effect.sync(() => (isInterrupted = true))))
      const slot = slotWith([], Deferred.await(gone))
      const reading = yield* Effect.forkChild(
        Effect.exit(untilDisconnected(read).pipe(Effect.provideService(CurrentSlot, slot))),
        {
          startImmediately: true
        }
      )
      yield* Deferred.succeed(gone, undefined)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.join(reading)))
      assert.isTrue(isInterrupted)
    })
  )
})
