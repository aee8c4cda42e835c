import { Schema } from "effect"
import { Tier } from "../auth/User.ts"
import { times } from "../Examples.ts"
import { Count, Timestamp } from "../Schemas.ts"

const Limits = Schema.Struct({
  daily: Schema.NullOr(Count).annotate({ description: "Prompts a UTC day; null is unlimited." }),
  used: Count,
  remaining: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  resetsAt: Timestamp
}).annotate({ identifier: "Limits", description: "Prompts of the current UTC day." })

export const SubscriptionStatus = Schema.Struct({
  tier: Tier,
  status: Schema.NullOr(Schema.String).annotate({
    description: "Stripe's word for the subscription; null when there never was one."
  }),
  currentPeriodEnd: Schema.NullOr(Timestamp),
  cancelAt: Schema.NullOr(Timestamp).annotate({ description: "When a pending cancellation takes effect." }),
  graceEndsAt: Schema.NullOr(Timestamp).annotate({ description: "Until when Pro stays though a payment is due." }),
  invoiceUrl: Schema.NullOr(Schema.String).annotate({ description: "Where an open invoice can be paid." }),
  limits: Limits,
  syncedAt: Schema.NullOr(Timestamp).annotate({ description: "When Stripe was last asked." })
}).annotate({
  identifier: "SubscriptionStatus",
  description: "The tier, the subscription behind it, and today's prompts.",
  examples: [
    {
      tier: "pro",
      status: "active",
      currentPeriodEnd: times.periodEnds,
      cancelAt: null,
      graceEndsAt: null,
      invoiceUrl: null,
      limits: { daily: 1_000, used: 1, remaining: 999, resetsAt: times.midnight },
      syncedAt: times.subscribed
    }
  ]
})
export type SubscriptionStatus = typeof SubscriptionStatus.Type

/** Statuses in which a second subscription would be one too many; a word that Stripe is yet to invent may take money. */
export const isLive = (status: string): boolean => status !== "canceled" && status !== "incomplete_expired"
