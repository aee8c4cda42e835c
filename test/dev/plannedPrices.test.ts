import { assert, describe, it } from "vitest"
import { plannedPrices } from "../../dev/plannedPrices.ts"
import { twoPlans } from "../billing/planSettings.ts"

describe("plannedPrices", () => {
  it("has a price for each plan and interval, and each plan its own product", () => {
    const prices = plannedPrices(twoPlans())
    assert.deepStrictEqual(
      prices.map(({ interval, priceId, unitAmount }) => [priceId, interval, unitAmount]),
      [
        ["price_simulated_pro", "month", 2_000],
        ["price_pro_year", "year", 20_000],
        ["price_max_month", "month", 4_000],
        ["price_max_year", "year", 40_000]
      ]
    )
    assert.deepStrictEqual([...new Set(prices.map(({ productId }) => productId))], ["prod_simulated_pro", "prod_simulated_max"])
  })

  it("has none without PLANS, or with one that is not JSON", () => {
    assert.deepStrictEqual([undefined, "", "[", "{}"].map(plannedPrices), [[], [], [], []])
  })
})
