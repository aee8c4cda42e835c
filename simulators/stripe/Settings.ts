/** A recurring price that is ready-made beside the first one, with its product. */
export interface CatalogPrice {
  readonly priceId: string
  readonly productId: string
  readonly productName: string
  readonly unitAmount: number
  readonly interval: "month" | "year"
}

/** How the simulated account behaves; `startStripeSimulator` takes every setting. */
export interface Settings {
  /** The only key that is accepted; null accepts any `sk_test_…` or `sk_live_…`. */
  readonly secretKey: string | null
  readonly livemode: boolean
  /** The ready-made recurring price and its product. */
  readonly priceId: string
  readonly productId: string
  readonly productName: string
  /** Minor units per month. */
  readonly unitAmount: number
  readonly currency: string
  /** Further ready-made prices. */
  readonly otherPrices: ReadonlyArray<CatalogPrice>
  /** Percent of each amount that automatic tax adds, wherever the buyer is. */
  readonly taxPercent: number
  /** The countries with a tax registration; without any, automatic tax is refused. */
  readonly taxCountries: ReadonlyArray<string>
  /** Whether ready-made prices say that tax is added to them. */
  readonly taxBehavior: "exclusive" | "inclusive" | "unspecified"
  /** How long a renewal's invoice stays a draft before it is charged; Stripe waits about an hour. */
  readonly draftSeconds: number
  /** Days from each failed charge of a renewal to the next attempt; after the last one, `afterRetries` happens. */
  readonly retryDays: ReadonlyArray<number>
  readonly afterRetries: "cancel" | "unpaid" | "past_due"
  /** How the portal records a cancellation at the period's end: flexible billing sets `cancel_at` alone, classic both. */
  readonly portalCancelsWith: "cancel_at" | "cancel_at_period_end"
  /** Waits before the second, third, … attempt to deliver a webhook. Stripe retries for three days. */
  readonly webhookRetryMillis: ReadonlyArray<number>
  readonly webhookTimeoutMillis: number
  /** Parallel deliveries to one endpoint; 1 keeps the order of first attempts. */
  readonly webhookConcurrency: number
}

export const defaultSettings: Settings = {
  secretKey: null,
  livemode: false,
  priceId: "price_simulated_pro",
  productId: "prod_simulated_pro",
  productName: "Pro",
  unitAmount: 2000,
  currency: "usd",
  otherPrices: [],
  taxPercent: 19,
  taxCountries: [],
  taxBehavior: "unspecified",
  draftSeconds: 3600,
  retryDays: [3, 5, 7],
  afterRetries: "cancel",
  portalCancelsWith: "cancel_at",
  webhookRetryMillis: [500, 1000, 2000, 4000, 8000],
  webhookTimeoutMillis: 10_000,
  webhookConcurrency: 1
}
