import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { assert, describe, it } from "vitest"
import { makeNotifiedCache, type NotifiedCache } from "../../src/database/NotifiedCache.ts"
import { Notifications } from "../../src/database/Notifications.ts"

interface Value {
  readonly text: string
}

/** Notifications that the test sends and resets. */
const makeNotifications = () => {
  const handlers = new Set<(topic: string) => void>()
  const resets = new Set<() => void>()
  let connected = true
  const set = <A>(items: Set<A>, item: A) =>
    Effect.acquireRelease(
      Effect.sync(() => void items.add(item)),
      () => Effect.sync(() => void items.delete(item))
    )
  return {
    service: Notifications.of({
      connected: () => connected,
      onKind: (kind, handler) => set(handlers, (topic) => topic.startsWith(`${kind}:`) && handler(topic.slice(kind.length + 1))),
      onReset: (handler) => set(resets, handler),
      once: () => Effect.never,
      waiting: () => 0,
      publishLocal: () => {}
    }),
    notify: (topic: string) => {
      for (const handler of handlers) handler(topic)
    },
    setConnected: (up: boolean) => {
      connected = up
      for (const reset of resets) reset()
    },
    subscribers: () => handlers.size + resets.size
  }
}

/** Runs a test with a cache, closes it, and checks that it has unsubscribed. */
const withCache =
  (
    test: (cache: NotifiedCache<Value>, notifications: ReturnType<typeof makeNotifications>) => Effect.Effect<void>,
    options: { maxSize?: number; ttl?: number } = {}
  ) =>
  async () => {
    const notifications = makeNotifications()
    const scope = Scope.makeUnsafe()
    const cache = await Effect.runPromise(
      Scope.provide(
        makeNotifiedCache<Value>({
          notifications: notifications.service,
          kind: "sessions",
          maxSize: 1_000,
          size: ({ text }) => text.length,
          ttl: 60_000,
          ...options
        }),
        scope
      )
    )
    assert.strictEqual(notifications.subscribers(), 2)
    await Effect.runPromise(test(cache, notifications))
    await Effect.runPromise(Scope.close(scope, Exit.void))
    assert.strictEqual(notifications.subscribers(), 0)
  }

const loads = (text: string) => Effect.succeed({ text })

describe("a notified cache", () => {
  it(
    "caches the value of a fill",
    withCache((cache) =>
      Effect.gen(function* () {
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(yield* cache.fill("a", loads("1")), { value: { text: "1" }, from: "miss" })
        assert.deepStrictEqual(cache.peek("a"), { text: "1" })
        assert.isUndefined(cache.peek("b"))
      })
    )
  )

  it(
    "invalidates the notified key alone",
    withCache((cache, notifications) =>
      Effect.gen(function* () {
        yield* cache.fill("a", loads("1"))
        yield* cache.fill("b", loads("2"))
        notifications.notify("others:a")
        notifications.notify("sessions:ab")
        assert.deepStrictEqual(cache.peek("a"), { text: "1" })
        notifications.notify("sessions:a")
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(cache.peek("b"), { text: "2" })
      })
    )
  )

  it(
    "returns but does not cache a fill that began before an invalidation",
    withCache((cache, notifications) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<Value>()
        const filling = yield* Effect.forkChild(cache.fill("a", Deferred.await(gate)), { startImmediately: true })
        const other = yield* Effect.forkChild(cache.fill("b", Deferred.await(gate)), { startImmediately: true })
        notifications.notify("sessions:a")
        yield* Deferred.succeed(gate, { text: "old" })
        assert.deepStrictEqual((yield* Fiber.join(filling)).value, { text: "old" })
        yield* Fiber.join(other)
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(cache.peek("b"), { text: "old" })
      })
    )
  )

  it(
    "caches the fill that began after the invalidation, whichever ends first",
    withCache((cache, notifications) =>
      Effect.gen(function* () {
        for (const order of ["old first", "new first"]) {
          notifications.notify("sessions:a")
          const [older, newer] = [yield* Deferred.make<Value>(), yield* Deferred.make<Value>()]
          const one = yield* Effect.forkChild(cache.fill("a", Deferred.await(older)), { startImmediately: true })
          notifications.notify("sessions:a")
          const two = yield* Effect.forkChild(cache.fill("a", Deferred.await(newer)), { startImmediately: true })
          const ends = [
            Deferred.succeed(older, { text: "old" }).pipe(Effect.andThen(Fiber.join(one))),
            Deferred.succeed(newer, { text: "new" }).pipe(Effect.andThen(Fiber.join(two)))
          ]
          yield* Effect.all(order === "old first" ? ends : ends.toReversed())
          assert.deepStrictEqual(cache.peek("a"), { text: "new" }, order)
        }
      })
    )
  )

  it(
    "does not cache a fill during which the listener was lost, even if it is back",
    withCache((cache, notifications) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<Value>()
        const filling = yield* Effect.forkChild(cache.fill("a", Deferred.await(gate)), { startImmediately: true })
        notifications.setConnected(false)
        notifications.setConnected(true)
        yield* Deferred.succeed(gate, { text: "old" })
        yield* Fiber.join(filling)
        assert.isUndefined(cache.peek("a"))
      })
    )
  )

  it(
    "is bypassed while the listener is down, and empty when it is back",
    withCache((cache, notifications) =>
      Effect.gen(function* () {
        yield* cache.fill("a", loads("1"))
        notifications.setConnected(false)
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(yield* cache.fill("a", loads("2")), { value: { text: "2" }, from: "bypass" })
        assert.isUndefined(cache.peek("a"))
        // Begun while it was down, when changes were not notified.
        const gate = yield* Deferred.make<Value>()
        const filling = yield* Effect.forkChild(cache.fill("a", Deferred.await(gate)), { startImmediately: true })
        notifications.setConnected(true)
        assert.isUndefined(cache.peek("a"))
        yield* Deferred.succeed(gate, { text: "3" })
        yield* Fiber.join(filling)
        assert.isUndefined(cache.peek("a"))
        yield* cache.fill("a", loads("4"))
        assert.deepStrictEqual(cache.peek("a"), { text: "4" })
      })
    )
  )

  it(
    "works on after fills that fail or are interrupted",
    withCache((cache, notifications) =>
      Effect.gen(function* () {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(cache.fill("a", Effect.fail("no")))))
        yield* Effect.timeoutOption(cache.fill("a", Effect.never), 5)
        notifications.notify("sessions:a")
        yield* cache.fill("a", loads("1"))
        assert.deepStrictEqual(cache.peek("a"), { text: "1" })
      })
    )
  )

  it(
    "evicts the least recently used value above its size",
    withCache((cache) =>
      Effect.gen(function* () {
        for (const key of ["a", "b", "c"]) yield* cache.fill(key, loads("x".repeat(300)))
        cache.peek("a")
        yield* cache.fill("d", loads("x".repeat(300)))
        assert.isUndefined(cache.peek("b"))
        assert.isDefined(cache.peek("a"))
        yield* cache.fill("huge", loads("x".repeat(5_000)))
        assert.isUndefined(cache.peek("huge"))
        assert.isDefined(cache.peek("d"))
      })
    )
  )

  it(
    "expires a value after its time to live",
    withCache(
      (cache) =>
        Effect.gen(function* () {
          yield* cache.fill("a", loads("1"))
          yield* Effect.sleep(80)
          assert.isUndefined(cache.peek("a"))
        }),
      { ttl: 50 }
    )
  )
})
