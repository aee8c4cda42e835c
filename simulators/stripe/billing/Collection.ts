import type { Account } from "../Account.ts"
import { daySeconds } from "../objects/Base.ts"
import type { Invoice } from "../objects/Invoice.ts"
import type { Subscription } from "../objects/Subscription.ts"
import { endSubscription, hasEnded } from "./Ending.ts"
import { intentOf, invoicesOf, markFailed, markPaid } from "./Invoicing.ts"
import { attempt, type Means, type Outcome, settleDelayed } from "./Payments.ts"

/** Tries to charge an open invoice, and updates its subscription. */
export const collect = (account: Account, invoice: Invoice, means: Means): Outcome => {
  const intent = intentOf(account, invoice)
  return record(account, invoice, intent ? attempt(account, intent, means) : "succeeded")
}

/** Ends a delayed payment. */
export const collectDelayed = (account: Account, invoice: Invoice, outcome: "succeeded" | "failed"): Outcome => {
  const intent = intentOf(account, invoice)
  return record(account, invoice, intent ? settleDelayed(account, intent, outcome) : outcome)
}

const record = (account: Account, invoice: Invoice, outcome: Outcome): Outcome => {
  const subscription = account.find("subscription", invoice.parent.subscription_details.subscription)
  if (outcome === "succeeded") {
    markPaid(account, invoice)
    if (subscription) reactivate(account, subscription)
  }
  if (outcome === "failed") {
    markFailed(account, invoice, nextAttempt(account, invoice))
    if (subscription) penalize(account, subscription, invoice)
  }
  return outcome
}

const nextAttempt = (account: Account, invoice: Invoice): number | null => {
  const days = account.settings.retryDays[invoice.attempt_count]
  if (days === undefined || invoice.billing_reason !== "subscription_cycle" || !invoice.auto_advance) return null
  return account.now() + days * daySeconds
}

const reactivate = (account: Account, subscription: Subscription) => {
  const isWaiting = ["incomplete", "past_due", "unpaid"].includes(subscription.status)
  if (isWaiting && invoicesOf(account, subscription, "open").length === 0) setStatus(account, subscription, "active")
}

const penalize = (account: Account, subscription: Subscription, invoice: Invoice) => {
  if (invoice.billing_reason !== "subscription_cycle" || hasEnded(subscription)) return
  const { afterRetries } = account.settings
  if (invoice.next_payment_attempt !== null) setStatus(account, subscription, "past_due")
  else if (afterRetries === "cancel") endSubscription(account, subscription, "payment_failed")
  else setStatus(account, subscription, afterRetries)
}

export const setStatus = (account: Account, subscription: Subscription, status: string) => {
  if (subscription.status === status) return
  account.change(subscription, "customer.subscription.updated", () => {
    subscription.status = status
  })
}
