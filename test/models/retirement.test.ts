import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { AppConfig } from "../../src/config/Settings.ts"
import type { Model } from "../../src/config/Models.ts"
import { Models } from "../../src/models/Models.ts"
import { environment } from "../../src/ops/Launch.ts"
import { request } from "../support/Client.ts"
import { plainModel } from "../support/Models.ts"
import { startBackends } from "../support/TestBackends.ts"

const catalogue = (changes: Partial<Model>) =>
  JSON.stringify([
    plainModel("gemini-old", { default: true, ...changes }),
    plainModel("gemini-new", { prices: [{ from: "2026-01-01", input: 1, cached: 1, output: 1 }] })
  ])
const replaced = catalogue({ retiresAt: "2027-01-31", replacement: "gemini-new" })

/** The service as a process has it that starts at the time, and what it logs. */
const startedAt = (time: string, models: string) => {
  const lines: Array<string> = []
  const log = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  const settings = environment({ APP_ENV: "test", DATABASE_URL: "postgres://nowhere/none", GEMINI_API_KEY: "x", MODELS: models })
  const layer = Models.layer.pipe(Layer.provide(AppConfig.layer), Layer.provide(settings), Layer.provideMerge(log))
  return { lines, layer, setTime: TestClock.setTime(Date.parse(time)) }
}

describe("a default model that retires", () => {
  for (const [time, isReported] of [
    ["2026-12-31T23:59:59.999Z", false],
    ["2027-01-01T00:00:00Z", true],
    ["2027-02-01T00:00:00Z", true]
  ] as const) {
    it.effect(`is ${isReported ? "reported" : "not reported"} at ${time}`, () => {
      const { layer, lines, setTime } = startedAt(time, replaced)
      return Effect.gen(function* () {
        yield* setTime
        const { isDefaultRetiring } = yield* Models.pipe(Effect.provide(layer))
        assert.deepStrictEqual(lines, isReported ? ["The default model gemini-old retires on 2027-01-31"] : [])
        assert.strictEqual(yield* isDefaultRetiring, isReported)
      })
    })
  }

  it.effect("is reported by a process that started long before", () => {
    const { layer, setTime } = startedAt("2026-10-01T00:00:00Z", replaced)
    return Effect.gen(function* () {
      yield* setTime
      const { isDefaultRetiring } = yield* Models.pipe(Effect.provide(layer))
      assert.isFalse(yield* isDefaultRetiring)
      yield* TestClock.setTime(Date.parse("2027-01-01T00:00:00Z"))
      assert.isTrue(yield* isDefaultRetiring)
    })
  })

  it.live("makes a process degraded, not unready", () =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const inDays = (days: number) => new Date(now + days * 86_400_000).toISOString().slice(0, 10)
      for (const [retiresAt, status, model] of [
        [inDays(60), "ready", "ok"],
        [inDays(10), "degraded", "retiring"],
        ["2020-01-01", "degraded", "retiring"]
      ] as const) {
        const MODELS = catalogue({ retiresAt, replacement: "gemini-new" })
        const backends = yield* Effect.promise(() => startBackends({ MODELS, LOG_LEVEL: "none" }))
        const ready = yield* Effect.promise(() => request(backends.urls[0] ?? "", "GET", "/readyz"))
        yield* Effect.promise(() => backends.stop())
        assert.deepStrictEqual([ready.status, ready.body.status, ready.body.checks.model], [200, status, model])
      }
    })
  )
})
