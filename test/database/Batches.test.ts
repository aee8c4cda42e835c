import { it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { assert, describe } from "vitest"
import { makeBatches } from "../../src/database/Batches.ts"

interface Change {
  readonly userId: string
  readonly name: string
}

/** All users whose id ends alike share a lane. */
const change = (name: string): Change => ({ userId: "00000000-0000-4000-8000-000000000000", name })

/** Makes changes that wait for `gate` and end by their name: `bad` fails its transaction, `locked` has no result at once. */
const setUp = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  const transactions: Array<string> = []
  const batches = yield* makeBatches<Change, string, string>((changes, waits) =>
    Effect.gen(function* () {
      transactions.push(changes.map(({ name }) => name).join("+"))
      yield* Deferred.await(gate)
      if (changes.some(({ name }) => name === "bad")) return yield* Effect.fail("bad")
      if (changes.some(({ name }) => name === "away")) return yield* Effect.fail("the connection is closed")
      return changes.map(({ name }) => (name === "locked" && !waits ? undefined : `${name} made`))
    })
  )
  const start = (name: string) => Effect.forkChild(Effect.exit(batches(change(name))), { startImmediately: true })
  const open = Deferred.succeed(gate, undefined)
  return { transactions, start, open }
})

describe("changes in batches", () => {
  it.effect("makes the first one at once, and those that come meanwhile in one transaction", () =>
    Effect.gen(function* () {
      const { open, start, transactions } = yield* setUp
      const fibers = yield* Effect.forEach(["a", "b", "c", "d"], start)
      assert.deepStrictEqual(transactions, ["a"])
      yield* open
      const exits = yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(exits, ["a made", "b made", "c made", "d made"].map(Exit.succeed))
      assert.deepStrictEqual(transactions, ["a", "b+c+d"])
    })
  )

  it.effect("fails a bad one alone", () =>
    Effect.gen(function* () {
      const { open, start, transactions } = yield* setUp
      const fibers = yield* Effect.forEach(["a", "b", "bad", "c"], start)
      yield* open
      const exits = yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(exits, [Exit.succeed("a made"), Exit.succeed("b made"), Exit.fail("bad"), Exit.succeed("c made")])
      assert.deepStrictEqual(transactions, ["a", "b+bad+c", "b", "bad", "c"])
    })
  )

  it.effect("makes none again when the connection was lost, because they may be committed", () =>
    Effect.gen(function* () {
      const { open, start, transactions } = yield* setUp
      const fibers = yield* Effect.forEach(["a", "b", "away"], start)
      yield* open
      const exits = yield* Fiber.joinAll(fibers)
      const lost = Exit.fail("the connection is closed")
      assert.deepStrictEqual(exits, [Exit.succeed("a made"), lost, lost])
      assert.deepStrictEqual(transactions, ["a", "b+away"])
    })
  )

  it.effect("makes one without a result alone, beside the next batch", () =>
    Effect.gen(function* () {
      const { open, start, transactions } = yield* setUp
      const fibers = yield* Effect.forEach(["locked", "b", "locked", "c"], start)
      yield* open
      const exits = yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(exits, ["locked made", "b made", "locked made", "c made"].map(Exit.succeed))
      assert.deepStrictEqual(transactions.toSorted(), ["b+locked+c", "locked", "locked", "locked"])
    })
  )

  it.effect("makes no change whose waiting caller was interrupted, and goes on when the first one was", () =>
    Effect.gen(function* () {
      const { open, start, transactions } = yield* setUp
      const [first, second, third] = yield* Effect.forEach(["a", "b", "c"], start)
      assert.isDefined(first)
      assert.isDefined(second)
      assert.isDefined(third)
      yield* Fiber.interrupt(second)
      yield* Fiber.interrupt(first)
      yield* open
      assert.deepStrictEqual(yield* Fiber.join(third), Exit.succeed("c made"))
      assert.deepStrictEqual(transactions, ["a", "c"])
    })
  )
})
