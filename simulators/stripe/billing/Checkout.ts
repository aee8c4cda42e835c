import type { Account } from "../Account.ts"
import { makeCustomer } from "../objects/Customer.ts"
import type { Price } from "../objects/Catalog.ts"
import { type CheckoutSession, customerDetails, discountsOf, totalDetails } from "../objects/CheckoutSession.ts"
import type { Cart } from "../State.ts"
import { invalid } from "../wire/StripeError.ts"
import { collectDelayed } from "./Collection.ts"
import { checkCode, findCode } from "./Discounts.ts"
import { attempt, openIntent } from "./Payments.ts"
import { type Priced, priced } from "./Pricing.ts"
import { startSubscription } from "./Subscribing.ts"

/**
 * What the buyer does on the page: pay by card, try a card that is declined, use a delayed payment method, or start a trial
 * without a card.
 */
export type CheckoutAction = "pay" | "decline" | "later" | "start"

/** What is due now for a cart: nothing in a trial. */
export const pricedCart = (
  account: Account,
  cart: Pick<Cart, "quantity" | "discount" | "taxed" | "trial"> & { readonly price: Price }
): Priced => {
  const coupon = account.find("coupon", cart.discount?.coupon)
  const amount = cart.trial === null ? cart.price.unit_amount * cart.quantity : 0
  return priced(account, cart.price, amount, { coupon, taxed: cart.taxed })
}

/** The buyer types a code into the page's field. */
export const enterCode = (account: Account, session: CheckoutSession, typed: string) => {
  requireOpen(session)
  if (session.allow_promotion_codes !== true) throw invalid("This session takes no promotion codes.", "code")
  const code = findCode(account, typed)
  if (!code) throw invalid("This code is invalid.", "code")
  const stored = account.state.carts[session.id]
  if (!stored) throw new Error(`${session.id} has no cart`)
  stored.discount = checkCode(account, code, session.customer, "code")
  const cart = cartOf(account, session)
  const sums = pricedCart(account, cart)
  session.discounts = discountsOf(stored.discount)
  session.amount_total = sums.total
  session.total_details = totalDetails(sums)
}

export const actOnCheckout = (
  account: Account,
  session: CheckoutSession,
  action: CheckoutAction,
  email: string | null = null
) => {
  requireOpen(session)
  if (action === "start" && (session.payment_method_collection !== "if_required" || session.amount_total > 0))
    throw invalid("This session needs a card.")
  if (action === "decline") declineCheckout(account, session)
  else completeCheckout(account, session, meansOf[action], email)
}

const meansOf = { pay: "good", later: "delayed", start: "none" } as const

/** A declined card leaves the session open and starts no subscription. */
const declineCheckout = (account: Account, session: CheckoutSession) => {
  const { amount_total: amount, currency, customer, customer_email: email } = session
  attempt(account, openIntent(account, { amount, currency, customer, description: "Subscription creation", email }), "declines")
}

const completeCheckout = (
  account: Account,
  session: CheckoutSession,
  means: "good" | "delayed" | "none",
  typedEmail: string | null
) => {
  const { discount, description, metadata, price, quantity, taxed, trial } = cartOf(account, session)
  const email = session.customer_details?.email ?? typedEmail ?? "buyer@example.com"
  const customer =
    session.customer === null
      ? account.add(makeCustomer(account.birth(), { email, metadata: {} }), "customer.created")
      : account.get("customer", session.customer)
  if (means === "none") account.state.cards[customer.id] = "none"
  else if (account.state.cards[customer.id] === "none") delete account.state.cards[customer.id]
  const input = { customer: customer.id, price, quantity, metadata, description, discount, taxed, trial, means }
  const subscription = startSubscription(account, input)
  session.status = "complete"
  const isPaid = means === "good" || session.amount_total === 0
  session.payment_status = trial !== null ? "no_payment_required" : isPaid ? "paid" : "unpaid"
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
    discount: cart.discount,
    taxed: cart.taxed,
    trial: cart.trial,
    metadata: { ...cart.subscriptionMetadata },
    description: cart.subscriptionDescription
  }
}
