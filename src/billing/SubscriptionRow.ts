import type { Discount } from "../api/billing/Subscription.ts"
import type { PlanItem } from "./PlanItem.ts"
import { idOf, type StripeSubscription } from "./StripeObjects.ts"

const timestampOf = (seconds: number | null | undefined) =>
  seconds === null || seconds === undefined ? null : new Date(seconds * 1000).toISOString()

/** The page where the newest invoice can be paid, while it is open. */
const openInvoiceUrl = ({ latest_invoice: invoice }: StripeSubscription): string | null =>
  invoice !== null && typeof invoice !== "string" && invoice.status === "open" ? (invoice.hosted_invoice_url ?? null) : null

/** The discount of a subscription whose coupon Stripe has sent along. */
const discountOf = ({ discounts: [first] }: StripeSubscription): Discount | null => {
  if (first === undefined || typeof first === "string") return null
  const { end, promotion_code: code, source } = first
  const coupon = source?.coupon ?? first.coupon
  if (coupon === null || typeof coupon === "string") return null
  const { amount_off: amountOff, currency, name, percent_off: percentOff } = coupon
  const typed = code === null || typeof code === "string" ? null : code.code
  return { name, code: typed, percentOff, amountOff, currency, endsAt: timestampOf(end) }
}

/** A subscription with the item that makes it one of our plans. */
export interface Planned extends PlanItem {
  readonly subscription: StripeSubscription
}

/** The row of `subscriptions` for what Stripe answered at this time. */
export const toRow = (userId: string, fetchedAt: string, { item, plan, subscription }: Planned) => ({
  user_id: userId,
  id: subscription.id,
  customer_id: idOf(subscription.customer),
  status: subscription.status,
  plan,
  billing_interval: item.price.recurring?.interval ?? null,
  trial_end: timestampOf(subscription.trial_end),
  discount: discountOf(subscription),
  current_period_start: timestampOf(item.current_period_start ?? subscription.current_period_start),
  current_period_end: timestampOf(item.current_period_end ?? subscription.current_period_end),
  cancel_at: timestampOf(subscription.cancel_at),
  cancel_at_period_end: subscription.cancel_at_period_end,
  invoice_url: openInvoiceUrl(subscription),
  created_at: timestampOf(subscription.created),
  fetched_at: fetchedAt
})
