import type { Account } from "../Account.ts"
import type { Price } from "../objects/Catalog.ts"
import type { Coupon } from "../objects/Discount.ts"

/** What an amount becomes: with its discount, and with tax. Minor units. */
export interface Priced {
  readonly subtotal: number
  readonly discount: number
  readonly tax: number
  readonly total: number
}

const discountOf = (coupon: Coupon | undefined, amount: number): number => {
  if (coupon === undefined || amount <= 0) return 0
  return coupon.amount_off === null ? Math.round((amount * (coupon.percent_off ?? 0)) / 100) : Math.min(amount, coupon.amount_off)
}

/** Tax is a fixed rate: in the amount where the price says so, else added to it. */
export const priced = (
  account: Account,
  price: Price,
  amount: number,
  { coupon, taxed }: { readonly coupon: Coupon | undefined; readonly taxed: boolean }
): Priced => {
  const discount = discountOf(coupon, amount)
  const net = amount - discount
  const { taxPercent } = account.settings
  if (!taxed) return { subtotal: amount, discount, tax: 0, total: net }
  if (price.tax_behavior === "inclusive") {
    return { subtotal: amount, discount, tax: net - Math.round((net * 100) / (100 + taxPercent)), total: net }
  }
  const tax = Math.round((net * taxPercent) / 100)
  return { subtotal: amount, discount, tax, total: net + tax }
}
