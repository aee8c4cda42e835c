import { Context, Effect, Layer } from "effect"
import type { Plan } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { Stripe } from "./Stripe.ts"
import type { StripeFailure } from "./StripeFailure.ts"
import type { StripePrice } from "./StripeObjects.ts"

const registrations = "https://dashboard.stripe.com/tax/registrations"

/** What is wrong with a price for its place in the plans. */
const faultOf = (price: StripePrice, plans: ReadonlyArray<Plan>): string | undefined => {
  const place = plans.flatMap(({ prices }) => prices).find(({ sold }) => sold === price.id)
  if (price.recurring === null) return `the price ${price.id} is not recurring`
  return place?.interval !== undefined && place.interval !== price.recurring.interval
    ? `the price ${price.id} is paid by the ${price.recurring.interval}, and PLANS says ${place.interval}`
    : undefined
}

/** Compares the settings with Stripe's account: what does not fit is a setting to mend, and would fail every checkout. */
export class BillingCheck extends Context.Service<
  BillingCheck,
  {
    /** Whether the settings fit. An outage of Stripe is not a fault of them. Asked at most once a minute. */
    readonly state: Effect.Effect<"ok" | "failed">
  }
>()("chat-backend/billing/BillingCheck") {
  static readonly layer = Layer.effect(
    BillingCheck,
    Effect.gen(function* () {
      const { billing, plans } = yield* AppConfig
      const stripe = yield* Stripe

      const priceFaults = Effect.map(stripe.soldPrices, (prices) => prices.map((price) => faultOf(price, plans)))

      const taxFaults = Effect.gen(function* () {
        const { defaults, status, status_details: details } = yield* stripe.taxSettings
        const { data } = yield* stripe.taxRegistrations
        const prices = yield* stripe.soldPrices
        const undecided = prices.filter(({ tax_behavior: behavior }) => behavior === null || behavior === "unspecified")
        const missing = details.pending?.missing_fields?.join(", ") ?? "settings"
        return [
          status === "active" ? undefined : `STRIPE_TAX: the tax settings at Stripe lack ${missing}`,
          data.length > 0 ? undefined : `STRIPE_TAX: the account has no tax registration; add one at ${registrations}`,
          undecided.length === 0 || defaults.tax_behavior !== null
            ? undefined
            : `STRIPE_TAX: the price ${undecided[0]?.id} does not say whether it includes tax`
        ]
      })

      const unknownPrice = (failure: StripeFailure) =>
        failure.kind === "unavailable" ? Effect.succeed([]) : Effect.succeed([`Stripe does not know a price: ${failure.detail}`])

      let logged = ""
      const faults = Effect.all([priceFaults, billing?.collectsTax === true ? taxFaults : Effect.succeed([])]).pipe(
        Effect.map((found) => found.flat().filter((fault) => fault !== undefined)),
        Effect.catchTag("StripeFailure", unknownPrice),
        Effect.tap((found) => {
          const text = found.join("; ")
          const isNew = text !== "" && text !== logged
          logged = text
          return isNew ? Effect.logError(`The settings of billing do not match the Stripe account: ${text}`) : Effect.void
        })
      )
      const state = yield* faults.pipe(
        Effect.map((found) => (found.length === 0 ? ("ok" as const) : ("failed" as const))),
        Effect.timeoutOrElse({ duration: "2 seconds", orElse: () => Effect.succeed("ok" as const) }),
        Effect.cachedWithTTL("1 minute")
      )
      // At the start, so that the log says it before the first checkout. A deployment with one price loads Stripe's SDK later.
      const hasMore = plans.length > 1 || plans.some(({ prices }) => prices.length > 1)
      if (billing !== undefined && (billing.collectsTax || hasMore)) yield* Effect.forkScoped(faults)
      return BillingCheck.of({ state })
    })
  )
}
