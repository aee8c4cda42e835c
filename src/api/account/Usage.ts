import { Schema } from "effect"
import { times } from "../Examples.ts"
import { Count, Timestamp } from "../Schemas.ts"

export const QuotaState = Schema.Struct({
  limit: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  used: Count,
  remaining: Schema.NullOr(Count).annotate({ description: "Null when unlimited." }),
  resetsAt: Timestamp
}).annotate({ identifier: "Quota", description: "Prompts of the current UTC day." })
export type QuotaState = typeof QuotaState.Type
export const exampleQuota = { limit: 5, used: 1, remaining: 4, resetsAt: times.midnight }

export const DayOfUsage = Schema.Struct({
  day: Schema.String.annotate({ format: "date" }),
  prompts: Count,
  promptTokens: Count,
  replyTokens: Count
}).annotate({ identifier: "DayOfUsage", description: "A UTC day with at least one prompt." })
export type DayOfUsage = typeof DayOfUsage.Type
export const exampleDay = { day: "2026-11-21", prompts: 1, promptTokens: 12, replyTokens: 31 }
