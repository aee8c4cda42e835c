import { Schema } from "effect"
import { Count } from "../Schemas.ts"
import { Tool } from "../models/ModelsApi.ts"

/** The id of a plan; `basic` is the tier without one. */
export const PlanId = Schema.String.check(
  Schema.isPattern(/^(?!basic$)[a-z0-9][a-z0-9-]{0,31}$/u, {
    message: "must be lower-case letters, digits and hyphens, and not basic"
  })
)

export const Interval = Schema.Literals(["month", "year"])
export type Interval = typeof Interval.Type

const PlanPrice = Schema.Struct({
  interval: Schema.String.annotate({ description: "How often it is paid: `month` or `year`.", examples: ["month"] }),
  amount: Schema.NullOr(Count).annotate({
    description: "In minor units of the currency; null when the price has no single amount."
  }),
  currency: Schema.String.annotate({ examples: ["usd"] }),
  taxBehavior: Schema.String.annotate({
    description:
      "Whether tax is added to the amount (`exclusive`), included in it (`inclusive`), or not specified (`unspecified`).",
    examples: ["exclusive"]
  })
}).annotate({ identifier: "PlanPrice" })
export type PlanPrice = typeof PlanPrice.Type

const PlanLimits = Schema.Struct({
  dailyPrompts: Schema.NullOr(Count).annotate({ description: "Prompts per UTC day; null means unlimited." }),
  dailyBudgetMicros: Schema.NullOr(Count).annotate({
    description: "Millionths of a US dollar that a user may cost per UTC day; null means no budget."
  }),
  dailySearches: Count.annotate({ description: "Google searches per UTC day." }),
  concurrency: Count.annotate({ description: "Replies that are made at the same time." }),
  storageBytes: Count.annotate({ description: "Bytes of all files together." })
}).annotate({ identifier: "PlanLimits" })

export const examplePlan = {
  id: "pro",
  name: "Pro",
  prices: [
    { interval: "month", amount: 2_000, currency: "usd", taxBehavior: "exclusive" },
    { interval: "year", amount: 20_000, currency: "usd", taxBehavior: "exclusive" }
  ],
  limits: {
    dailyPrompts: 1_000,
    dailyBudgetMicros: null,
    dailySearches: 100,
    concurrency: 10,
    storageBytes: 5_368_709_120
  },
  models: ["gemini-3.8-flash", "gemini-3.1-pro-preview"],
  tools: ["search" as const, "url" as const],
  trialDays: 14
}

export const PlanInfo = Schema.Struct({
  id: Schema.String.annotate({ description: "`basic`, or the `plan` of `POST /subscribe/{plan}`." }),
  name: Schema.String,
  prices: Schema.Array(PlanPrice).annotate({ description: "Empty for Basic, which costs nothing." }),
  limits: PlanLimits,
  models: Schema.Array(Schema.String).annotate({ description: "The ids of the models that it has now." }),
  tools: Schema.Array(Tool).annotate({ description: "The tools that any of its models has." }),
  trialDays: Count.annotate({ description: "Free days, for a number that never had a trial." })
}).annotate({ identifier: "Plan", description: "A plan with its prices and limits.", examples: [examplePlan] })
export type PlanInfo = typeof PlanInfo.Type
