import type { Account } from "../Account.ts"
import { itemOf, type Subscription } from "../objects/Subscription.ts"
import { draftInvoice, finalizeInvoice, invoicesOf, markPaid, voidInvoice } from "./Invoicing.ts"

export const hasEnded = ({ status }: Subscription) => status === "canceled" || status === "incomplete_expired"

/** Ends the subscription now. Its open invoices stay open, but are not collected automatically. */
export const endSubscription = (
  account: Account,
  subscription: Subscription,
  reason: "cancellation_requested" | "payment_failed" | "payment_disputed"
) => {
  for (const status of ["open", "draft"] as const)
    for (const invoice of invoicesOf(account, subscription, status)) {
      invoice.auto_advance = false
      invoice.next_payment_attempt = null
      invoice.automatically_finalizes_at = null
    }
  subscription.status = "canceled"
  subscription.ended_at = account.now()
  subscription.canceled_at ??= account.now()
  subscription.cancellation_details.reason ??= reason
  account.emit("customer.subscription.deleted", subscription)
}

/** The first payment did not succeed within 23 hours. */
export const expireIncomplete = (account: Account, subscription: Subscription) => {
  for (const invoice of invoicesOf(account, subscription, "open")) voidInvoice(account, invoice)
  account.change(subscription, "customer.subscription.updated", () => {
    subscription.status = "incomplete_expired"
    subscription.ended_at = account.now()
  })
}

/** Credits the unused part of the period to the customer, by a last invoice. */
export const creditUnusedTime = (account: Account, subscription: Subscription) => {
  const { current_period_end: end, current_period_start: start, price, quantity } = itemOf(subscription)
  const unused = Math.max(0, end - account.now()) / (end - start)
  const invoice = draftInvoice(account, subscription, "subscription_update", {
    amount: -Math.round(price.unit_amount * quantity * unused),
    description: `Unused time on ${account.find("product", price.product)?.name ?? price.id}`
  })
  finalizeInvoice(account, invoice)
  markPaid(account, invoice)
}

type CancelWhen = { readonly cancel_at_period_end: boolean } | { readonly cancel_at: number | null }

/** Sets or undoes a pending cancellation; the caller emits the update. */
export const scheduleCancel = (account: Account, subscription: Subscription, when: CancelWhen) => {
  const atPeriodEnd = "cancel_at_period_end" in when && when.cancel_at_period_end
  const wasAtPeriodEnd = subscription.cancel_at_period_end
  if ("cancel_at" in when) subscription.cancel_at = when.cancel_at
  else if (atPeriodEnd) subscription.cancel_at = itemOf(subscription).current_period_end
  else if (wasAtPeriodEnd) subscription.cancel_at = null
  subscription.cancel_at_period_end = atPeriodEnd
  const pending = subscription.cancel_at !== null
  subscription.canceled_at = pending ? account.now() : null
  subscription.cancellation_details.reason = pending ? "cancellation_requested" : null
}
