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

export const SubscriptionStatus = Schema.Struct({
  tier: Tier,
  status: Schema.NullOr(Schema.String).annotate({
    description: "Stripe's status of the subscription; null if there never was one."
  }),
  currentPeriodEnd: Schema.NullOr(Timestamp),
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

/** Every status but the two final ones is live, unknown ones included: they may take money. */
export const isLive = (status: string): boolean => status !== "canceled" && status !== "incomplete_expired"
