import type { Account } from "../Account.ts"
import { isUsable } from "../billing/Discounts.ts"
import { makeId } from "../objects/Base.ts"
import { makeCoupon, makePromotionCode, type PromotionCode } from "../objects/Discount.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { boolean, hash, integer, mergeMetadata, metadata, number, oneOf, required, text, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid } from "../wire/StripeError.ts"

const coupon = {
  id: word,
  name: text,
  percent_off: number,
  amount_off: integer,
  currency: word,
  duration: oneOf("forever", "once", "repeating"),
  duration_in_months: integer,
  metadata
}

const promotionCode = {
  promotion: required(hash({ type: required(oneOf("coupon")), coupon: required(word) })),
  code: word,
  customer: word,
  active: boolean,
  expires_at: integer,
  max_redemptions: integer,
  restrictions: hash({ first_time_transaction: boolean }),
  metadata
}

/** https://docs.stripe.com/api/coupons and https://docs.stripe.com/api/promotion_codes */
export const couponRoutes = [
  route("POST", "/v1/coupons", coupon, (account, input) => {
    const { amount_off: amountOff = null, currency = null, duration = "once", percent_off: percentOff = null } = input
    if ((amountOff === null) === (percentOff === null)) throw invalid("Pass either percent_off or amount_off.", "percent_off")
    if (amountOff !== null && currency === null) throw invalid("You must pass currency with amount_off.", "currency")
    if (percentOff !== null && (percentOff <= 0 || percentOff > 100)) throw invalid("Invalid percent_off.", "percent_off")
    if ((duration === "repeating") !== (input.duration_in_months !== undefined))
      throw invalid("duration_in_months is required for the duration repeating alone.", "duration_in_months")
    if (account.find("coupon", input.id)) throw invalid("Coupon already exists.", "id", "resource_already_exists")
    return account.add(
      makeCoupon(account.birth(), {
        id: input.id,
        name: input.name ?? null,
        percentOff,
        amountOff,
        currency,
        duration,
        months: input.duration_in_months ?? null,
        metadata: mergeMetadata({}, input.metadata)
      }),
      "coupon.created"
    )
  }),

  route("GET", "/v1/coupons/:id", {}, (account, _input, id) => account.get("coupon", id)),

  route("GET", "/v1/coupons", listParameters, (account, input) => page("/v1/coupons", account.all("coupon"), input)),

  route("POST", "/v1/promotion_codes", promotionCode, (account, input) => {
    const { id } = account.get("coupon", input.promotion.coupon, "promotion[coupon]")
    const code = input.code ?? makeId("").slice(1, 9).toUpperCase()
    if (!/^[\w-]+$/.test(code)) throw invalid("Promotion codes have letters, digits and dashes.", "code")
    const isTaken = account.all("promotion_code").some((each) => each.active && each.code.toLowerCase() === code.toLowerCase())
    if (isTaken) throw invalid("An active promotion code with this code already exists.", "code", "resource_already_exists")
    const created = makePromotionCode(account.birth(), {
      code,
      coupon: id,
      customer: input.customer ?? null,
      active: input.active ?? true,
      expiresAt: input.expires_at ?? null,
      maxRedemptions: input.max_redemptions ?? null,
      firstTime: input.restrictions?.first_time_transaction ?? false,
      metadata: mergeMetadata({}, input.metadata)
    })
    return account.add(created, "promotion_code.created")
  }),

  route("POST", "/v1/promotion_codes/:id", { active: boolean, metadata }, (account, input, id) => {
    const code = account.get("promotion_code", id)
    account.change(code, "promotion_code.updated", () => {
      code.active = input.active ?? code.active
      code.metadata = mergeMetadata(code.metadata, input.metadata)
    })
    return shown(account, code)
  }),

  route("GET", "/v1/promotion_codes/:id", {}, (account, _input, id) => shown(account, account.get("promotion_code", id))),

  route(
    "GET",
    "/v1/promotion_codes",
    { ...listParameters, active: boolean, code: word, coupon: word, customer: word },
    (account, { active, code, coupon, customer, ...cursor }) => {
      const found = account
        .all("promotion_code")
        .map((each) => shown(account, each))
        .filter(
          (each) =>
            (active ?? each.active) === each.active &&
            (code ?? each.code).toLowerCase() === each.code.toLowerCase() &&
            (coupon ?? each.promotion.coupon) === each.promotion.coupon &&
            (customer ?? each.customer) === each.customer
        )
      return page("/v1/promotion_codes", found, cursor)
    }
  )
]

/** `active` says whether it can be used now. */
const shown = (account: Account, code: PromotionCode): PromotionCode => ({ ...code, active: isUsable(account, code) })
