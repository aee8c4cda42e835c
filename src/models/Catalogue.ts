import { Effect } from "effect"
import type { Tier } from "../api/auth/User.ts"
import type { ModelInfo } from "../api/models/ModelsApi.ts"
import { listFor, type Model, valueFor } from "../config/Models.ts"
import type { Settings } from "../config/Settings.ts"
import { isRetired, priceAt } from "./Prices.ts"
import { levelsFor } from "./Thinking.ts"

/** Whether users of the tier have the model. */
export const includes = (model: Model, tier: Tier): boolean => model.tiers.includes(tier)

/** The models of the settings, by what is asked of them. Times are milliseconds since 1970. */
export const makeCatalogue = Effect.fnUntraced(function* ({
  defaultModel,
  models,
  plans
}: Pick<Settings, "defaultModel" | "models" | "plans">) {
  const order: ReadonlyArray<Tier> = ["basic", ...plans.map(({ id }) => id)]
  /** The lowest tier that has the model. */
  const requiredTier = ({ tiers }: Model): Tier => order.find((tier) => tiers.includes(tier)) ?? "basic"
  const byId = new Map(models.map((model) => [model.id, model]))
  const fallback = byId.get(defaultModel)
  if (fallback === undefined) return yield* Effect.die(new Error("the settings have no default model"))

  /** The default for no choice or one that the server no longer offers; the replacement of one that is retired. */
  const resolveAt = (choice: string | null, time: number): Model => {
    let model = (choice === null ? undefined : byId.get(choice)) ?? fallback
    while (isRetired(model, time) && model.replacement !== null) model = byId.get(model.replacement) ?? fallback
    return model
  }

  /** The model as a user of the tier sees it. The limits are those of the lowest tier that has it where the user's has not. */
  const infoOf = (model: Model, tier: Tier, time: number): ModelInfo => {
    const { contextTokens, id, input, json = true, maxOutputTokens, name, replacement, retiresAt, thinking } = model
    const price = priceAt(model, time)
    const limitsOf = includes(model, tier) ? tier : requiredTier(model)
    return {
      id,
      name,
      default: id === defaultModel,
      available: includes(model, tier) && !isRetired(model, time),
      requiredTier: requiredTier(model),
      thinking: thinking === null ? null : { levels: levelsFor(model, limitsOf), default: thinking.default },
      tools: listFor(model.tools, limitsOf),
      input,
      json,
      maxOutputTokens: valueFor(maxOutputTokens, limitsOf),
      contextTokens: valueFor(contextTokens, limitsOf),
      price: price === undefined ? null : { input: price.input, output: price.output, currency: "USD", perTokens: 1_000_000 },
      retiresAt,
      replacement
    }
  }

  const find = (id: string): Model | undefined => byId.get(id)

  return { fallback, find, infoOf, requiredTier, resolveAt }
})
