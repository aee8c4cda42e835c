import { automaticTaxOff, type Birth, initially, makeId } from "./Base.ts"
import type { Priced } from "../billing/Pricing.ts"
import type { AppliedCoupon } from "../State.ts"
import type { Price } from "./Catalog.ts"
import { automaticTaxOn } from "./Tax.ts"

export type CheckoutSession = ReturnType<typeof makeCheckoutSession>

interface CheckoutInput {
  readonly priced: Priced
  readonly discount: AppliedCoupon | null
  readonly taxed: boolean
  readonly collectsTaxIds: boolean
  readonly cardCollection: "always" | "if_required"
  readonly currency: string
  readonly expiresAt: number
  readonly clientReferenceId: string | null
  readonly customer: string | null
  readonly customerEmail: string | null
  readonly locale: string | null
  readonly allowPromotionCodes: boolean | null
  readonly successUrl: string
  readonly cancelUrl: string | null
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/checkout/sessions/object */
export const makeCheckoutSession = ({ created, livemode, url }: Birth, input: CheckoutInput) => {
  const id = makeId(livemode ? "cs_live" : "cs_test")
  return {
    id,
    object: "checkout.session" as const,
    adaptive_pricing: { enabled: true },
    after_expiration: null,
    allow_promotion_codes: input.allowPromotionCodes,
    allowed_payment_method_types: null,
    amount_subtotal: input.priced.subtotal,
    amount_total: input.priced.total,
    automatic_tax: input.taxed ? automaticTaxOn() : automaticTaxOff(),
    billing_address_collection: null,
    cancel_url: input.cancelUrl,
    client_reference_id: input.clientReferenceId,
    client_secret: null,
    collected_information: { business_name: null, individual_name: null, shipping_details: null },
    consent: null,
    consent_collection: null,
    created,
    currency: input.currency,
    currency_conversion: null,
    custom_fields: [],
    custom_text: {
      after_submit: null,
      shipping_address: null,
      submit: null,
      terms_of_service_acceptance: null
    },
    customer: input.customer,
    customer_account: null,
    customer_creation: input.customer === null ? "always" : null,
    customer_details: input.customerEmail === null ? null : customerDetails(input.customerEmail),
    customer_email: input.customer === null ? input.customerEmail : null,
    discounts: discountsOf(input.discount),
    expires_at: input.expiresAt,
    integration_identifier: null,
    invoice: initially<string | null>(null),
    invoice_creation: null,
    livemode,
    locale: input.locale,
    managed_payments: null,
    metadata: input.metadata,
    mode: "subscription",
    origin_context: null,
    payment_intent: initially<string | null>(null),
    payment_link: null,
    payment_method_collection: input.cardCollection,
    payment_method_configuration_details: null,
    payment_method_options: { card: { request_three_d_secure: "automatic" } },
    payment_method_types: ["card"],
    payment_status: "unpaid",
    permissions: null,
    phone_number_collection: { enabled: false },
    recovered_from: null,
    saved_payment_method_options: {
      allow_redisplay_filters: ["always"],
      payment_method_remove: "disabled",
      payment_method_save: null
    },
    setup_intent: null,
    shipping_address_collection: null,
    shipping_cost: null,
    shipping_options: [],
    status: initially<"open" | "complete" | "expired">("open"),
    submit_type: null,
    subscription: initially<string | null>(null),
    success_url: input.successUrl,
    ...(input.collectsTaxIds && { tax_id_collection: { enabled: true, required: "never" } }),
    total_details: totalDetails(input.priced),
    ui_mode: "hosted_page",
    url: initially<string | null>(`${url}/pay/${id}`),
    wallet_options: null
  }
}

/** https://docs.stripe.com/api/checkout/sessions/object#checkout_session_object-discounts */
export const discountsOf = (discount: AppliedCoupon | null) =>
  discount === null ? [] : [{ coupon: discount.coupon, promotion_code: discount.promotionCode }]

export const totalDetails = ({ discount, tax }: Priced) => ({ amount_discount: discount, amount_shipping: 0, amount_tax: tax })

export const customerDetails = (email: string | null) => ({
  address: null,
  business_name: null,
  email,
  individual_name: null,
  name: null,
  phone: null,
  tax_exempt: "none",
  tax_ids: []
})

/** What a session sells; only included when `line_items` is expanded. */
export const makeLineItem = (price: Price, quantity: number, description: string) => ({
  id: makeId("li"),
  object: "item" as const,
  adjustable_quantity: null,
  amount_discount: 0,
  amount_subtotal: price.unit_amount * quantity,
  amount_tax: 0,
  amount_total: price.unit_amount * quantity,
  currency: price.currency,
  description,
  metadata: null,
  price,
  quantity
})
