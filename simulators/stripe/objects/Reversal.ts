import { type Birth, daySeconds, makeId } from "./Base.ts"
import type { Charge } from "./Payment.ts"

export type Refund = ReturnType<typeof makeRefund>
export type Dispute = ReturnType<typeof makeDispute>

/** https://docs.stripe.com/api/refunds/object */
export const makeRefund = (
  { created }: Birth,
  charge: Charge,
  input: { readonly amount: number; readonly reason: string | null; readonly metadata: Record<string, string> }
) => ({
  id: makeId("re"),
  object: "refund" as const,
  amount: input.amount,
  balance_transaction: makeId("txn"),
  charge: charge.id,
  created,
  currency: charge.currency,
  customer: charge.customer,
  customer_account: null,
  destination_details: {
    card: { reference_status: "pending", reference_type: "acquirer_reference_number", type: "refund" },
    type: "card"
  },
  metadata: input.metadata,
  payment_intent: charge.payment_intent,
  payment_method: charge.payment_method,
  reason: input.reason,
  receipt_number: null,
  source_transfer_reversal: null,
  status: "succeeded",
  transfer_reversal: null
})

/** https://docs.stripe.com/api/disputes/object */
export const makeDispute = ({ created, livemode }: Birth, charge: Charge, reason: string) => ({
  id: makeId("du"),
  object: "dispute" as const,
  amount: charge.amount,
  balance_transactions: [],
  charge: charge.id,
  created,
  currency: charge.currency,
  enhanced_eligibility_types: [],
  evidence: {},
  evidence_details: {
    due_by: created + 7 * daySeconds,
    enhanced_eligibility: {},
    has_evidence: false,
    past_due: false,
    submission_count: 0
  },
  intended_submission_method: null,
  is_charge_refundable: false,
  livemode,
  metadata: {},
  network_reason_code: "10.4",
  payment_intent: charge.payment_intent,
  payment_method_details: { card: { brand: "visa", case_type: "chargeback", network_reason_code: "10.4" }, type: "card" },
  reason,
  status: "needs_response"
})
