import { type Birth, initially, makeId } from "./Base.ts"

export type Product = ReturnType<typeof makeProduct>
export type Price = ReturnType<typeof makePrice>
export type Interval = "day" | "week" | "month" | "year"

interface ProductInput {
  readonly id?: string | undefined
  readonly name: string
  readonly description?: string | null | undefined
  readonly active?: boolean | undefined
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/products/object */
export const makeProduct = ({ created, livemode }: Birth, input: ProductInput) => ({
  id: input.id ?? makeId("prod"),
  object: "product" as const,
  active: input.active ?? true,
  created,
  default_price: initially<string | null>(null),
  description: input.description ?? null,
  images: [],
  livemode,
  marketing_features: [],
  metadata: input.metadata,
  name: input.name,
  package_dimensions: null,
  shippable: null,
  statement_descriptor: null,
  tax_code: null,
  tax_details: null,
  type: "service",
  unit_label: null,
  updated: created,
  url: null
})

interface PriceInput {
  readonly id?: string | undefined
  readonly product: string
  readonly currency: string
  /** In the currency's minor unit. */
  readonly unitAmount: number
  readonly recurring: { readonly interval: Interval; readonly intervalCount: number } | null
  readonly active?: boolean | undefined
  readonly lookupKey?: string | null | undefined
  readonly nickname?: string | null | undefined
  readonly taxBehavior?: "exclusive" | "inclusive" | "unspecified" | undefined
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/prices/object */
export const makePrice = ({ created, livemode }: Birth, input: PriceInput) => ({
  id: input.id ?? makeId("price"),
  object: "price" as const,
  active: input.active ?? true,
  billing_scheme: "per_unit",
  created,
  currency: input.currency,
  custom_unit_amount: null,
  livemode,
  lookup_key: input.lookupKey ?? null,
  metadata: input.metadata,
  nickname: input.nickname ?? null,
  product: input.product,
  recurring: input.recurring && {
    interval: input.recurring.interval,
    interval_count: input.recurring.intervalCount,
    meter: null,
    trial_period_days: null,
    usage_type: "licensed"
  },
  tax_behavior: input.taxBehavior ?? "unspecified",
  tiers_mode: null,
  transform_quantity: null,
  type: input.recurring ? "recurring" : "one_time",
  unit_amount: input.unitAmount,
  unit_amount_decimal: String(input.unitAmount)
})

/** The price in the form of a plan, the predecessor of prices; subscription items still have it. */
export const planOf = (price: Price) => ({
  id: price.id,
  object: "plan" as const,
  active: price.active,
  amount: price.unit_amount,
  amount_decimal: price.unit_amount_decimal,
  billing_scheme: price.billing_scheme,
  created: price.created,
  currency: price.currency,
  interval: price.recurring?.interval ?? "month",
  interval_count: price.recurring?.interval_count ?? 1,
  livemode: price.livemode,
  metadata: price.metadata,
  meter: null,
  nickname: price.nickname,
  product: price.product,
  tiers_mode: null,
  transform_usage: null,
  trial_period_days: null,
  usage_type: "licensed"
})
