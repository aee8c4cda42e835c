import { Schema } from "effect"

/** What one of Stripe's objects says of another: its id, or with `expand` the whole. */
export const Id = Schema.Union([Schema.String, Schema.Struct({ id: Schema.String })])

const exampleEvent = {
  id: "evt_1Ada",
  object: "event" as const,
  type: "customer.subscription.created",
  created: 1_795_254_000,
  livemode: false,
  data: { object: { id: "sub_1Ada", object: "subscription", customer: "cus_1Ada" } }
}

/** What of an event is read; whatever it is about is fetched anew. */
export const StripeEvent = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("event"),
  type: Schema.String,
  created: Schema.Int.annotate({ description: "In seconds since 1970." }),
  livemode: Schema.Boolean,
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
  description: "What of Stripe's event is read; it has more.",
  examples: [exampleEvent]
})
export type StripeEvent = typeof StripeEvent.Type
