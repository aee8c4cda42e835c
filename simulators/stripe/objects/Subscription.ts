import type { Trial } from "../State.ts"
import { automaticTaxOff, daySeconds, type Birth, initially, makeId, sublist } from "./Base.ts"
import { type Interval, planOf, type Price } from "./Catalog.ts"
import { automaticTaxOn } from "./Tax.ts"

export type Subscription = ReturnType<typeof makeSubscription>
export type SubscriptionItem = ReturnType<typeof makeItem>

interface SubscriptionInput {
  readonly customer: string
  readonly price: Price
  readonly quantity: number
  readonly status: string
  readonly description?: string | null | undefined
  readonly metadata: Record<string, string>
  readonly taxed: boolean
  readonly trial: Trial | null
}

/**
 * https://docs.stripe.com/api/subscriptions/object. The period is on the items: `items.data[0].current_period_end`.
 * The status is a plain string, because the control may set one that Stripe does not have yet.
 */
export const makeSubscription = (birth: Birth, input: SubscriptionInput) => {
  const { created, livemode } = birth
  const id = makeId("sub")
  const trialEnd = input.trial === null ? null : created + input.trial.days * daySeconds
  return {
    id,
    object: "subscription" as const,
    application: null,
    application_fee_percent: null,
    automatic_tax: input.taxed ? automaticTaxOn() : automaticTaxOff(),
    billing_cycle_anchor: trialEnd ?? created,
    billing_cycle_anchor_config: null,
    billing_mode: { flexible: { proration_discounts: "included" }, type: "flexible", updated_at: created },
    billing_schedules: [],
    billing_thresholds: null,
    cancel_at: initially<number | null>(null),
    cancel_at_period_end: false,
    canceled_at: initially<number | null>(null),
    cancellation_details: {
      comment: initially<string | null>(null),
      feedback: initially<string | null>(null),
      feedback_option: null,
      reason: initially<string | null>(null)
    },
    collection_method: "charge_automatically",
    created,
    currency: input.price.currency,
    customer: input.customer,
    customer_account: null,
    days_until_due: null,
    default_payment_method: initially<string | null>(null),
    default_source: null,
    default_tax_rates: [],
    description: input.description ?? null,
    discounts: initially<Array<string>>([]),
    ended_at: initially<number | null>(null),
    invoice_settings: {
      account_tax_ids: null,
      custom_fields: null,
      description: null,
      footer: null,
      issuer: { type: "self" }
    },
    items: sublist(`/v1/subscription_items?subscription=${id}`, [makeItem(birth, id, input, trialEnd)]),
    latest_invoice: initially<string | null>(null),
    livemode,
    managed_payments: null,
    metadata: input.metadata,
    next_pending_invoice_item_invoice: null,
    on_behalf_of: null,
    pause_collection: null,
    payment_settings: { payment_method_options: null, payment_method_types: null, save_default_payment_method: "off" },
    pending_invoice_item_interval: null,
    pending_setup_intent: null,
    pending_update: null,
    schedule: null,
    start_date: created,
    status: input.status,
    test_clock: null,
    transfer_data: null,
    trial_end: initially<number | null>(trialEnd),
    trial_settings: { end_behavior: { missing_payment_method: input.trial?.withoutCard ?? "create_invoice" } },
    trial_start: input.trial === null ? null : created
  }
}

const makeItem = (
  { created }: Birth,
  subscription: string,
  { price, quantity }: Pick<SubscriptionInput, "price" | "quantity">,
  trialEnd: number | null
) => ({
  id: makeId("si"),
  object: "subscription_item" as const,
  billing_thresholds: null,
  created,
  current_period_end: trialEnd ?? periodEnd(price, created, created),
  current_period_start: created,
  current_trial: null,
  discounts: [],
  metadata: {},
  plan: planOf(price),
  price,
  quantity,
  subscription,
  tax_rates: []
})

/** The simulator's subscriptions have exactly one item. */
export const itemOf = (subscription: Subscription): SubscriptionItem => {
  const [item] = subscription.items.data
  if (!item) throw new Error(`${subscription.id} has no item`)
  return item
}

/** The end of the period that starts here, on the anchor's day of the month: 31 January, 28 February, 31 March. */
export const periodEnd = (price: Price, start: number, anchor: number): number => {
  const { interval, interval_count: count } = price.recurring ?? { interval: "month" as const, interval_count: 1 }
  for (let periods = 1; ; periods++) {
    const end = addInterval(anchor, interval, periods * count)
    if (end > start) return end
  }
}

/** The same day of a later month, or the last one of a shorter month. */
export const addMonths = (from: number, count: number): number => addInterval(from, "month", count)

const addInterval = (from: number, interval: Interval, count: number): number => {
  if (interval === "day") return from + count * daySeconds
  if (interval === "week") return from + count * 7 * daySeconds
  const months = interval === "year" ? 12 * count : count
  const date = new Date(from * 1000)
  const day = date.getUTCDate()
  date.setUTCMonth(date.getUTCMonth() + months, 1)
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate()
  date.setUTCDate(Math.min(day, lastDay))
  return date.getTime() / 1000
}
