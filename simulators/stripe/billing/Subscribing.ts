import type { Account } from "../Account.ts"
import type { Price } from "../objects/Catalog.ts"
import type { Invoice } from "../objects/Invoice.ts"
import { itemOf, makeSubscription, periodEnd, type Subscription } from "../objects/Subscription.ts"
import { collect } from "./Collection.ts"
import { draftInvoice, finalizeInvoice } from "./Invoicing.ts"
import type { Means } from "./Payments.ts"

interface StartInput {
  readonly customer: string
  readonly price: Price
  readonly quantity: number
  readonly metadata: Record<string, string>
  readonly description?: string | null | undefined
  /** null leaves the first invoice open. */
  readonly means: Means | null
}

/** A new subscription: `incomplete` until its first invoice is paid. */
export const startSubscription = (account: Account, { means, ...input }: StartInput): Subscription => {
  const subscription = account.add(makeSubscription(account.birth(), { ...input, status: "incomplete" }))
  const invoice = draftInvoice(account, subscription, "subscription_create")
  account.emit("customer.subscription.created", subscription)
  finalizeInvoice(account, invoice)
  if (means !== null || invoice.amount_due === 0) collect(account, invoice, means ?? "good")
  return subscription
}

/** Starts the next period; its invoice is a draft first, and charged later. */
export const renewSubscription = (account: Account, subscription: Subscription) => {
  const item = itemOf(subscription)
  account.change(subscription, "customer.subscription.updated", () => {
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
