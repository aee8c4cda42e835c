import { type Birth, initially, makeId } from "./Base.ts"

export type PaymentIntent = ReturnType<typeof makePaymentIntent>
export type Charge = ReturnType<typeof makeCharge>
/** Why a card was declined: https://docs.stripe.com/declines/codes */
export type Decline = ReturnType<typeof cardError>

interface PaymentInput {
  readonly amount: number
  readonly currency: string
  readonly customer: string | null
  readonly description: string
  readonly email: string | null
}

/** https://docs.stripe.com/api/payment_intents/object */
export const makePaymentIntent = ({ created, livemode }: Birth, input: PaymentInput) => {
  const id = makeId("pi")
  return {
    id,
    object: "payment_intent" as const,
    allowed_payment_method_types: null,
    amount: input.amount,
    amount_capturable: 0,
    amount_details: { tip: {} },
    amount_received: 0,
    application: null,
    application_fee_amount: null,
    automatic_payment_methods: null,
    canceled_at: initially<number | null>(null),
    cancellation_reason: initially<string | null>(null),
    capture_method: "automatic",
    client_secret: `${id}_secret_${makeId("").slice(1)}`,
    confirmation_method: "automatic",
    created,
    currency: input.currency,
    customer: input.customer,
    customer_account: null,
    description: input.description,
    excluded_payment_method_types: null,
    last_payment_error: initially<Decline | null>(null),
    latest_charge: initially<string | null>(null),
    livemode,
    managed_payments: null,
    metadata: {},
    next_action: null,
    on_behalf_of: null,
    payment_method: initially<string | null>(null),
    payment_method_configuration_details: null,
    payment_method_options: { card: { request_three_d_secure: "automatic" } },
    payment_method_types: ["card"],
    payment_record: null,
    processing: null,
    receipt_email: null,
    review: null,
    setup_future_usage: "off_session",
    shipping: null,
    source: null,
    statement_descriptor: null,
    statement_descriptor_suffix: null,
    status: "requires_payment_method",
    transfer_group: null
  }
}

/** https://docs.stripe.com/api/charges/object. Its invoice is found through the invoice payments. */
export const makeCharge = (
  { created, livemode }: Birth,
  input: PaymentInput & {
    readonly paymentIntent: string
    readonly status: "succeeded" | "pending" | "failed"
    readonly decline: Decline | null
  }
) => ({
  id: makeId("ch"),
  object: "charge" as const,
  amount: input.amount,
  amount_captured: input.status === "succeeded" ? input.amount : 0,
  amount_refunded: 0,
  application: null,
  application_fee: null,
  application_fee_amount: null,
  balance_transaction: input.status === "failed" ? null : makeId("txn"),
  billing_details: { address: null, email: input.email, name: null, phone: null, tax_id: null },
  calculated_statement_descriptor: "SIMULATOR",
  captured: input.status === "succeeded",
  created,
  currency: input.currency,
  customer: input.customer,
  description: input.description,
  disputed: false,
  failure_balance_transaction: null,
  failure_code: input.decline && input.decline.code,
  failure_message: input.decline && input.decline.message,
  fraud_details: {},
  livemode,
  metadata: {},
  on_behalf_of: null,
  outcome: input.decline
    ? { network_status: "declined_by_network", reason: input.decline.decline_code, risk_level: "normal", type: "issuer_declined" }
    : { network_status: "approved_by_network", reason: null, risk_level: "normal", type: "authorized" },
  paid: input.status !== "failed",
  payment_intent: input.paymentIntent,
  payment_method: makeId("pm"),
  payment_method_details: { card: { brand: "visa", exp_month: 12, exp_year: 2034, last4: "4242" }, type: "card" },
  receipt_email: null,
  receipt_number: null,
  receipt_url: null,
  refunded: false,
  review: null,
  shipping: null,
  source: null,
  source_transfer: null,
  statement_descriptor: null,
  statement_descriptor_suffix: null,
  status: input.status,
  transfer_data: null,
  transfer_group: null
})

export const cardError = (declineCode: string) => ({
  code: "card_declined",
  decline_code: declineCode,
  doc_url: "https://stripe.com/docs/error-codes/card-declined",
  message: "Your card was declined.",
  type: "card_error"
})
