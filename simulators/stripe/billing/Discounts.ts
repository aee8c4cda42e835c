import type { Account } from "../Account.ts"
import { type Discount, makeDiscount, type PromotionCode } from "../objects/Discount.ts"
import { addMonths, type Subscription } from "../objects/Subscription.ts"
import type { AppliedCoupon } from "../State.ts"
import { invalid } from "../wire/StripeError.ts"

/** The code with this text that can be used now; codes are compared without regard to case. */
export const findCode = (account: Account, code: string): PromotionCode | undefined =>
  account.all("promotion_code").find((each) => each.code.toLowerCase() === code.toLowerCase() && isUsable(account, each))

/** What Stripe shows as `active`: switched on, not expired, and not used up. */
export const isUsable = (
  account: Account,
  { active, expires_at: expiresAt, max_redemptions: most, promotion, times_redeemed: times }: PromotionCode
): boolean =>
  active &&
  (expiresAt === null || expiresAt > account.now()) &&
  (most === null || times < most) &&
  account.find("coupon", promotion.coupon)?.valid === true

/** Refuses a code that this customer may not use. */
export const checkCode = (account: Account, code: PromotionCode, customer: string | null, param: string): AppliedCoupon => {
  if (!isUsable(account, code)) throw invalid(`This promotion code is not active.`, param)
  if (code.customer !== null && code.customer !== customer) throw invalid("This promotion code is for another customer.", param)
  const hasPaid = account.all("invoice").some((invoice) => invoice.customer === customer && invoice.amount_paid > 0)
  if (code.restrictions.first_time_transaction && hasPaid)
    throw invalid("This promotion code cannot be redeemed because the associated customer has prior transactions.", param)
  return { coupon: code.promotion.coupon, promotionCode: code.id }
}

/** Gives a new subscription its discount. */
export const applyDiscount = (account: Account, subscription: Subscription, { coupon: id, promotionCode }: AppliedCoupon) => {
  const coupon = account.get("coupon", id)
  const months = coupon.duration === "repeating" ? (coupon.duration_in_months ?? 1) : null
  const end = months === null ? null : addMonths(account.now(), months)
  const input = { customer: subscription.customer, subscription: subscription.id, coupon: id, promotionCode, end }
  subscription.discounts = [account.add(makeDiscount(account.birth(), input)).id]
  coupon.times_redeemed++
  const code = account.find("promotion_code", promotionCode)
  if (code) code.times_redeemed++
}

/** The discount that counts for an invoice of now. */
export const currentDiscount = (account: Account, subscription: Subscription): Discount | undefined => {
  const discount = account.find("discount", subscription.discounts[0])
  return discount === undefined || (discount.end !== null && discount.end <= account.now()) ? undefined : discount
}

/** A discount that is taken once is gone after the first invoice that it has lowered. */
export const useDiscount = (account: Account, subscription: Subscription, discount: Discount) => {
  if (account.find("coupon", discount.source.coupon)?.duration === "once") subscription.discounts = []
}
