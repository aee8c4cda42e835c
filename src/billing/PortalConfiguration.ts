import { createHash } from "node:crypto"
import { Clock, Effect } from "effect"
import { AppConfig } from "../config/Settings.ts"
import type { OfferedProduct } from "./PortalParameters.ts"
import { Stripe } from "./Stripe.ts"
import type { StripeFailure } from "./StripeFailure.ts"
import { idOf, type StripePrice } from "./StripeObjects.ts"

/** Milliseconds after which a process looks whether the configuration is still active. */
const lifetime = 600_000

const pricesByProduct = (prices: ReadonlyArray<StripePrice>): ReadonlyArray<OfferedProduct> =>
  [...Map.groupBy(prices, ({ product }) => idOf(product) ?? "")].map(([product, found]) => ({
    product,
    prices: found.map(({ id }) => id)
  }))

/**
 * The configuration of Stripe's portal in which subscribers change to every price that is sold. It is created once for these
 * prices. Undefined, the account's default, where a single price is sold, or Stripe refuses such a configuration.
 */
export const makePortalConfiguration = Effect.gen(function* () {
  const { plans } = yield* AppConfig
  const stripe = yield* Stripe
  const sold = plans.flatMap(({ prices }) => prices.map((price) => price.sold))
  const mark = createHash("sha256").update(JSON.stringify(sold)).digest("hex").slice(0, 32)
  let known: { readonly id: string; readonly until: number } | undefined

  const findOrCreate = Effect.gen(function* () {
    const found = yield* stripe.findPortalConfiguration(mark)
    if (found !== undefined) return found
    const products = pricesByProduct(yield* stripe.soldPrices)
    return (yield* stripe.createPortalConfiguration(mark, products)).id
  })

  const configuration: Effect.Effect<string | undefined, StripeFailure> = Effect.gen(function* () {
    if (sold.length < 2) return undefined
    const now = yield* Clock.currentTimeMillis
    if (known !== undefined && known.until > now) return known.id
    const id = yield* findOrCreate
    known = { id, until: now + lifetime }
    return id
  }).pipe(
    Effect.catchIf(
      ({ kind }) => kind !== "unavailable",
      (failure) => Effect.as(Effect.logError("Stripe refuses a portal for the prices of PLANS", failure), undefined)
    )
  )
  return configuration
})
