import { Schema } from "effect"

/** A reference between objects of Stripe's: the id, or the whole object when it was expanded. */
export const Id = Schema.Union([Schema.String, Schema.Struct({ id: Schema.String })])

const exampleEvent = {
  id: "evt_1Ada",
  object: "event" as const,
  type: "customer.subscription.created",
  created: 1_795_254_000,
  livemode: false,
  data: { object: { id: "sub_1Ada", object: "subscription", customer: "cus_1Ada" } }
}

/** The members of an event that are read; the object it is about is fetched from Stripe. */
export const StripeEvent = Schema.Struct({
  id: Schema.String,
  object: Schema.optionalKey(Schema.Literal("event")),
  type: Schema.String,
  created: Schema.optionalKey(Schema.Int.annotate({ description: "Unix time in seconds; when it is received, if absent." })),
  livemode: Schema.optionalKey(Schema.Boolean),
  data: Schema.Struct({
    object: Schema.Struct({
      id: Schema.optionalKey(Schema.String),
      object: Schema.optionalKey(Schema.String),
      customer: Schema.optionalKey(Schema.NullOr(Id)),
      charge: Schema.optionalKey(Schema.NullOr(Id))
    })
  })
}).annotate({
  identifier: "StripeEvent",
  description: "The members of Stripe's event that are read; others are ignored.",
  examples: [exampleEvent]
})
export type StripeEvent = typeof StripeEvent.Type
