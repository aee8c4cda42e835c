import type { Account } from "../Account.ts"
import { makeCustomer } from "../objects/Customer.ts"
import { type CheckoutSession, customerDetails } from "../objects/CheckoutSession.ts"
import { invalid } from "../wire/StripeError.ts"
import { collectDelayed } from "./Collection.ts"
import { attempt, openIntent } from "./Payments.ts"
import { startSubscription } from "./Subscribing.ts"

/** What the buyer does on the page: pay by card, try a card that is declined, or use a delayed payment method. */
export type CheckoutAction = "pay" | "decline" | "later"

export const actOnCheckout = (
  account: Account,
  session: CheckoutSession,
  action: CheckoutAction,
  email: string | null = null
) => {
  requireOpen(session)
  if (action === "decline") declineCheckout(account, session)
  else completeCheckout(account, session, action === "pay" ? "good" : "delayed", email)
}

/** A declined card leaves the session open and starts no subscription. */
const declineCheckout = (account: Account, session: CheckoutSession) => {
  const { amount_total: amount, currency, customer, customer_email: email } = session
  attempt(account, openIntent(account, { amount, currency, customer, description: "Subscription creation", email }), "declines")
}

const completeCheckout = (account: Account, session: CheckoutSession, means: "good" | "delayed", typedEmail: string | null) => {
  const { description, lineItem, metadata, price, quantity } = cartOf(account, session)
  const email = session.customer_details?.email ?? typedEmail ?? "buyer@example.com"
  const customer =
    session.customer === null
      ? account.add(makeCustomer(account.birth(), { email, metadata: {} }), "customer.created")
      : account.get("customer", session.customer)
  const subscription = startSubscription(account, { customer: customer.id, price, quantity, metadata, description, means })
  session.status = "complete"
  session.payment_status = means === "good" || lineItem.amount_total === 0 ? "paid" : "unpaid"
  session.customer = customer.id
  session.customer_details = customerDetails(email)
  session.subscription = subscription.id
  session.invoice = subscription.latest_invoice
  session.url = null
  account.emit("checkout.session.completed", session)
}

/** The delayed payment of a completed session succeeds or fails. */
export const settleCheckout = (account: Account, session: CheckoutSession, outcome: "succeeded" | "failed") => {
  const invoice = account.find("invoice", session.invoice)
  if (session.status !== "complete" || session.payment_status !== "unpaid" || invoice?.status !== "open")
    throw invalid(`No payment of ${session.id} is on its way.`)
  collectDelayed(account, invoice, outcome)
  if (outcome === "succeeded") session.payment_status = "paid"
  account.emit(`checkout.session.async_payment_${outcome}`, session)
}

export const expireCheckout = (account: Account, session: CheckoutSession) => {
  requireOpen(session)
  session.status = "expired"
  session.url = null
  account.emit("checkout.session.expired", session)
}

const requireOpen = ({ id, status }: CheckoutSession) => {
  if (status !== "open")
    throw invalid(
      `Only Checkout Sessions with a status in ["open"] can be expired or paid. This Checkout Session (${id}) has a status of ${status}.`
    )
}

const cartOf = (account: Account, session: CheckoutSession) => {
  const cart = account.state.carts[session.id]
  if (!cart) throw new Error(`${session.id} has no cart`)
  return {
    price: account.get("price", cart.price),
    quantity: cart.quantity,
    lineItem: cart.lineItem,
    metadata: { ...cart.subscriptionMetadata },
    description: cart.subscriptionDescription
  }
}
