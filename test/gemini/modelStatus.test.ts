import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { afterAll, beforeAll } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { Gemini } from "../../src/gemini/Gemini.ts"
import type { Prompt } from "../../src/gemini/Prompt.ts"
import { endOfModel, makeModelNotices } from "../../src/gemini/ModelStatus.ts"
import { environment } from "../../src/ops/Launch.ts"

let simulator: GeminiSimulator
beforeAll(async () => {
  simulator = await startGeminiSimulator({ chunkMillis: 1 })
})
afterAll(() => simulator.stop())

const prompt = (model: string, text: string): Prompt => ({
  model,
  systemPrompt: null,
  temperature: null,
  maxOutputTokens: 100,
  turns: [{ role: "user", text }]
})

/** A logger that keeps the lines. */
const makeLog = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
  return { lines, layer: Logger.layer([logger]) }
}

const geminiLayer = Layer.unwrap(
  Effect.sync(() => {
    const settings = environment({
      APP_ENV: "test",
      DATABASE_URL: "postgres://nowhere/none",
      GEMINI_API_KEY: "simulated",
      GEMINI_BASE_URL: simulator.url
    })
    return Gemini.layer.pipe(Layer.provide(AppConfig.layer), Layer.provide(settings))
  })
)

describe("the end of a model", () => {
  it.effect("is logged once a day for each model", () => {
    const log = makeLog()
    return Effect.gen(function* () {
      const { answer } = yield* Gemini
      const ask = (model: string) => answer(prompt(model, "[[retires 2027-03-01T00:00:00Z]] [[say a long answer]]"), () => {})
      yield* answer(prompt("gemini-3.5-flash", "no end"), () => {})
      assert.deepStrictEqual(log.lines, [])
      yield* ask("gemini-3.5-flash")
      yield* ask("gemini-3.5-flash")
      const line = (model: string) =>
        `Warn Google says that the model ${model} is DEPRECATED and retires at 2027-03-01T00:00:00Z. Use a newer model.`
      assert.deepStrictEqual(log.lines, [line("gemini-3.5-flash")])
      yield* ask("gemini-3.8-flash")
      assert.deepStrictEqual(log.lines, [line("gemini-3.5-flash"), line("gemini-3.8-flash")])
      yield* TestClock.adjust("1 day")
      yield* ask("gemini-3.5-flash")
      yield* ask("gemini-3.5-flash")
      assert.lengthOf(log.lines, 3)
    }).pipe(Effect.provide([geminiLayer, log.layer]))
  })

  it.effect("is remembered for the newest hundred models", () => {
    const log = makeLog()
    return Effect.gen(function* () {
      const notice = makeModelNotices()
      for (let number = 0; number < 101; number++) yield* notice(`gemini-${number}`, { stage: "LEGACY" })
      yield* notice("gemini-100", { stage: "LEGACY" })
      assert.lengthOf(log.lines, 101)
      yield* notice("gemini-0", { stage: "LEGACY" })
      assert.lengthOf(log.lines, 102)
    }).pipe(Effect.provide(log.layer))
  })

  it("is read from the stage or the time, whatever else the status holds", () => {
    const read = (modelStatus: unknown) => endOfModel({ modelStatus })
    for (const status of [undefined, null, "old", {}, { modelStage: "STABLE" }, { modelStage: "NEW" }, { message: "Hello." }]) {
      assert.isUndefined(read(status), JSON.stringify(status))
    }
    const retirementTime = "2027-03-01T00:00:00Z"
    assert.deepStrictEqual(read({ modelStage: "LEGACY", message: 5 }), { stage: "LEGACY" })
    assert.deepStrictEqual(read({ modelStage: "NEW", retirementTime }), { retirementTime })
    assert.deepStrictEqual(read({ modelStage: "RETIRED", retirementTime: 5, message: `a\nb\u0000${"c".repeat(400)}` }), {
      stage: "RETIRED",
      message: `a b ${"c".repeat(296)}`
    })
  })
})
