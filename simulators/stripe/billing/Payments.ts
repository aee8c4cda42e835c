import type { Account } from "../Account.ts"
import { cardError, type Charge, makeCharge, makePaymentIntent, type PaymentIntent } from "../objects/Payment.ts"
import type { Card } from "../State.ts"

/** A card, or a payment method that succeeds or fails days later. */
export type Means = Card | "delayed"

export type Outcome = "succeeded" | "failed" | "processing"

export const openIntent = (account: Account, input: Parameters<typeof makePaymentIntent>[1]): PaymentIntent =>
  account.add(makePaymentIntent(account.birth(), input), "payment_intent.created")

/** One attempt to charge. */
export const attempt = (account: Account, intent: PaymentIntent, means: Means): Outcome => {
  if (means === "good") return succeed(account, intent, addCharge(account, intent, "succeeded"))
  if (means === "delayed") return wait(account, intent)
  if (means === "none") return "failed"
  return fail(account, intent, addCharge(account, intent, "failed", means))
}

/** Ends a delayed payment with this outcome. */
export const settleDelayed = (account: Account, intent: PaymentIntent, outcome: "succeeded" | "failed"): Outcome => {
  const charge = account.get("charge", intent.latest_charge ?? "")
  charge.status = outcome
  charge.paid = outcome === "succeeded"
  charge.captured = charge.paid
  charge.amount_captured = charge.paid ? charge.amount : 0
  return outcome === "succeeded" ? succeed(account, intent, charge) : fail(account, intent, charge)
}

const addCharge = (account: Account, intent: PaymentIntent, status: "succeeded" | "pending" | "failed", card: Card = "good") => {
  const { amount, currency, customer, description, id } = intent
  const email = account.find("customer", customer)?.email ?? null
  const decline = status === "failed" ? cardError(card === "declines" ? "generic_decline" : card) : null
  const input = { amount, currency, customer, description, email, paymentIntent: id, status, decline }
  const charge = account.add(makeCharge(account.birth(), input))
  intent.latest_charge = charge.id
  intent.payment_method = charge.payment_method
  return charge
}

const succeed = (account: Account, intent: PaymentIntent, charge: Charge): Outcome => {
  account.emit("charge.succeeded", charge)
  intent.status = "succeeded"
  intent.amount_received = intent.amount
  intent.last_payment_error = null
  account.emit("payment_intent.succeeded", intent)
  return "succeeded"
}

const fail = (account: Account, intent: PaymentIntent, charge: Charge): Outcome => {
  account.emit("charge.failed", charge)
  intent.status = "requires_payment_method"
  intent.payment_method = null
  intent.last_payment_error = cardError(charge.outcome.reason ?? "generic_decline")
  account.emit("payment_intent.payment_failed", intent)
  return "failed"
}

const wait = (account: Account, intent: PaymentIntent): Outcome => {
  account.emit("charge.pending", addCharge(account, intent, "pending"))
  intent.status = "processing"
  account.emit("payment_intent.processing", intent)
  return "processing"
}
