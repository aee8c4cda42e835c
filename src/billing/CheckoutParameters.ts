import type { Stripe as Sdk } from "stripe"

/** What a checkout's session is created for. */
export interface CheckoutRequest {
  readonly customer: string
  readonly userId: string
  readonly attemptId: string
  readonly price: string
  /** The id of a promotion code. */
  readonly promotionCode: string | null
  /** Whether the page has a field for a promotion code, when the request has none. */
  readonly offersCodes: boolean
  readonly trialDays: number
  /** Unix seconds. */
  readonly expiresAt: number
  readonly returnUrl: string
  readonly cancelUrl: string
}

/** A trial that ends without a card ends the subscription: it would stay unpaid otherwise. */
const trialOf = (days: number) => ({
  trial_period_days: days,
  trial_settings: { end_behavior: { missing_payment_method: "cancel" as const } }
})

const taxParameters = {
  automatic_tax: { enabled: true },
  tax_id_collection: { enabled: true },
  customer_update: { address: "auto", name: "auto" }
} as const

const codesOf = ({ offersCodes, promotionCode }: CheckoutRequest) =>
  promotionCode !== null ? { discounts: [{ promotion_code: promotionCode }] } : offersCodes ? { allow_promotion_codes: true } : {}

/** The session as Stripe is asked for it. */
export const sessionParameters = (collectsTax: boolean, request: CheckoutRequest): Sdk.Checkout.SessionCreateParams => ({
  mode: "subscription",
  customer: request.customer,
  client_reference_id: request.userId,
  line_items: [{ price: request.price, quantity: 1 }],
  subscription_data: {
    metadata: { userId: request.userId },
    ...(request.trialDays === 0 ? {} : trialOf(request.trialDays))
  },
  success_url: request.returnUrl,
  cancel_url: request.cancelUrl,
  expires_at: request.expiresAt,
  ...codesOf(request),
  ...(collectsTax ? taxParameters : {}),
  ...(request.trialDays === 0 ? {} : { payment_method_collection: "if_required" })
})
