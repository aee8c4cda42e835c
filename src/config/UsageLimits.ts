import { Effect } from "effect"
import type { BasicAndPaid } from "./Plans.ts"
import { choice, dollars, integer, optionalDollars } from "./Reading.ts"

/** What users may take of the models, of searches and of storage, beside what each plan says. */
export interface UsageLimits {
  readonly basicDailyPrompts: number
  /** Millionths of a US dollar that a Basic user may cost per UTC day. */
  readonly basicDailyBudget: number | undefined
  /** Google searches of a user per UTC day. */
  readonly dailySearches: BasicAndPaid<number>
  /** Millionths of a US dollar that one search costs. */
  readonly searchPrice: number
  /** Millionths of a US dollar that all users may cost per UTC day. */
  readonly dailySpendLimit: number | undefined
  /** Who may upload files and attach them. */
  readonly attachments: "all" | "pro" | "off"
  /** Bytes that the files of a user may have together. */
  readonly storageBytes: BasicAndPaid<number>
}

const megabytes = (name: "BASIC_STORAGE_MB" | "PRO_STORAGE_MB") =>
  Effect.map(integer(name, 1, 10_000_000), (count) => count * 1_048_576)

export const usageLimits = Effect.gen(function* () {
  const limits: UsageLimits = {
    dailySearches: {
      basic: yield* integer("BASIC_DAILY_SEARCHES", 0, 1_000_000),
      pro: yield* integer("PRO_DAILY_SEARCHES", 0, 1_000_000)
    },
    searchPrice: Math.round((yield* dollars("SEARCH_PRICE_PER_1000")) / 1_000),
    basicDailyBudget: yield* optionalDollars("BASIC_DAILY_BUDGET"),
    dailySpendLimit: yield* optionalDollars("DAILY_SPEND_LIMIT"),
    basicDailyPrompts: yield* integer("BASIC_DAILY_PROMPTS", 1, 1_000_000),
    attachments: yield* choice("ATTACHMENTS", ["all", "pro", "off"]),
    storageBytes: { basic: yield* megabytes("BASIC_STORAGE_MB"), pro: yield* megabytes("PRO_STORAGE_MB") }
  }
  return limits
})
