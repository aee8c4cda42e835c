import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig } from "../../src/config/Settings.ts"
import { Models } from "../../src/models/Models.ts"
import { environment } from "../../src/ops/Launch.ts"
import { AttemptCalls } from "../../src/replies/AttemptCalls.ts"

const settings = environment({ APP_ENV: "test", DATABASE_URL: "postgres://nowhere/none", GEMINI_API_KEY: "x" })
const modelsLayer = Models.layer.pipe(Layer.provide(AppConfig.layer), Layer.provide(settings))

const model = "gemini-3.8-flash"
const beforeMidnight = Date.parse("2026-12-31T23:59:59.999Z")
const midnight = Date.parse("2027-01-01T00:00:00Z")
const usage = { promptTokens: 1_000, replyTokens: 200, thoughtTokens: 100, cachedTokens: 400, toolTokens: 50 }

describe("a price that changes at midnight", () => {
  it.effect("is the old one for a call that began before, and the new one for the next call of the same attempt", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(beforeMidnight)
      const { costOf } = yield* Models
      const calls = new AttemptCalls({ id: "reply", kind: "reply", attempt: 1, model, tier: "basic" }, 10)
      calls.begin(yield* Clock.currentTimeMillis)
      // The answer comes after midnight.
      yield* TestClock.setTime(midnight)
      calls.observe({ text: "Yes.", modelVersion: model, usage })
      calls.begin(yield* Clock.currentTimeMillis)
      calls.observe({ text: "Yes.", modelVersion: model, usage })
      // 650 tokens at 0.75, 400 at 0.075, 300 at 3.75, which are twice as dear from midnight on.
      assert.deepStrictEqual(
        calls.rows(costOf).map(({ cost_micros, is_priced }) => [cost_micros, is_priced]),
        [
          [1_643, true],
          [3_285, true]
        ]
      )
    }).pipe(Effect.provide(modelsLayer))
  )

  it.effect("is the one at its moment in what a question reserves and in the list", () =>
    Effect.gen(function* () {
      const { list, settle } = yield* Models
      const room = { model: null, temperature: null, thinking: { level: null, summaries: false }, tools: [] }
      for (const [time, input, output] of [
        [beforeMidnight, 0.75, 3.75],
        [midnight, 1.5, 7.5]
      ] as const) {
        yield* TestClock.setTime(time)
        const { price } = yield* settle({}, room, "basic")
        assert.deepStrictEqual([price?.input, price?.output], [input, output])
        const [listed] = yield* list("basic")
        assert.deepStrictEqual([listed?.price?.input, listed?.price?.output], [input, output])
      }
    }).pipe(Effect.provide(modelsLayer))
  )
})
