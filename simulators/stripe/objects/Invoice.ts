import { automaticTaxOn } from "./Tax.ts"
import { automaticTaxOff, type Birth, initially, makeId, sublist } from "./Base.ts"
import type { Priced } from "../billing/Pricing.ts"
import type { Customer } from "./Customer.ts"
import type { Discount } from "./Discount.ts"
import type { Subscription, SubscriptionItem } from "./Subscription.ts"

export type Invoice = ReturnType<typeof makeInvoice>
export type InvoicePayment = ReturnType<typeof makeInvoicePayment>
export type BillingReason = "subscription_create" | "subscription_cycle" | "subscription_update"

interface InvoiceInput {
  readonly customer: Customer
  readonly subscription: Subscription
  readonly item: SubscriptionItem
  readonly reason: BillingReason
  /** Minor units; the subtotal is negative for a credit. */
  readonly priced: Priced
  readonly discount: Discount | undefined
  /** Whether it is for a change within the period. */
  readonly isProration: boolean
  readonly description: string
}

/** https://docs.stripe.com/api/invoices/object, as a draft. Its subscription is `parent.subscription_details.subscription`. */
export const makeInvoice = (
  { created, livemode }: Birth,
  { customer, description, discount, isProration, item, priced, reason, subscription }: InvoiceInput
) => {
  const id = makeId("in")
  const due = Math.max(priced.total, 0)
  const isTaxed = subscription.automatic_tax.enabled
  const discounts = discount === undefined ? [] : [discount.id]
  const discountAmounts = discounts.map((each) => ({ amount: priced.discount, discount: each }))
  const taxes = isTaxed ? [taxOf(item, priced)] : []
  return {
    id,
    object: "invoice" as const,
    account_country: "US",
    account_name: "Simulated account",
    account_tax_ids: null,
    amount_due: due,
    amount_overpaid: 0,
    amount_paid: 0,
    amount_remaining: due,
    amount_shipping: 0,
    application: null,
    attempt_count: 0,
    attempted: false,
    auto_advance: true,
    automatic_tax: isTaxed ? automaticTaxOn() : automaticTaxOff(),
    automatically_finalizes_at: initially<number | null>(null),
    billing_reason: reason,
    collection_method: "charge_automatically",
    created,
    currency: subscription.currency,
    custom_fields: null,
    customer: customer.id,
    customer_account: null,
    customer_address: null,
    customer_email: customer.email,
    customer_name: customer.name,
    customer_phone: customer.phone,
    customer_shipping: null,
    customer_tax_exempt: "none",
    customer_tax_ids: [],
    default_payment_method: null,
    default_source: null,
    default_tax_rates: [],
    description: null,
    discounts,
    due_date: null,
    effective_at: initially<number | null>(null),
    ending_balance: initially<number | null>(null),
    footer: null,
    from_invoice: null,
    hosted_invoice_url: initially<string | null>(null),
    invoice_pdf: initially<string | null>(null),
    issuer: { type: "self" },
    last_finalization_error: null,
    latest_revision: null,
    lines: sublist(`/v1/invoices/${id}/lines`, [
      makeLine(id, livemode, { item, amount: priced.subtotal, description, isProration, discountAmounts, taxes })
    ]),
    livemode,
    metadata: {},
    next_payment_attempt: initially<number | null>(null),
    number: initially<string | null>(null),
    on_behalf_of: null,
    parent: {
      quote_details: null,
      subscription_details: { metadata: subscription.metadata, subscription: subscription.id },
      type: "subscription_details"
    },
    payment_settings: { default_mandate: null, payment_method_options: null, payment_method_types: null },
    period_end: reason === "subscription_create" ? created : item.current_period_start,
    period_start: created,
    post_payment_credit_notes_amount: 0,
    pre_payment_credit_notes_amount: 0,
    receipt_number: null,
    rendering: null,
    shipping_cost: null,
    shipping_details: null,
    starting_balance: 0,
    statement_descriptor: null,
    status: initially<"draft" | "open" | "paid" | "uncollectible" | "void">("draft"),
    status_transitions: {
      finalized_at: initially<number | null>(null),
      marked_uncollectible_at: null,
      paid_at: initially<number | null>(null),
      voided_at: initially<number | null>(null)
    },
    subtotal: priced.subtotal,
    subtotal_excluding_tax: priced.subtotal,
    test_clock: null,
    total: priced.total,
    total_discount_amounts: discountAmounts,
    total_excluding_tax: priced.total - priced.tax,
    total_pretax_credit_amounts: [],
    total_taxes: taxes,
    webhooks_delivered_at: created
  }
}

/** https://docs.stripe.com/api/invoices/object#invoice_object-total_taxes */
const taxOf = ({ price }: SubscriptionItem, { tax, total }: Priced) => ({
  amount: tax,
  tax_behavior: price.tax_behavior === "inclusive" ? "inclusive" : "exclusive",
  tax_rate_details: { tax_rate: "txr_simulated" },
  taxability_reason: "standard_rated",
  taxable_amount: total - tax,
  type: "tax_rate_details" as const
})

interface LineInput {
  readonly item: SubscriptionItem
  readonly amount: number
  readonly description: string
  readonly isProration: boolean
  readonly discountAmounts: Array<{ amount: number; discount: string }>
  readonly taxes: Array<ReturnType<typeof taxOf>>
}

const makeLine = (
  invoice: string,
  livemode: boolean,
  { amount, description, discountAmounts, isProration, item, taxes }: LineInput
) => ({
  id: makeId("il"),
  object: "line_item" as const,
  amount,
  currency: item.price.currency,
  description,
  discount_amounts: discountAmounts,
  discountable: true,
  discounts: discountAmounts.map(({ discount }) => discount),
  invoice,
  livemode,
  metadata: {},
  parent: {
    invoice_item_details: null,
    subscription_item_details: {
      invoice_item: null,
      proration: isProration,
      proration_details: { credited_items: null },
      subscription: item.subscription,
      subscription_item: item.id
    },
    type: "subscription_item_details"
  },
  period: { end: item.current_period_end, start: item.current_period_start },
  pretax_credit_amounts: [],
  pricing: {
    price_details: { price: item.price.id, product: item.price.product },
    type: "price_details" as const,
    unit_amount_decimal: item.price.unit_amount_decimal
  },
  quantity: item.quantity,
  quantity_decimal: String(item.quantity),
  subscription: item.subscription,
  subtotal: amount,
  taxes
})

/** https://docs.stripe.com/api/invoice-payment/object: links an invoice to the payment intent that pays it. */
export const makeInvoicePayment = ({ created, livemode }: Birth, invoice: Invoice, paymentIntent: string) => ({
  id: makeId("inpay"),
  object: "invoice_payment" as const,
  amount_paid: initially<number | null>(null),
  amount_requested: invoice.amount_due,
  created,
  currency: invoice.currency,
  invoice: invoice.id,
  is_default: true,
  livemode,
  payment: { payment_intent: paymentIntent, type: "payment_intent" },
  status: initially<"open" | "paid" | "canceled">("open"),
  status_transitions: { canceled_at: initially<number | null>(null), paid_at: initially<number | null>(null) }
})
