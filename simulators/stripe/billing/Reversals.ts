import type { Account } from "../Account.ts"
import type { Charge } from "../objects/Payment.ts"
import { type Dispute, makeDispute, makeRefund } from "../objects/Reversal.ts"
import { invalid } from "../wire/StripeError.ts"

interface RefundInput {
  /** Minor units; absent means all that is left. */
  readonly amount?: number | undefined
  readonly reason: string | null
  readonly metadata: Record<string, string>
}

export const makeRefundOf = (account: Account, charge: Charge, input: RefundInput) => {
  const left = charge.amount_captured - charge.amount_refunded
  const amount = input.amount ?? left
  if (charge.status !== "succeeded") throw invalid(`Charge ${charge.id} has not been captured.`, "charge")
  if (charge.disputed)
    throw invalid(`Charge ${charge.id} has been charged back; cannot issue a refund.`, undefined, "charge_disputed")
  if (left === 0) throw invalid(`Charge ${charge.id} has already been refunded.`, undefined, "charge_already_refunded")
  if (amount < 1) throw invalid("Invalid positive integer", "amount", "parameter_invalid_integer")
  if (amount > left) throw invalid(`Refund amount (${amount}) is greater than unrefunded amount on charge (${left})`, "amount")
  const refund = account.add(makeRefund(account.birth(), charge, { ...input, amount }))
  account.change(charge, "charge.refunded", () => {
    charge.amount_refunded += amount
    charge.refunded = charge.amount_refunded === charge.amount
  })
  account.emit("refund.created", refund)
  return refund
}

/** The cardholder disputes the charge: the money is withdrawn until the dispute is won. */
export const openDispute = (account: Account, charge: Charge, reason: string): Dispute => {
  if (charge.status !== "succeeded" || charge.disputed) throw invalid(`Charge ${charge.id} cannot be disputed.`)
  charge.disputed = true
  const dispute = account.add(makeDispute(account.birth(), charge, reason), "charge.dispute.created")
  account.emit("charge.dispute.funds_withdrawn", dispute)
  return dispute
}

export const closeDispute = (account: Account, dispute: Dispute, outcome: "won" | "lost") => {
  if (dispute.status === "won" || dispute.status === "lost") throw invalid(`Dispute ${dispute.id} is closed: ${dispute.status}.`)
  dispute.status = outcome
  account.emit("charge.dispute.closed", dispute)
  if (outcome === "won") account.emit("charge.dispute.funds_reinstated", dispute)
}
