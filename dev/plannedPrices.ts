import { existsSync, readFileSync } from "node:fs"
import { Schema } from "effect"
import type { CatalogPrice } from "../simulators/stripe/Settings.ts"

const Price = Schema.optionalKey(Schema.String)
const Plans = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ id: Schema.String, name: Schema.String, prices: Schema.Struct({ month: Price, year: Price }) }))
)

/** In minor units a month: each plan costs twice as much as the one before it, and a year ten months. */
const lowest = 2_000

/** Prices for the simulator with the ids that `PLANS` names, so that its plans can be tried without Stripe. */
export const plannedPrices = (setting: string | undefined): ReadonlyArray<CatalogPrice> => {
  if (setting === undefined || setting === "") return []
  const text = existsSync(setting) ? readFileSync(setting, "utf8") : setting
  const plans = Schema.decodeUnknownOption(Plans)(text)
  // The server says what is wrong with them.
  if (plans._tag === "None") return []
  return plans.value.flatMap(({ id, name, prices }, index) =>
    (["month", "year"] as const).flatMap((interval) =>
      (prices[interval] ?? "")
        .split(",")
        .map((price) => price.trim())
        .filter((price) => price !== "")
        .slice(0, 1)
        .map((priceId) => ({
          priceId,
          productId: `prod_simulated_${id}`,
          productName: name,
          unitAmount: lowest * 2 ** index * (interval === "year" ? 10 : 1),
          interval
        }))
    )
  )
}
