import { Effect } from "effect"
import { PlanNotFound, PromotionCodeInvalid } from "../api/billing/BillingErrors.ts"
import type { Interval } from "../api/billing/Plan.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { AppConfig } from "../config/Settings.ts"
import type { Purchase } from "./CheckoutAttempts.ts"
import { Stripe } from "./Stripe.ts"
import { idOf } from "./StripeObjects.ts"
import { Trials } from "./Trials.ts"

/** What a user wants to subscribe to. */
export interface Wish {
  readonly plan: string
  readonly interval?: Interval | undefined
  readonly promotionCode?: string | undefined
}

/** Finds what a checkout has to sell: the price, the promotion code and the trial of what a user wants. */
export const makePurchases = Effect.gen(function* () {
  const { plans } = yield* AppConfig
  const stripe = yield* Stripe
  const trials = yield* Trials

  /** The price of the plan that the user wants. */
  const priceFor = Effect.fnUntraced(function* ({ interval, plan: id }: Wish) {
    const plan = plans.find((each) => each.id === id)
    if (plan === undefined) return yield* new PlanNotFound()
    const [first] = plan.prices
    const price = interval === undefined ? first : plan.prices.find((each) => each.interval === interval)
    if (price !== undefined) return { plan, priceId: price.sold }
    // Without `PLANS` only Stripe knows how often the price is paid.
    const soldAt = first?.interval === undefined ? (yield* stripe.soldPrices)[0]?.recurring?.interval : undefined
    if (first !== undefined && soldAt === interval) return { plan, priceId: first.sold }
    return yield* new ValidationFailed({ errors: [{ path: "/interval", message: `is not an interval of the plan ${id}` }] })
  })

  /** The id of the code that a customer typed; null without one. */
  const findCode = Effect.fnUntraced(function* (customerId: string, code: string | undefined) {
    if (code === undefined) return null
    const { data } = yield* stripe.promotionCodes(code)
    const usable = data.find(({ active, customer }) => active && (customer === null || idOf(customer) === customerId))
    return usable === undefined ? yield* new PromotionCodeInvalid() : usable.id
  })

  /** The purchase at a price, with the code that the customer typed, and the trial that is left to the number. */
  const at = Effect.fnUntraced(function* (
    { plan, priceId }: Effect.Success<ReturnType<typeof priceFor>>,
    buyer: { readonly quotaKey: string; readonly customerId: string },
    code: string | undefined
  ) {
    const promotionCode = yield* findCode(buyer.customerId, code)
    const hasTrial = plan.trialDays > 0 && !(yield* trials.isUsed(buyer.quotaKey))
    const purchase: Purchase = { plan: plan.id, priceId, promotionCode, trialDays: hasTrial ? plan.trialDays : 0 }
    return purchase
  })

  return { priceFor, at }
})
