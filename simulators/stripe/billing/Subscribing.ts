import type { Account } from "../Account.ts"
import type { Price } from "../objects/Catalog.ts"
import type { Invoice } from "../objects/Invoice.ts"
import { itemOf, makeSubscription, periodEnd, type Subscription } from "../objects/Subscription.ts"
import type { AppliedCoupon, Trial } from "../State.ts"
import { collect } from "./Collection.ts"
import { applyDiscount } from "./Discounts.ts"
import { endSubscription } from "./Ending.ts"
import { draftInvoice, finalizeInvoice } from "./Invoicing.ts"
import type { Means } from "./Payments.ts"

interface StartInput {
  readonly customer: string
  readonly price: Price
  readonly quantity: number
  readonly metadata: Record<string, string>
  readonly description?: string | null | undefined
  readonly taxed?: boolean | undefined
  readonly trial?: Trial | null | undefined
  readonly discount?: AppliedCoupon | null | undefined
  /** null leaves the first invoice open. */
  readonly means: Means | null
}

/** A new subscription: `trialing`, or `incomplete` until its first invoice is paid. */
export const startSubscription = (
  account: Account,
  { discount = null, means, taxed = false, trial = null, ...input }: StartInput
): Subscription => {
  const status = trial === null ? "incomplete" : "trialing"
  const subscription = account.add(makeSubscription(account.birth(), { ...input, taxed, trial, status }))
  if (discount !== null) applyDiscount(account, subscription, discount)
  const invoice = draftInvoice(account, subscription, "subscription_create")
  account.emit("customer.subscription.created", subscription)
  finalizeInvoice(account, invoice)
  if (means !== null || invoice.amount_due === 0) collect(account, invoice, means ?? "good")
  return subscription
}

/** Starts the next period, the first one after a trial; its invoice is a draft first, and charged later. */
export const renewSubscription = (account: Account, subscription: Subscription) => {
  const item = itemOf(subscription)
  const withoutCard = subscription.trial_settings.end_behavior.missing_payment_method
  if (subscription.status === "trialing" && cardOf(account, subscription.customer) === "none" && withoutCard === "cancel")
    return endSubscription(account, subscription, "payment_failed")
  account.change(subscription, "customer.subscription.updated", () => {
    if (subscription.status === "trialing") subscription.status = "active"
    item.current_period_start = item.current_period_end
    item.current_period_end = periodEnd(item.price, item.current_period_start, subscription.billing_cycle_anchor)
    const invoice = draftInvoice(account, subscription, "subscription_cycle")
    if (subscription.status === "unpaid") invoice.auto_advance = false
    else invoice.automatically_finalizes_at = account.now() + account.settings.draftSeconds
  })
}

/** Charges a renewal whose draft time is over. */
export const chargeRenewal = (account: Account, invoice: Invoice) => {
  finalizeInvoice(account, invoice)
  collect(account, invoice, cardOf(account, invoice.customer))
}

export const retryCharge = (account: Account, invoice: Invoice) => {
  collect(account, invoice, cardOf(account, invoice.customer))
}

/** Starts a new period of a paused subscription and charges it at once; if that fails, it may stay paused. */
export const resumeSubscription = (account: Account, subscription: Subscription, onlyWhenPaid: boolean) => {
  const item = itemOf(subscription)
  subscription.billing_cycle_anchor = account.now()
  item.current_period_start = account.now()
  item.current_period_end = periodEnd(item.price, account.now(), account.now())
  const invoice = draftInvoice(account, subscription, "subscription_update")
  finalizeInvoice(account, invoice)
  const isPaid = collect(account, invoice, cardOf(account, invoice.customer)) === "succeeded"
  if (onlyWhenPaid && !isPaid) return
  subscription.status = isPaid ? "active" : "past_due"
  account.emit("customer.subscription.resumed", subscription)
}

export const cardOf = (account: Account, customer: string) => account.state.cards[customer] ?? "good"
