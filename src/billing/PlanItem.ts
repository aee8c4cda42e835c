import type { Plan } from "../config/Plans.ts"
import type { StripeSubscription } from "./StripeObjects.ts"

/** What of a subscription is a plan of ours. */
export interface PlanItem {
  readonly plan: string
  readonly item: StripeSubscription["items"]["data"][number]
}

const pricesOf = ({ prices }: Plan): ReadonlyArray<string> => prices.flatMap(({ former, sold }) => [sold, ...former])

/** Every price at which a subscription is one of the plans. */
export const countedPrices = (plans: ReadonlyArray<Plan>): ReadonlyArray<string> => plans.flatMap(pricesOf)

/** The item that makes a subscription one of our plans, of several the highest; undefined at prices that we do not know. */
export const planItemOf = (plans: ReadonlyArray<Plan>, { items }: StripeSubscription): PlanItem | undefined => {
  for (const plan of plans.toReversed()) {
    const prices = pricesOf(plan)
    const item = items.data.find(({ price }) => prices.includes(price.id))
    if (item !== undefined) return { plan: plan.id, item }
  }
  return undefined
}
