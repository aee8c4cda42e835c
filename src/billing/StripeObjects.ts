import { Effect, Schema } from "effect"
import { Id } from "../api/billing/StripeEvent.ts"

// The members of Stripe's objects that are read, in the shapes of the API version that `Stripe.ts` pins (https://docs.stripe.com/api).

/** A member that may be null; by Stripe's specification such a member may be absent, too. */
const orNull = <S extends Schema.Constraint>(value: S) =>
  Schema.NullOr(value).pipe(Schema.withDecodingDefaultKey(Effect.succeed(null)))

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

export const StripeSubscription = Schema.Struct({
  id: Name,
  status: Name,
  customer: Id,
  created: Schema.Int,
  cancel_at: orNull(Schema.Int),
  cancel_at_period_end: Schema.Boolean,
  latest_invoice: orNull(Schema.Union([Schema.String, Invoice])),
  items: Schema.Struct({
    data: Schema.Array(
      Schema.Struct({
        price: Schema.Struct({ id: Schema.String }),
        current_period_start: Schema.Int,
        current_period_end: Schema.Int
      })
    )
  })
})
export type StripeSubscription = typeof StripeSubscription.Type

export const Subscriber = Schema.Struct({
  id: Name,
  customer: Id,
  metadata: Schema.Record(Schema.String, Schema.String)
})

export const Session = Schema.Struct({
  id: Name,
  url: orNull(Url),
  status: orNull(Schema.String),
  payment_status: Schema.String,
  customer: orNull(Id),
  expires_at: Schema.Int
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
export const Price = Schema.Struct({ id: Schema.String, active: Schema.Boolean })

/** One page of a list. */
export const list = <S extends Schema.Top>(item: S) => Schema.Struct({ data: Schema.Array(item), has_more: Schema.Boolean })
