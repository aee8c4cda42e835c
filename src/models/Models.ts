import { Clock, Context, Effect, Layer } from "effect"
import type { Tier } from "../api/auth/User.ts"
import type { ResponseFormat } from "../api/chat/Settings.ts"
import type { Thinking } from "../api/chat/Thinking.ts"
import { ModelNotInPlan, type ToolNotInPlan } from "../api/models/ModelErrors.ts"
import type { ModelInfo, Tool } from "../api/models/ModelsApi.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { type Model, type Price, valueFor } from "../config/Models.ts"
import { AppConfig } from "../config/Settings.ts"
import { includes, makeCatalogue } from "./Catalogue.ts"
import { faultOfOutputSchema } from "./JsonOutput.ts"
import { type CallCost, costOfCall, type FinishedCall, isRetired, priceAt } from "./Prices.ts"
import { chosen, type ChosenSettings, type ReplySettings, type RoomSettings } from "./Settings.ts"
import { hasLevel, mergeThinking, outputTokens, thinkingFor } from "./Thinking.ts"
import { makeTools } from "./Tools.ts"

/** How long before its retirement the default model is reported. */
const noticeMillis = 30 * 86_400_000

const settingsFor = (model: Model, asked: ChosenSettings, room: RoomSettings, tier: Tier): ReplySettings => {
  const thinking = thinkingFor(model, tier, mergeThinking(room.thinking, asked.thinking))
  return {
    model: model.id,
    temperature: chosen("temperature", asked, room),
    maxOutputTokens: Math.min(asked.maxOutputTokens ?? Infinity, outputTokens(model, tier, thinking.level)),
    contextTokens: valueFor(model.contextTokens, tier),
    ...(asked.systemPrompt === undefined ? {} : { systemPrompt: asked.systemPrompt }),
    ...(asked.topP === undefined ? {} : { topP: asked.topP }),
    ...(asked.stop === undefined ? {} : { stop: asked.stop }),
    ...(thinking.level === null && !thinking.summaries ? {} : { thinking }),
    ...(asked.responseFormat?.type === "json" ? { responseFormat: asked.responseFormat } : {})
  }
}

const invalid = (path: string, message: string) => new ValidationFailed({ errors: [{ path, message }] })

/** Fails when the model cannot be asked for this form of the answer. */
export const checkFormat = (format: ResponseFormat | undefined): Effect.Effect<void, ValidationFailed> => {
  const schema = format?.schema
  if (schema === undefined) return Effect.void
  const path = "/settings/responseFormat/schema"
  if (format?.type !== "json") return Effect.fail(invalid(path, "is allowed for the type json alone"))
  const fault = faultOfOutputSchema(schema)
  return fault === undefined ? Effect.void : Effect.fail(invalid(`${path}${fault.path}`, fault.message))
}

const unknownModel = (path: string) => invalid(path, "is not one of this server's models")

/** The models that the server offers: who may choose which, and what answers in place of a model that is retired. */
export class Models extends Context.Service<
  Models,
  {
    /** Every model, with its limits for a user of the tier. */
    readonly list: (tier: Tier) => Effect.Effect<ReadonlyArray<ModelInfo>>
    /** What users of the tier may choose now. */
    readonly choicesOf: (
      tier: Tier
    ) => Effect.Effect<{ readonly models: ReadonlyArray<string>; readonly tools: ReadonlyArray<Tool> }>
    /** Fails when a user of the tier may not choose the model for a room; null is the default model. */
    readonly check: (model: string | null | undefined, tier: Tier) => Effect.Effect<void, ValidationFailed | ModelNotInPlan>
    /** Fails when the room's model has no such level of thinking for a user of the tier. */
    readonly checkThinking: (model: string | null, level: Thinking["level"], tier: Tier) => Effect.Effect<void, ValidationFailed>
    /** Fails when a user of the tier may not choose the tools for a room with the model; null is the default model. */
    readonly checkTools: (
      tools: ReadonlyArray<Tool>,
      model: string | null,
      tier: Tier
    ) => Effect.Effect<void, ValidationFailed | ToolNotInPlan>
    /**
     * The settings of a reply: the question's, or else the room's, within the limits of the tier; and what an attempt may
     * cost. A model that is retired is replaced.
     */
    readonly settle: (
      asked: ChosenSettings,
      room: RoomSettings,
      tier: Tier
    ) => Effect.Effect<
      { readonly settings: ReplySettings; readonly price: Price | undefined },
      ValidationFailed | ModelNotInPlan | ToolNotInPlan
    >
    /** Whether the model that answers in rooms that choose none is retired, or retires within thirty days. */
    readonly isDefaultRetiring: Effect.Effect<boolean>
    /** The kinds of files that a model reads. */
    readonly inputOf: (model: string) => Model["input"]
    /** The settings of a reply that was accepted without any, by a process of the previous release. */
    readonly defaults: (room: RoomSettings, tier: Tier) => Effect.Effect<ReplySettings>
    /** What a call that began at the time (milliseconds since 1970) cost. */
    readonly costOf: (call: FinishedCall, startedAt: number) => CallCost
  }
