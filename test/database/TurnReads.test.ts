import { it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { assert, describe } from "vitest"
import { makeTurnReads } from "../../src/database/TurnReads.ts"

/** Reads that remember the keys of each statement; the row of a key is its length, and the empty key has none. */
const makeReads = Effect.gen(function* () {
  const statements: Array<ReadonlyArray<string>> = []
  const read = yield* makeTurnReads((keys) =>
    Effect.sync(() => {
      statements.push(keys)
      return new Map(keys.filter((key) => key !== "").map((key) => [key, key.length]))
    })
  )
  return { read, statements }
})

describe("reads of one turn of the event loop", () => {
  it.live("share a statement, in which each key is once", () =>
    Effect.gen(function* () {
      const { read, statements } = yield* makeReads
      const rows = yield* Effect.all(["a", "bb", "a", ""].map(read), { concurrency: "unbounded" })
      assert.deepStrictEqual(rows, [1, 2, 1, undefined])
      assert.deepStrictEqual(statements, [["a", "bb", ""]])
    })
  )

  it.live("do not share the statement of an earlier turn", () =>
    Effect.gen(function* () {
      const { read, statements } = yield* makeReads
      yield* read("a")
      yield* read("a")
      assert.deepStrictEqual(statements, [["a"], ["a"]])
    })
  )

  it.live("all fail when their statement does, and the next turn's do not", () =>
    Effect.gen(function* () {
      let isAway = true
      const read = yield* makeTurnReads((keys) =>
        Effect.suspend(() => (isAway ? Effect.fail("away") : Effect.succeed(new Map(keys.map((key) => [key, key.length])))))
      )
      const failures = yield* Effect.all(
        ["a", "bb"].map((key) => Effect.flip(read(key))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(failures, ["away", "away"])
      isAway = false
      assert.strictEqual(yield* read("bb"), 2)
    })
  )

  it.live("are made for the others when one of them is interrupted", () =>
    Effect.gen(function* () {
      const { read, statements } = yield* makeReads
      const interrupted = yield* Effect.forkChild(read("a"), { startImmediately: true })
      const other = yield* Effect.forkChild(read("bb"), { startImmediately: true })
      interrupted.interruptUnsafe()
      assert.strictEqual(yield* Fiber.join(other), 2)
      assert.deepStrictEqual(statements, [["a", "bb"]])
    })
  )
})
