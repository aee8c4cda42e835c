import { Effect, Schema } from "effect"
import { Id } from "../api/billing/StripeEvent.ts"

// The members of Stripe's objects that are read, in the shapes of the API version that `Stripe.ts` pins (https://docs.stripe.com/api).
// Where an older version has a member in another place, that is read as well: an account, a proxy or a mock may answer so.

/** A member that may be null; by Stripe's specification such a member may be absent, too. */
const orNull = <S extends Schema.Constraint>(value: S) =>
  Schema.NullOr(value).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))

/** Unix seconds, or absent. */
const Seconds = Schema.optionalKey(Schema.NullOr(Schema.Int))

/** Characters of the longest id and of the longest address of Stripe's, by its documentation. */
export const maximumId = 255
const maximumUrl = 5_000

const Name = Schema.String.check(Schema.isMaxLength(maximumId))
const Url = Schema.String.check(Schema.isMaxLength(maximumUrl))

export const Customer = Schema.Struct({ id: Name, deleted: Schema.optionalKey(Schema.Boolean) })

/** The id of an object that may be expanded. */
export const idOf = (reference: typeof Id.Type | null | undefined): string | null =>
  reference === null || reference === undefined ? null : typeof reference === "string" ? reference : reference.id

const Invoice = Schema.Struct({
  id: Schema.optionalKey(Schema.String),
  status: orNull(Schema.String),
  hosted_invoice_url: orNull(Url)
})

const Coupon = Schema.Struct({
  id: Schema.String,
  name: orNull(Name),
  percent_off: orNull(Schema.Finite),
  amount_off: orNull(Schema.Int),
  currency: orNull(Name)
})

const ExpandableCoupon = orNull(Schema.Union([Schema.String, Coupon]))

/** A discount of a subscription with its coupon and code, where they were expanded. */
const SubscriptionDiscount = Schema.Struct({
  end: orNull(Schema.Int),
  promotion_code: orNull(Schema.Union([Schema.String, Schema.Struct({ code: Name })])),
  source: orNull(Schema.Struct({ coupon: ExpandableCoupon })),
  /** Before the version 2025-09-30. */
  coupon: ExpandableCoupon
})
export type SubscriptionDiscount = typeof SubscriptionDiscount.Type

const Recurring = Schema.Struct({ interval: Name })

export const StripeSubscription = Schema.Struct({
  id: Name,
  status: Name,
  customer: Id,
  created: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(0))),
  cancel_at: orNull(Schema.Int),
  cancel_at_period_end: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false))),
  latest_invoice: orNull(Schema.Union([Schema.String, Invoice])),
  trial_start: orNull(Schema.Int),
  trial_end: orNull(Schema.Int),
  discounts: Schema.Array(Schema.Union([Schema.String, SubscriptionDiscount])).pipe(
    Schema.withDecodingDefaultKey(Effect.succeed([]))
  ),
  items: Schema.Struct({
    data: Schema.Array(
      Schema.Struct({
        price: Schema.Struct({ id: Schema.String, recurring: orNull(Recurring) }),
        current_period_start: Seconds,
        current_period_end: Seconds
      })
    )
  }),
  /** Before the version 2025-03-31, where the items have none. */
  current_period_start: Seconds,
  current_period_end: Seconds
})
export type StripeSubscription = typeof StripeSubscription.Type

export const Subscriber = Schema.Struct({
  id: Name,
  customer: Id,
  metadata: Schema.Record(Schema.String, Schema.String).pipe(Schema.withDecodingDefaultKey(Effect.succeed({})))
})

export const Session = Schema.Struct({
  id: Name,
  url: orNull(Url),
  status: orNull(Schema.String),
  customer: orNull(Id)
})

export const Charge = Schema.Struct({
  id: Name,
  created: Schema.Int,
  refunded: Schema.Boolean,
  customer: orNull(Id),
  payment_intent: orNull(Id)
})
export type StripeCharge = typeof Charge.Type
export const Dispute = Schema.Struct({ id: Schema.String, status: Schema.String, charge: Id })
export const Refund = Schema.Struct({ id: Schema.String, status: orNull(Schema.String) })
export const InvoicePayment = Schema.Struct({
  status: Schema.String,
  payment: Schema.Struct({ payment_intent: Schema.optionalKey(Id), charge: Schema.optionalKey(Id) })
})
/** Leads from a payment to its subscription, through the invoice that it paid. */
export const InvoiceOfPayment = Schema.Struct({
  invoice: Schema.Struct({
    parent: orNull(Schema.Struct({ subscription_details: orNull(Schema.Struct({ subscription: Id })) }))
  })
})
export const Portal = Schema.Struct({ url: Url })
export const Price = Schema.Struct({
  id: Schema.String,
  active: Schema.Boolean,
  product: Id,
  currency: Schema.String,
  unit_amount: orNull(Schema.Int),
  tax_behavior: orNull(Schema.String),
  recurring: orNull(Recurring)
})
export type StripePrice = typeof Price.Type

export const PromotionCode = Schema.Struct({ id: Name, code: Schema.String, active: Schema.Boolean, customer: orNull(Id) })

/** An invoice as it is shown to its customer. */
export const ShownInvoice = Schema.Struct({
  id: Name,
  number: orNull(Schema.String),
  status: orNull(Schema.String),
  total: Schema.Int,
  total_taxes: orNull(Schema.Array(Schema.Struct({ amount: Schema.Int }))),
  currency: Schema.String,
  created: Schema.Int,
  hosted_invoice_url: orNull(Url),
  invoice_pdf: orNull(Url),
  status_transitions: Schema.Struct({ paid_at: orNull(Schema.Int) })
})
export type ShownInvoice = typeof ShownInvoice.Type

export const PortalConfiguration = Schema.Struct({
  id: Name,
  active: Schema.Boolean,
  metadata: orNull(Schema.Record(Schema.String, Schema.String))
})

export const TaxSettings = Schema.Struct({
  status: Schema.String,
  status_details: Schema.Struct({
    pending: Schema.optionalKey(Schema.Struct({ missing_fields: orNull(Schema.Array(Schema.String)) }))
  }),
  defaults: Schema.Struct({ tax_behavior: orNull(Schema.String) })
})

export const TaxRegistration = Schema.Struct({ id: Name, country: Schema.String })

/** One page of a list. */
export const list = <S extends Schema.Top>(item: S) =>
  Schema.Struct({
    data: Schema.Array(item),
    has_more: Schema.Boolean.pipe(Schema.withDecodingDefaultKey(Effect.succeed(false)))
  })