>()("chat-backend/models/Models") {
  static readonly layer = Layer.effect(
    Models,
    Effect.gen(function* () {
      const config = yield* AppConfig
      const { frontEnd, models, searchPrice } = config
      const tools = makeTools(config)
      const { fallback, find, infoOf, requiredTier, resolveAt } = yield* makeCatalogue(config)

      const isDefaultRetiring = Effect.map(Clock.currentTimeMillis, (now) => isRetired(fallback, now + noticeMillis))
      if (yield* isDefaultRetiring) {
        yield* Effect.logWarning(`The default model ${fallback.id} retires on ${fallback.retiresAt}`)
      }

      const list: Models["Service"]["list"] = Effect.fn("Models.list")(function* (tier) {
        const time = yield* Clock.currentTimeMillis
        return models.map((model) => infoOf(model, tier, time))
      })

      const choicesOf: Models["Service"]["choicesOf"] = (tier) =>
        Effect.map(Clock.currentTimeMillis, (time) => {
          const chosen = models.filter((model) => includes(model, tier) && !isRetired(model, time))
          return {
            models: chosen.map(({ id }) => id),
            tools: [...new Set(chosen.flatMap((model) => tools.toolsOf(model, tier)))]
          }
        })

      const check: Models["Service"]["check"] = Effect.fn("Models.check")(function* (choice, tier) {
        if (choice === null || choice === undefined) return
        const model = find(choice)
        if (model === undefined) return yield* unknownModel("/model")
        if (!includes(model, tier)) return yield* notInPlan(model)
      })

      const checkLevel = (model: Model, tier: Tier, level: Thinking["level"], path: string) =>
        hasLevel(model, tier, level)
          ? Effect.void
          : Effect.fail(invalid(path, `is not a level of ${model.id} for the user's tier`))

      const checkThinking: Models["Service"]["checkThinking"] = (choice, level, tier) =>
        Effect.flatMap(Clock.currentTimeMillis, (time) => checkLevel(resolveAt(choice, time), tier, level, "/thinking/level"))

      const checkTools: Models["Service"]["checkTools"] = (chosenTools, model, tier) =>
        Effect.flatMap(Clock.currentTimeMillis, (time) => tools.check(chosenTools, "/tools", resolveAt(model, time), tier))

      const notInPlan = (model: Model) =>
        new ModelNotInPlan({ model: model.id, requiredTier: requiredTier(model), upgradeUrl: frontEnd.upgrade })

      const settle: Models["Service"]["settle"] = Effect.fnUntraced(function* (asked, room, tier) {
        if (typeof asked.model === "string" && find(asked.model) === undefined) return yield* unknownModel("/settings/model")
        const time = yield* Clock.currentTimeMillis
        const model = resolveAt(chosen("model", asked, room), time)
        if (!includes(model, tier)) return yield* notInPlan(model)
        yield* checkLevel(model, tier, asked.thinking?.level ?? null, "/settings/thinking/level")
        if (asked.responseFormat?.type === "json" && model.json === false) {
          return yield* invalid("/settings/responseFormat/type", `is not text, which alone ${model.id} answers with`)
        }
        const settled = yield* tools.settle(asked, room, model, tier)
        if (asked.responseFormat?.type === "json" && settled.tools !== undefined && model.jsonWithTools === false) {
          return yield* invalid(
            "/settings/responseFormat/type",
            `is not text, which alone ${model.id} answers with while it uses tools`
          )
        }
        return { settings: { ...settingsFor(model, asked, room, tier), ...settled }, price: priceAt(model, time) }
      })

      const defaults: Models["Service"]["defaults"] = (room, tier) =>
        Effect.map(Clock.currentTimeMillis, (time) => settingsFor(resolveAt(room.model, time), {}, room, tier))

      const inputOf: Models["Service"]["inputOf"] = (model) => find(model)?.input ?? ["text"]

      const costOf: Models["Service"]["costOf"] = (call, startedAt) => costOfCall(models, call, startedAt, searchPrice)

      return Models.of({
        list,
        choicesOf,
        check,
        checkThinking,
        checkTools,
        settle,
        isDefaultRetiring,
        inputOf,
        defaults,
        costOf
      })
    })
  )
}
