import { Clock, Context, Effect, Layer } from "effect"
import type { Tier } from "../api/auth/User.ts"
import { ModelNotInPlan } from "../api/models/ModelErrors.ts"
import type { ModelInfo } from "../api/models/ModelsApi.ts"
import { ValidationFailed } from "../api/Problems.ts"
import type { Model, Price } from "../config/Models.ts"
import { AppConfig } from "../config/Settings.ts"

/** A UTC day in milliseconds since 1970. */
const dayOf = (day: string): number => Date.parse(`${day}T00:00:00Z`)

/** Whether the time (milliseconds since 1970) is on or after the model's last day. */
export const isRetired = ({ retiresAt }: Model, now: number): boolean => retiresAt !== null && now >= dayOf(retiresAt)

/** The price at a time, in US dollars per million tokens: the newest that is valid by then. */
export const priceAt = ({ prices }: Model, now: number): Price | undefined =>
  prices.filter(({ from }) => dayOf(from) <= now).toSorted((one, other) => dayOf(other.from) - dayOf(one.from))[0]

const requiredTier = ({ tiers }: Model): Tier => (tiers.includes("basic") ? "basic" : "pro")

const includes = (model: Model, tier: Tier): boolean => model.tiers.includes(tier)

/** The models that the server offers: who may choose which, and what answers in place of a model that is retired. */
export class Models extends Context.Service<
  Models,
  {
    readonly defaultModel: string
    /** Every model, with its limits for a user of the tier. */
    readonly list: (tier: Tier) => Effect.Effect<ReadonlyArray<ModelInfo>>
    /** Fails when a user of the tier may not choose the model for a room; null is the default model. */
    readonly check: (model: string | null | undefined, tier: Tier) => Effect.Effect<void, ValidationFailed | ModelNotInPlan>
    /**
     * The model that answers for a room's choice: the default for none or for one that the server no longer offers, and
     * the replacement of one that is retired.
     */
    readonly resolve: (choice: string | null) => Effect.Effect<Model>
  }
>()("chat-backend/models/Models") {
  static readonly layer = Layer.effect(
    Models,
    Effect.gen(function* () {
      const { appUrl, defaultModel, models } = yield* AppConfig
      const byId = new Map(models.map((model) => [model.id, model]))
      const fallback = byId.get(defaultModel)
      if (fallback === undefined) return yield* Effect.die(new Error("the settings have no default model"))

      const now = yield* Clock.currentTimeMillis
      if (isRetired(fallback, now + 30 * 86_400_000)) {
        yield* Effect.logWarning(`The default model ${fallback.id} retires on ${fallback.retiresAt}`)
      }

      const infoOf = (model: Model, tier: Tier, time: number): ModelInfo => {
        const { contextTokens, id, input, maxOutputTokens, name, replacement, retiresAt, thinking, tools } = model
        const price = priceAt(model, time)
        const limitsOf = includes(model, tier) ? tier : requiredTier(model)
        return {
          id,
          name,
          default: id === defaultModel,
          available: includes(model, tier) && !isRetired(model, time),
          requiredTier: requiredTier(model),
          thinking,
          tools,
          input,
          maxOutputTokens: maxOutputTokens[limitsOf],
          contextTokens: contextTokens[limitsOf],
          price: price === undefined ? null : { input: price.input, output: price.output, currency: "USD", perTokens: 1_000_000 },
          retiresAt,
          replacement
        }
      }

      const list: Models["Service"]["list"] = Effect.fn("Models.list")(function* (tier) {
        const time = yield* Clock.currentTimeMillis
        return models.map((model) => infoOf(model, tier, time))
      })

      const check: Models["Service"]["check"] = Effect.fn("Models.check")(function* (choice, tier) {
        if (choice === null || choice === undefined) return
        const model = byId.get(choice)
        if (model === undefined) {
          return yield* new ValidationFailed({ errors: [{ path: "/model", message: "is not one of this server's models" }] })
        }
        if (includes(model, tier)) return
        return yield* new ModelNotInPlan({
          model: choice,
          requiredTier: requiredTier(model),
          upgradeUrl: `${appUrl}/subscribe/pro`
        })
      })

      const resolve: Models["Service"]["resolve"] = Effect.fnUntraced(function* (choice) {
        const time = yield* Clock.currentTimeMillis
        let model = (choice === null ? undefined : byId.get(choice)) ?? fallback
        while (isRetired(model, time) && model.replacement !== null) model = byId.get(model.replacement) ?? fallback
        return model
      })

      return Models.of({ defaultModel, list, check, resolve })
    })
  )
}
