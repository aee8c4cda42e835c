import { Clock, Context, Effect, Layer, Semaphore } from "effect"
import type { Tier } from "../api/auth/User.ts"
import { BillingUnavailable } from "../api/billing/BillingErrors.ts"
import type { PlanInfo, PlanPrice } from "../api/billing/Plan.ts"
import { forTier, limitsByTier, type Plan } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { Models } from "../models/Models.ts"
import { unslotted, withoutSlot } from "../ops/RequestSlot.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, unavailable } from "./StripeFailure.ts"
import type { StripePrice } from "./StripeObjects.ts"

/** Milliseconds for which Stripe's prices are kept. */
const lifetime = 600_000
/** Milliseconds for which Stripe is not asked again after a failure: what `Retry-After` says. */
const failureLifetime = 5_000
/** Less than a handler may take, so that the problem names billing. */
const timeout = "14 seconds"

const shown = (price: StripePrice): PlanPrice => ({
  interval: price.recurring?.interval ?? "month",
  amount: price.unit_amount,
  currency: price.currency,
  taxBehavior: price.tax_behavior ?? "unspecified"
})

/** What the server sells, for everyone to read. */
export class PlanCatalogue extends Context.Service<
  PlanCatalogue,
  {
    /** Basic and the plans. With `BILLING=off` Basic alone. While Stripe fails, with the prices that were read last. */
    readonly list: Effect.Effect<ReadonlyArray<PlanInfo>, BillingUnavailable>
  }
>()("chat-backend/billing/PlanCatalogue") {
  static readonly layer = Layer.effect(
    PlanCatalogue,
    Effect.gen(function* () {
      const settings = yield* AppConfig
      const stripe = yield* Stripe
      const models = yield* Models
      const limitsOf = limitsByTier(settings)
      const one = yield* Semaphore.make(1)
      let known: { readonly prices: ReadonlyMap<string, PlanPrice>; readonly until: number } | undefined
      let failure: { readonly cause: StripeFailure; readonly until: number } | undefined

      const readPrices = Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        if (known !== undefined && known.until > now) return known.prices
        if (failure !== undefined && failure.until > now) return yield* failure.cause
        const found = yield* stripe.soldPrices
        const prices = new Map(found.map((price) => [price.id, shown(price)]))
        known = { prices, until: now + lifetime }
        return prices
      }).pipe(
        Effect.tapErrorTag("StripeFailure", (cause) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            if (failure?.cause !== cause) failure = { cause, until: now + failureLifetime }
          })
        )
      )

      const tooMany = Effect.suspend(() => Effect.fail(BillingUnavailable.soon()))

      /** The prices by their ids. Requests at once share one reading, for which they hold no working slot. */
      const prices = Effect.gen(function* () {
        if (known !== undefined && known.until > (yield* Clock.currentTimeMillis)) return known.prices
        return yield* withoutSlot(one.withPermit(unslotted(readPrices)), { kind: "billing", onFull: tooMany })
      }).pipe(
        Effect.catchTag("StripeFailure", unavailable),
        Effect.timeoutOrElse({ duration: timeout, orElse: () => tooMany }),
        Effect.catchIf(
          () => known !== undefined,
          () => Effect.sync((): ReadonlyMap<string, PlanPrice> => known?.prices ?? new Map())
        )
      )

      const infoOf = Effect.fnUntraced(function* (
        tier: Tier,
        { name, trialDays }: Pick<Plan, "name" | "trialDays">,
        prices: ReadonlyArray<PlanPrice>
      ) {
        const { budget, prompts } = limitsOf(tier)
        const info: PlanInfo = {
          id: tier,
          name,
          prices,
          limits: {
            dailyPrompts: prompts,
            dailyBudgetMicros: budget,
            dailySearches: forTier(settings.dailySearches, tier),
            concurrency: forTier(settings.userConcurrency, tier),
            storageBytes: forTier(settings.storageBytes, tier)
          },
          ...(yield* models.choicesOf(tier)),
          trialDays
        }
        return info
      })

      const list: PlanCatalogue["Service"]["list"] = Effect.gen(function* () {
        const basic = yield* infoOf("basic", { name: "Basic", trialDays: 0 }, [])
        if (settings.billing === undefined) return [basic]
        const found = yield* prices
        const plans = yield* Effect.forEach(settings.plans, (plan) =>
          infoOf(
            plan.id,
            plan,
            plan.prices.flatMap(({ sold }) => found.get(sold) ?? [])
          )
        )
        return [basic, ...plans]
      }).pipe(Effect.withSpan("PlanCatalogue.list"))

      return PlanCatalogue.of({ list })
    })
  )
}
