import { Schema } from "effect"
import { Tier } from "../auth/User.ts"
import { times } from "../Examples.ts"
import { Count, Timestamp } from "../Schemas.ts"

const Limits = Schema.Struct({
  daily: Schema.NullOr(Count).annotate({ description: "Prompts per UTC day; null means unlimited." }),
  used: Count,
  remaining: Schema.NullOr(Count).annotate({ description: "Null means unlimited." }),
  resetsAt: Timestamp
}).annotate({ identifier: "Limits", description: "Quota of the current UTC day." })

export const Discount = Schema.Struct({
  name: Schema.NullOr(Schema.String),
  code: Schema.NullOr(Schema.String).annotate({ description: "The promotion code; null when it was given without one." }),
  percentOff: Schema.NullOr(Schema.Finite),
  amountOff: Schema.NullOr(Count).annotate({ description: "In minor units of `currency`." }),
  currency: Schema.NullOr(Schema.String),
  endsAt: Schema.NullOr(Timestamp).annotate({ description: "Null when it does not end." })
}).annotate({
  identifier: "Discount",
  description: "The reduction of each invoice: a percentage or an amount.",
  examples: [{ name: "Spring", code: "SPRING", percentOff: 20, amountOff: null, currency: null, endsAt: times.periodEnds }]
})
export type Discount = typeof Discount.Type

export const SubscriptionStatus = Schema.Struct({
  tier: Tier,
  plan: Schema.NullOr(Schema.String).annotate({ description: "The plan of the subscription; null if there never was one." }),
  interval: Schema.NullOr(Schema.String).annotate({
    description: "How often it is paid, `month` or `year`; null if there never was one, and until the next sync of an old one."
  }),
  status: Schema.NullOr(Schema.String).annotate({
    description: "Stripe's status of the subscription; null if there never was one."
  }),
  currentPeriodEnd: Schema.NullOr(Timestamp),
  trialEndsAt: Schema.NullOr(Timestamp).annotate({ description: "When the running trial ends; null without one." }),
  discount: Schema.NullOr(Discount),
  cancelAt: Schema.NullOr(Timestamp).annotate({ description: "When a pending cancellation takes effect." }),
  graceEndsAt: Schema.NullOr(Timestamp).annotate({ description: "When Pro ends unless the open invoice is paid." }),
  invoiceUrl: Schema.NullOr(Schema.String).annotate({ description: "The page where the open invoice can be paid." }),
  limits: Limits,
  syncedAt: Schema.NullOr(Timestamp).annotate({ description: "When the subscription was last synced with Stripe." })
}).annotate({
  identifier: "SubscriptionStatus",
  description: "The tier, the subscription and today's prompts.",
  examples: [
    {
      tier: "pro",
      plan: "pro",
      interval: "month",
      status: "active",
      currentPeriodEnd: times.periodEnds,
      trialEndsAt: null,
      discount: null,
      cancelAt: null,
      graceEndsAt: null,
      invoiceUrl: null,
      limits: { daily: 1_000, used: 1, remaining: 999, resetsAt: times.midnight },
      syncedAt: times.subscribed
    }
  ]
})
export type SubscriptionStatus = typeof SubscriptionStatus.Type

/** Every status but the two final ones is live, unknown ones included: they may take money. */
export const isLive = (status: string): boolean => status !== "canceled" && status !== "incomplete_expired"
