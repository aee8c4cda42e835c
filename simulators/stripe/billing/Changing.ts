import type { Account } from "../Account.ts"
import { planOf, type Price } from "../objects/Catalog.ts"
import { itemOf, periodEnd, type Subscription } from "../objects/Subscription.ts"
import { invalid, StripeError } from "../wire/StripeError.ts"
import { collect } from "./Collection.ts"
import { hasEnded } from "./Ending.ts"
import { draftInvoice, finalizeInvoice } from "./Invoicing.ts"
import { cardOf } from "./Subscribing.ts"

/**
 * Moves a subscription to another price. What is left of the old period is credited and the new price charged, at once; an
 * interval that changes begins a new period, and so does the end of a trial, which a change of the price is. A card that is
 * declined changes nothing.
 */
export const changePrice = (account: Account, subscription: Subscription, price: Price) => {
  const item = itemOf(subscription)
  if (hasEnded(subscription)) throw invalid("A canceled subscription cannot change its price.", "items")
  if (price.id === item.price.id) return
  const card = cardOf(account, subscription.customer)
  const wasTrial = subscription.status === "trialing"
  const credit = wasTrial ? 0 : Math.round(item.price.unit_amount * item.quantity * restOf(account, subscription))
  const isNewPeriod = wasTrial || price.recurring?.interval !== item.price.recurring?.interval
  const charge = Math.round(price.unit_amount * item.quantity * (isNewPeriod ? 1 : restOf(account, subscription)))
  if (charge > credit && card !== "good")
    throw new StripeError(402, "Your card was declined.", { type: "card_error", code: "card_declined" })
  account.change(subscription, "customer.subscription.updated", () => {
    item.price = price
    item.plan = planOf(price)
    if (isNewPeriod) {
      const now = account.now()
      subscription.billing_cycle_anchor = now
      item.current_period_start = now
      item.current_period_end = periodEnd(price, now, now)
    }
    if (subscription.cancel_at_period_end) subscription.cancel_at = item.current_period_end
    if (wasTrial) {
      subscription.trial_end = account.now()
      subscription.status = "active"
    }
  })
  const name = account.find("product", price.product)?.name ?? price.id
  const invoice = draftInvoice(
    account,
    subscription,
    "subscription_update",
    wasTrial ? undefined : { amount: charge - credit, description: `Change to ${name}` }
  )
  finalizeInvoice(account, invoice)
  collect(account, invoice, card)
}

/** The share of the period that is left. */
const restOf = (account: Account, subscription: Subscription): number => {
  const { current_period_end: end, current_period_start: start } = itemOf(subscription)
  return Math.min(1, Math.max(0, (end - account.now()) / (end - start)))
}
