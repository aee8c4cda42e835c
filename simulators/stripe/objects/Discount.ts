import { type Birth, initially, makeId } from "./Base.ts"

export type Coupon = ReturnType<typeof makeCoupon>
export type PromotionCode = ReturnType<typeof makePromotionCode>
export type Discount = ReturnType<typeof makeDiscount>

interface CouponInput {
  readonly id?: string | undefined
  readonly name: string | null
  readonly percentOff: number | null
  /** Minor units of the currency. */
  readonly amountOff: number | null
  readonly currency: string | null
  readonly duration: "forever" | "once" | "repeating"
  readonly months: number | null
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/coupons/object */
export const makeCoupon = ({ created, livemode }: Birth, input: CouponInput) => ({
  id: input.id ?? makeId("coupon"),
  object: "coupon" as const,
  amount_off: input.amountOff,
  created,
  currency: input.currency,
  duration: input.duration,
  duration_in_months: input.months,
  livemode,
  max_redemptions: null,
  metadata: input.metadata,
  name: input.name,
  percent_off: input.percentOff,
  redeem_by: null,
  times_redeemed: 0,
  valid: true
})

interface PromotionCodeInput {
  readonly code: string
  readonly coupon: string
  readonly customer: string | null
  readonly active: boolean
  readonly expiresAt: number | null
  readonly maxRedemptions: number | null
  readonly firstTime: boolean
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/promotion_codes/object */
export const makePromotionCode = ({ created, livemode }: Birth, input: PromotionCodeInput) => ({
  id: makeId("promo"),
  object: "promotion_code" as const,
  active: input.active,
  code: input.code,
  created,
  customer: input.customer,
  customer_account: null,
  expires_at: input.expiresAt,
  livemode,
  max_redemptions: input.maxRedemptions,
  metadata: input.metadata,
  promotion: { coupon: input.coupon, type: "coupon" as const },
  restrictions: { first_time_transaction: input.firstTime, minimum_amount: null, minimum_amount_currency: null },
  times_redeemed: 0
})

interface DiscountInput {
  readonly customer: string
  readonly subscription: string
  readonly coupon: string
  readonly promotionCode: string | null
  readonly end: number | null
}

/** https://docs.stripe.com/api/discounts/object, of a subscription. */
export const makeDiscount = ({ created }: Birth, input: DiscountInput) => ({
  id: makeId("di"),
  object: "discount" as const,
  checkout_session: null,
  customer: input.customer,
  customer_account: null,
  end: initially<number | null>(input.end),
  invoice: null,
  invoice_item: null,
  promotion_code: input.promotionCode,
  source: { coupon: input.coupon, type: "coupon" as const },
  start: created,
  subscription: input.subscription,
  subscription_item: null
})
