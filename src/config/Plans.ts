import { Effect, Option, Result, Schema } from "effect"
import { type Interval, Interval as IntervalSchema, PlanId } from "../api/billing/Plan.ts"
import type { Tier } from "../api/auth/User.ts"
import { isBillingOn } from "./Billing.ts"
import type { Environment } from "./Environment.ts"
import { fail, integer, jsonText, optional, optionalDollars } from "./Reading.ts"

/** What a plan costs at one interval, as prices of Stripe. */
export interface PlanPrice {
  /** Undefined without `PLANS`: as the price at Stripe says. */
  readonly interval: Interval | undefined
  /** The price that a checkout sells. */
  readonly sold: string
  /** Older prices, whose subscriptions still count. */
  readonly former: ReadonlyArray<string>
}

/** A tier that is sold. */
export interface Plan {
  readonly id: Tier
  readonly name: string
  /** The first one is sold where no interval is asked for. Empty without billing. */
  readonly prices: ReadonlyArray<PlanPrice>
  /** Prompts a UTC day; 0 is unlimited. */
  readonly dailyPrompts: number
  /** Millionths of a US dollar that a user may cost per UTC day. */
  readonly dailyBudget: number | undefined
  /** Days of the first subscription of a number that cost nothing. */
  readonly trialDays: number
}

/** Everything that depends on the tier alone for Basic and for all plans together. */
export interface BasicAndPaid<A> {
  readonly basic: A
  /** Of every plan. */
  readonly pro: A
}

export const forTier = <A>({ basic, pro }: BasicAndPaid<A>, tier: Tier): A => (tier === "basic" ? basic : pro)

/** What a user may take a UTC day; null is unlimited. */
export interface TierLimits {
  readonly prompts: number | null
  /** Millionths of a US dollar. */
  readonly budget: number | null
}

/** The limits of every tier. A plan that is no longer sold has those of Basic. */
export const limitsByTier = (settings: {
  readonly plans: ReadonlyArray<Plan>
  readonly basicDailyPrompts: number
  readonly basicDailyBudget: number | undefined
}) => {
  const basic: TierLimits = { prompts: settings.basicDailyPrompts, budget: settings.basicDailyBudget ?? null }
  const paid = new Map(
    settings.plans.map(({ dailyBudget, dailyPrompts, id }) => [
      id,
      { prompts: dailyPrompts || null, budget: dailyBudget ?? null }
    ])
  )
  return (tier: Tier): TierLimits => paid.get(tier) ?? basic
}

/** A price, or several separated by commas: the first one is sold. */
const Prices = Schema.String.check(
  Schema.isMaxLength(2_000),
  Schema.isPattern(/^\s*[^\s,]+\s*(?:,\s*[^\s,]+\s*)*$/u, { message: "must be one price, or several separated by commas" })
)

const Written = Schema.Struct({
  id: PlanId,
  name: Schema.String.check(Schema.isBetweenCodePoints(1, 100)),
  prices: Schema.Struct({ month: Schema.optionalKey(Prices), year: Schema.optionalKey(Prices) }),
  /** Defaults to `PRO_DAILY_PROMPTS`. */
  dailyPrompts: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))),
  /** US dollars; null is no budget. Defaults to `PRO_DAILY_BUDGET`. */
  dailyBudget: Schema.optionalKey(
    Schema.NullOr(Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1_000_000)))
  ),
  trialDays: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 730 })))
})
type Written = typeof Written.Type

const decode = Schema.decodeUnknownResult(Schema.NonEmptyArray(Written))

const priceOf = (interval: Interval | undefined, list: string): PlanPrice => {
  const [sold = "", ...former] = list.split(",").map((price) => price.trim())
  return { interval, sold, former }
}

const pricesOf = ({ prices }: Written): ReadonlyArray<PlanPrice> =>
  IntervalSchema.literals.flatMap((interval) => {
    const list = prices[interval]
    return list === undefined ? [] : [priceOf(interval, list)]
  })

/** What is wrong with plans in themselves. */
const faultOf = (plans: ReadonlyArray<Plan>): string | undefined => {
  const ids = plans.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) return `names the plan ${twice} twice`
  const unsold = plans.find(({ prices }) => prices.length === 0)
  if (unsold !== undefined) return `must give ${unsold.id} a price by the month or by the year`
  const prices = plans.flatMap(({ prices }) => prices.flatMap(({ former, sold }) => [sold, ...former]))
  const shared = prices.find((price, index) => prices.indexOf(price) !== index)
  return shared === undefined ? undefined : `names the price ${shared} twice`
}

/** The plan of a deployment without `PLANS`. */
const onlyPlan = Effect.fnUntraced(function* (environment: Environment) {
  const prices = (yield* isBillingOn(environment)) ? [yield* proPrices] : []
  const plan: Plan = {
    id: "pro",
    name: "Pro",
    prices,
    dailyPrompts: yield* integer("PRO_DAILY_PROMPTS", 0, 1_000_000),
    dailyBudget: yield* optionalDollars("PRO_DAILY_BUDGET"),
    trialDays: 0
  }
  return [plan]
})

const proPrices = Effect.gen(function* () {
  const list = yield* optional("STRIPE_PRO_PRICE_ID")
  if (list === undefined) return yield* fail("STRIPE_PRO_PRICE_ID", "is required (or BILLING=off)")
  return Schema.is(Prices)(list)
    ? priceOf(undefined, list)
    : yield* fail("STRIPE_PRO_PRICE_ID", "must be one price, or several separated by commas")
})

/** The plans, from the lowest to the highest. */
export const plans = Effect.fnUntraced(function* (environment: Environment) {
  const configured = yield* jsonText("PLANS")
  if (configured === undefined) return yield* onlyPlan(environment)
  const value = Option.liftThrowable((source: string): unknown => JSON.parse(source))(configured)
  if (Option.isNone(value)) return yield* fail("PLANS", "is not JSON")
  const written = decode(value.value)
  if (Result.isFailure(written)) {
    return yield* fail("PLANS", `does not fit: ${written.failure.message.replaceAll(/\s+/g, " ")}`)
  }
  const defaultPrompts = yield* integer("PRO_DAILY_PROMPTS", 0, 1_000_000)
  const defaultBudget = yield* optionalDollars("PRO_DAILY_BUDGET")
  const found = written.success.map((plan): Plan => {
    const { dailyBudget, dailyPrompts = defaultPrompts, id, name, trialDays = 0 } = plan
    const budget = dailyBudget === undefined ? defaultBudget : dailyBudget === null ? undefined : Math.round(dailyBudget * 1e6)
    return { id, name, prices: pricesOf(plan), dailyPrompts, dailyBudget: budget, trialDays }
  })
  const fault = faultOf(found)
  return fault === undefined ? found : yield* fail("PLANS", fault)
})
