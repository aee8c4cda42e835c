import type { Account } from "../Account.ts"
import { itemOf, type Subscription } from "../objects/Subscription.ts"
import { expireCheckout } from "./Checkout.ts"
import { endSubscription, expireIncomplete, hasEnded } from "./Ending.ts"
import { intentOf } from "./Invoicing.ts"
import { chargeRenewal, renewSubscription, retryCharge } from "./Subscribing.ts"

/** https://docs.stripe.com/billing/subscriptions/overview#subscription-statuses */
const incompleteSeconds = 23 * 3600

interface Due {
  /** Seconds since 1970. */
  readonly at: number
  readonly run: () => void
}

/** Runs everything that is due by now, in order, each with the clock at its own moment. */
export const runDue = (account: Account) => {
  const now = account.now()
  for (let next = earliest(account); next && next.at <= now; next = earliest(account)) account.at(next.at, next.run)
}

const earliest = (account: Account): Due | undefined => {
  let first: Due | undefined
  for (const due of upcoming(account)) if (!first || due.at < first.at) first = due
  return first
}

function* upcoming(account: Account): Generator<Due> {
  for (const session of account.all("checkout.session"))
    if (session.status === "open") yield { at: session.expires_at, run: () => expireCheckout(account, session) }
  for (const invoice of account.all("invoice")) {
    if (invoice.status === "draft" && invoice.automatically_finalizes_at !== null)
      yield { at: invoice.automatically_finalizes_at, run: () => chargeRenewal(account, invoice) }
    if (invoice.status === "open" && invoice.next_payment_attempt !== null)
      yield { at: invoice.next_payment_attempt, run: () => retryCharge(account, invoice) }
  }
  for (const subscription of account.all("subscription")) {
    const due = hasEnded(subscription) || subscription.status === "paused" ? undefined : nextOf(account, subscription)
    if (due) yield due
  }
}

const nextOf = (account: Account, subscription: Subscription): Due | undefined => {
  const { cancel_at: cancelAt, created, status } = subscription
  const { current_period_end: end } = itemOf(subscription)
  if (status === "incomplete")
    return isProcessing(account, subscription)
      ? undefined
      : { at: created + incompleteSeconds, run: () => expireIncomplete(account, subscription) }
  if (cancelAt !== null && cancelAt <= end)
    return { at: cancelAt, run: () => endSubscription(account, subscription, "cancellation_requested") }
  return { at: end, run: () => renewSubscription(account, subscription) }
}

/** While a delayed payment is processing, the subscription does not expire. */
const isProcessing = (account: Account, { latest_invoice: id }: Subscription) => {
  const invoice = account.find("invoice", id)
  return invoice !== undefined && intentOf(account, invoice)?.status === "processing"
}
