import { Schema } from "effect"
import { Tier } from "../auth/User.ts"
import { Timestamp } from "../Text.ts"

const Limits = Schema.Struct({
  daily: Schema.NullOr(Schema.Int).annotate({ description: "Prompts a UTC day; null is unlimited." }),
  used: Schema.Int,
  remaining: Schema.NullOr(Schema.Int),
  resetsAt: Timestamp
}).annotate({ identifier: "Limits" })

export const SubscriptionStatus = Schema.Struct({
  tier: Tier,
  status: Schema.NullOr(Schema.String).annotate({
    description: "Stripe's word for the subscription; null when there never was one."
  }),
  currentPeriodEnd: Schema.NullOr(Timestamp),
  cancelAt: Schema.NullOr(Timestamp).annotate({ description: "When a pending cancellation takes effect." }),
  graceEndsAt: Schema.NullOr(Timestamp).annotate({ description: "Until when Pro stays though a payment is due." }),
  invoiceUrl: Schema.NullOr(Schema.String),
  limits: Limits,
  syncedAt: Schema.NullOr(Timestamp).annotate({ description: "When Stripe was last asked." })
}).annotate({ identifier: "SubscriptionStatus" })
export type SubscriptionStatus = typeof SubscriptionStatus.Type

/** Statuses in which a second subscription would be one too many; a word that Stripe is yet to invent may take money. */
export const isLive = (status: string): boolean => status !== "canceled" && status !== "incomplete_expired"
