import { Schema } from "effect"
import { times } from "../Examples.ts"
import { Count, Timestamp } from "../Schemas.ts"

export const BudgetState = Schema.Struct({
  limitMicros: Count,
  spentMicros: Count,
  reservedMicros: Count.annotate({ description: "What the unfinished replies may cost." }),
  resetsAt: Timestamp
}).annotate({ identifier: "Budget", description: "Money of the current UTC day, in millionths of a US dollar." })
export type BudgetState = typeof BudgetState.Type

export const QuotaState = Schema.Struct({
  limit: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  used: Count,
  remaining: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  resetsAt: Timestamp,
  budget: Schema.NullOr(BudgetState).annotate({ description: "Null when the tier has no budget." })
}).annotate({ identifier: "Quota", description: "Prompts of the current UTC day." })
export type QuotaState = typeof QuotaState.Type
export const exampleQuota = { limit: 5, used: 1, remaining: 4, resetsAt: times.midnight, budget: null }

export const DayOfUsage = Schema.Struct({
  day: Schema.String.annotate({ format: "date" }),
  prompts: Count,
  promptTokens: Count,
  replyTokens: Count,
  thoughtTokens: Count,
  cachedTokens: Count.annotate({ description: "Those of the prompt tokens that were cached." }),
  toolTokens: Count,
  searches: Count,
  costMicros: Count.annotate({ description: "In millionths of a US dollar." })
}).annotate({ identifier: "DayOfUsage", description: "A UTC day with at least one prompt." })
export type DayOfUsage = typeof DayOfUsage.Type
export const exampleDay = {
  day: "2026-11-21",
  prompts: 1,
  promptTokens: 12,
  replyTokens: 31,
  thoughtTokens: 0,
  cachedTokens: 0,
  toolTokens: 0,
  searches: 0,
  costMicros: 126
}
