import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { assert, describe, it } from "vitest"
import { makeNotifiedCache, type NotifiedCache } from "../../src/database/NotifiedCache.ts"
import { Notifications } from "../../src/database/Notifications.ts"

interface Value {
  readonly text: string
}

/** A hub in the test's hand. */
const makeHub = () => {
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
      publishLocal: () => {}
    }),
    notify: (topic: string) => {
      for (const handler of handlers) handler(topic)
    },
    turn: (up: boolean) => {
      connected = up
      for (const reset of resets) reset()
    },
    subscribers: () => handlers.size + resets.size
  }
}

/** Runs a test with a cache, and closes it. */
const withCache =
  (
    test: (cache: NotifiedCache<Value>, hub: ReturnType<typeof makeHub>) => Effect.Effect<void>,
    options: { maxSize?: number; ttl?: number } = {}
  ) =>
  async () => {
    const hub = makeHub()
    const scope = Scope.makeUnsafe()
    const cache = await Effect.runPromise(
      Scope.provide(
        makeNotifiedCache<Value>({
          notifications: hub.service,
          kind: "sessions",
          maxSize: 1_000,
          size: ({ text }) => text.length,
          ttl: 60_000,
          ...options
        }),
        scope
      )
    )
    assert.strictEqual(hub.subscribers(), 2)
    await Effect.runPromise(test(cache, hub))
    await Effect.runPromise(Scope.close(scope, Exit.void))
    assert.strictEqual(hub.subscribers(), 0)
  }

const loads = (text: string) => Effect.succeed({ text })

describe("a notified cache", () => {
  it(
    "keeps what a fill gave",
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
    "forgets what changed, and nothing else",
    withCache((cache, hub) =>
      Effect.gen(function* () {
        yield* cache.fill("a", loads("1"))
        yield* cache.fill("b", loads("2"))
        hub.notify("others:a")
        hub.notify("sessions:ab")
        assert.deepStrictEqual(cache.peek("a"), { text: "1" })
        hub.notify("sessions:a")
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(cache.peek("b"), { text: "2" })
      })
    )
  )

  it(
    "gives a fill that began before a change to its caller, and does not keep it",
    withCache((cache, hub) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<Value>()
        const filling = yield* Effect.forkChild(cache.fill("a", Deferred.await(gate)), { startImmediately: true })
        const other = yield* Effect.forkChild(cache.fill("b", Deferred.await(gate)), { startImmediately: true })
        hub.notify("sessions:a")
        yield* Deferred.succeed(gate, { text: "old" })
        assert.deepStrictEqual((yield* Fiber.join(filling)).value, { text: "old" })
        yield* Fiber.join(other)
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(cache.peek("b"), { text: "old" })
      })
    )
  )

  it(
    "keeps the fill that began after the change, whichever ends first",
    withCache((cache, hub) =>
      Effect.gen(function* () {
        for (const order of ["old first", "new first"]) {
          hub.notify("sessions:a")
          const [older, newer] = [yield* Deferred.make<Value>(), yield* Deferred.make<Value>()]
          const one = yield* Effect.forkChild(cache.fill("a", Deferred.await(older)), { startImmediately: true })
          hub.notify("sessions:a")
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
    "keeps nothing of a fill that outlived the listener, though it is back",
    withCache((cache, hub) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<Value>()
        const filling = yield* Effect.forkChild(cache.fill("a", Deferred.await(gate)), { startImmediately: true })
        hub.turn(false)
        hub.turn(true)
        yield* Deferred.succeed(gate, { text: "old" })
        yield* Fiber.join(filling)
        assert.isUndefined(cache.peek("a"))
      })
    )
  )

  it(
    "is empty and bypassed while the listener is down, and cold when it is back",
    withCache((cache, hub) =>
      Effect.gen(function* () {
        yield* cache.fill("a", loads("1"))
        hub.turn(false)
        assert.isUndefined(cache.peek("a"))
        assert.deepStrictEqual(yield* cache.fill("a", loads("2")), { value: { text: "2" }, from: "bypass" })
        assert.isUndefined(cache.peek("a"))
        // Begun while it was down: what changed since then is unknown.
        const gate = yield* Deferred.make<Value>()
        const filling = yield* Effect.forkChild(cache.fill("a", Deferred.await(gate)), { startImmediately: true })
        hub.turn(true)
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
    "is not harmed by fills that fail or are interrupted",
    withCache((cache, hub) =>
      Effect.gen(function* () {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(cache.fill("a", Effect.fail("no")))))
        yield* Effect.timeoutOption(cache.fill("a", Effect.never), 5)
        hub.notify("sessions:a")
        yield* cache.fill("a", loads("1"))
        assert.deepStrictEqual(cache.peek("a"), { text: "1" })
      })
    )
  )

  it(
    "keeps no more than its size, the latest used",
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
    "keeps nothing for longer than its time to live",
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
