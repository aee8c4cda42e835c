import { assert, describe, it } from "vitest"
import { builtInModels } from "../../src/config/BuiltInModels.ts"
import { costOfCall, isRetired, priceAt } from "../../src/models/Prices.ts"
import { plainModel } from "../support/Models.ts"

const usage = { promptTokens: 1_000, replyTokens: 200, thoughtTokens: 100, cachedTokens: 400, toolTokens: 50 }
const flash = "gemini-3.8-flash"
const costOf = (modelVersion: string | null, at: string, model = flash, searches = 0) =>
  costOfCall(builtInModels, { model, modelVersion, usage, searches }, Date.parse(at), 14_000)

describe("the cost of a call", () => {
  it("counts cached tokens at their price, and thoughts and tools with the rest", () => {
    // 600 + 50 tokens at 0.75, 400 at 0.075, 300 at 3.75.
    assert.deepStrictEqual(costOf(flash, "2026-11-30T00:00:00Z"), { costMicros: 1_643, isPriced: true })
  })

  it("adds every search at its own price", () => {
    assert.strictEqual(costOf(flash, "2026-11-30T00:00:00Z", flash, 3).costMicros, 1_643 + 3 * 14_000)
  })

  it("changes at midnight UTC with the price", () => {
    assert.strictEqual(costOf(flash, "2026-12-31T23:59:59.999Z").costMicros, 1_643)
    assert.strictEqual(costOf(flash, "2027-01-01T00:00:00Z").costMicros, 3_285)
  })

  it("is that of the model that answered, by its longest name", () => {
    const at = "2026-11-30T00:00:00Z"
    assert.deepStrictEqual(costOf(`${flash}-001`, at), costOf(flash, at))
    assert.deepStrictEqual(costOf("gemini-3.5-flash-lite-preview-09", at), costOf("gemini-3.5-flash-lite", at))
    assert.notDeepEqual(costOf("gemini-3.5-flash-lite", at), costOf("gemini-3.5-flash", at))
    assert.deepStrictEqual(costOf(null, at), costOf(flash, at))
  })

  it("is that of the model that was asked when the answering one has no price", () => {
    const at = "2026-11-30T00:00:00Z"
    assert.deepStrictEqual(costOf("gemini-9", at), { costMicros: 1_643, isPriced: false })
    assert.deepStrictEqual(costOf("gemini-9", at, "gemini-8"), { costMicros: null, isPriced: false })
    assert.deepStrictEqual(costOf(flash, "2026-01-01T00:00:00Z"), { costMicros: null, isPriced: false })
  })
})

describe("a price", () => {
  it("is the newest that is valid, in any order of the list", () => {
    const prices = [
      { from: "2027-01-01", input: 2, cached: 0, output: 2 },
      { from: "2026-01-01", input: 1, cached: 0, output: 1 }
    ]
    assert.strictEqual(priceAt(plainModel("m", { prices }), Date.parse("2026-12-31T23:59:59Z"))?.input, 1)
    assert.strictEqual(priceAt(plainModel("m", { prices }), Date.parse("2027-01-01T00:00:00Z"))?.input, 2)
    assert.isUndefined(priceAt(plainModel("m", { prices }), Date.parse("2025-12-31T23:59:59Z")))
  })
})

describe("a model", () => {
  it("is retired from the first moment of its last day on", () => {
    const model = plainModel("m", { retiresAt: "2026-12-01" })
    assert.isFalse(isRetired(model, Date.parse("2026-11-30T23:59:59.999Z")))
    assert.isTrue(isRetired(model, Date.parse("2026-12-01T00:00:00Z")))
  })
})
