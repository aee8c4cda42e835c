import { Effect } from "effect"
import { counters } from "../ops/Metrics.ts"
import type { CallRow } from "./AttemptCalls.ts"

/** Counts calls that the ledger gets. */
export type CallCounts = (rows: ReadonlyArray<CallRow>) => void

/** Counts tokens and money of calls of the model, as the ledger gets them. */
export const makeCallCounts = Effect.gen(function* () {
  const tokens = yield* counters("chat_model_tokens_total", "Tokens of calls of the model, by model and kind.", ["model", "kind"])
  const cost = yield* counters("chat_model_cost_dollars_total", "US dollars that calls of the model cost, by model and tier.", [
    "model",
    "tier"
  ])

  const count: CallCounts = (rows) => {
    for (const { model, tier, ...row } of rows) {
      tokens(model, "prompt").add(row.prompt_tokens)
      tokens(model, "cached").add(row.cached_tokens)
      tokens(model, "tool").add(row.tool_tokens)
      tokens(model, "reply").add(row.reply_tokens)
      tokens(model, "thought").add(row.thought_tokens)
      cost(model, tier).add((row.cost_micros ?? 0) / 1_000_000)
    }
  }
  return count
})
