import { Schema } from "effect"
import { exampleUser, profile, Tier } from "../auth/User.ts"
import { exampleQuota, QuotaState, BudgetState } from "./Usage.ts"

export const Me = Schema.Struct({
  ...profile,
  tier: Tier,
  hasPassword: Schema.Boolean,
  quota: QuotaState,
  budget: Schema.NullOr(BudgetState)
}).annotate({
  identifier: "Me",
  description: "The logged-in user.",
  examples: [{ ...exampleUser, tier: "basic", hasPassword: true, quota: exampleQuota, budget: null }]
})
