import { Effect, Option, Result, Schema } from "effect"
import { Tier } from "../api/auth/User.ts"
import { Input, ThinkingLevel, Tool } from "../api/models/ModelsApi.ts"
import { builtInModels } from "./BuiltInModels.ts"
import type { Plan } from "./Plans.ts"
import { fail, jsonText, optional, text } from "./Reading.ts"

const Day = Schema.String.check(Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/u, { message: "must be a date like 2026-11-30" }))
const Id = Schema.String.check(Schema.isMaxLength(100), Schema.isPattern(/^[a-z0-9](?:\.?[a-z0-9-])*$/u))
const Dollars = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 }))
const ThoughtTokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

/** A value for Basic, and for plans. A plan without one has that of the next lower plan that has one, or else Basic's. */
const byTier = <S extends Schema.Top>(value: S) =>
  Schema.StructWithRest(Schema.Struct({ basic: value }), [Schema.Record(Schema.String, value)])
type ByTier<A> = { readonly basic: A } & Readonly<Record<string, A>>

/** A list for all tiers, or one for each. */
const listByTier = <S extends Schema.Top>(member: S) => Schema.Union([Schema.Array(member), byTier(Schema.Array(member))])
type ListByTier<A> = ReadonlyArray<A> | ByTier<ReadonlyArray<A>>

const isByTier = <A>(list: ListByTier<A>): list is ByTier<ReadonlyArray<A>> => !Array.isArray(list)

/** The value of a tier in the settings, which name every plan. */
export const valueFor = <A>(values: ByTier<A>, tier: Tier): A => values[tier] ?? values.basic
export const listFor = <A>(list: ListByTier<A>, tier: Tier): ReadonlyArray<A> => (isByTier(list) ? valueFor(list, tier) : list)
/** What any tier has. */
export const listForAny = <A>(list: ListByTier<A>): ReadonlyArray<A> => (isByTier(list) ? Object.values(list).flat() : list)
const PerTier = byTier(Tokens)

/** US dollars per million tokens from a UTC day on, until the next price. */
const Price = Schema.Struct({ from: Day, input: Dollars, cached: Dollars, output: Dollars })
export type Price = typeof Price.Type

/** A model that users may choose. */
export const Model = Schema.Struct({
  id: Id,
  name: Schema.String.check(Schema.isBetweenCodePoints(1, 100)),
  /** The tiers whose users may choose it. */
  tiers: Schema.NonEmptyArray(Tier),
  /** One model is the default. `GEMINI_MODEL` overrides it. */
  default: Schema.optionalKey(Schema.Boolean),
  /** Null: the model does not think, or its thinking cannot be set. `default` is the level that Google chooses. */
  thinking: Schema.NullOr(
    Schema.Struct({
      levels: listByTier(ThinkingLevel),
      default: Schema.NullOr(ThinkingLevel),
      /** Tokens that thoughts may take at a level; those above the default level's are added to `maxOutputTokens`. */
      tokens: Schema.optionalKey(
        Schema.Struct({
          minimal: Schema.optionalKey(ThoughtTokens),
          low: Schema.optionalKey(ThoughtTokens),
          medium: Schema.optionalKey(ThoughtTokens),
          high: Schema.optionalKey(ThoughtTokens)
        })
      )
    })
  ),
  tools: listByTier(Tool),
  input: Schema.NonEmptyArray(Input),
  /** False when it cannot be made to answer in JSON. */
  json: Schema.optionalKey(Schema.Boolean),
  /** False when it cannot answer in JSON while it uses tools. */
  jsonWithTools: Schema.optionalKey(Schema.Boolean),
  /** Tokens of an answer, thoughts at the default level included. */
  maxOutputTokens: PerTier,
  /** Tokens of a prompt: system prompt, history and question. */
  contextTokens: PerTier,
  prices: Schema.Array(Price),
  /** The UTC day from which Google no longer answers with it. */
  retiresAt: Schema.NullOr(Day),
  /** The model that answers from then on. */
  replacement: Schema.NullOr(Id)
})
export type Model = typeof Model.Type

/** At least one model, of which `defaultModel` is the default. */
export interface ModelSettings {
  readonly models: ReadonlyArray<Model>
  readonly defaultModel: string
}

/** What is wrong with a list of models in itself. */
const faultOf = (models: ReadonlyArray<Model>): string | undefined => {
  const ids = models.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined) return `names ${twice} twice`
  const defaults = models.filter((model) => model.default === true)
  if (defaults.length !== 1) return 'must have one model with "default": true'
  for (const { id, replacement, retiresAt } of models) {
    if (replacement === null) continue
    if (retiresAt === null) return `must say when ${id}, which has a replacement, retires (retiresAt)`
    const seen = new Set([id])
    let next: string | null = replacement
    while (next !== null) {
      if (seen.has(next)) return `replaces ${id} by itself`
      seen.add(next)
      const found: Model | undefined = models.find((model) => model.id === next)
      if (found === undefined) return `replaces ${id} by ${next}, which it does not have`
      next = found.replacement
    }
  }
  return undefined
}

const decode = Schema.decodeUnknownResult(Schema.NonEmptyArray(Model))

/** A name in the model's tiers and records that is neither Basic nor a plan. */
const unknownTierIn = ({ contextTokens, maxOutputTokens, thinking, tiers, tools }: Model, known: ReadonlySet<string>) => {
  const records = [maxOutputTokens, contextTokens, tools, thinking?.levels ?? []]
  const named = records.flatMap((record) => (Array.isArray(record) ? [] : Object.keys(record)))
  return [...tiers, ...named].find((name) => !known.has(name))
}

/** The same values, with one for each plan. */
const filled = <A>(values: ByTier<A>, plans: ReadonlyArray<Plan>): ByTier<A> => {
  const all: { basic: A } & Record<string, A> = { basic: values.basic }
  let lower = values.basic
  for (const { id } of plans) all[id] = lower = values[id] ?? lower
  return all
}

const filledList = <A>(list: ListByTier<A>, plans: ReadonlyArray<Plan>) => (isByTier(list) ? filled(list, plans) : list)

const withEveryPlan = (model: Model, plans: ReadonlyArray<Plan>): Model => ({
  ...model,
  tools: filledList(model.tools, plans),
  thinking: model.thinking === null ? null : { ...model.thinking, levels: filledList(model.thinking.levels, plans) },
  maxOutputTokens: filled(model.maxOutputTokens, plans),
  contextTokens: filled(model.contextTokens, plans)
})

/** The catalogue that ships says `pro` for every plan. */
const forPlans = (model: Model, plans: ReadonlyArray<Plan>): Model => {
  const [first, ...others] = model.tiers.flatMap((tier) => (tier === "pro" ? plans.map(({ id }) => id) : [tier]))
  const ofPro = <A>(values: ByTier<A>): ByTier<A> => {
    const { basic } = values
    return { basic, ...Object.fromEntries(plans.map(({ id }) => [id, values["pro"] ?? basic])) }
  }
  return {
    ...model,
    tiers: first === undefined ? model.tiers : [first, ...others],
    maxOutputTokens: ofPro(model.maxOutputTokens),
    contextTokens: ofPro(model.contextTokens)
  }
}

/** `MODELS` is JSON, or the path of a JSON file. */
const readModels = Effect.fnUntraced(function* (plans: ReadonlyArray<Plan>) {
  const configured = yield* jsonText("MODELS")
  if (configured === undefined) return builtInModels.map((model) => forPlans(model, plans))
  const value = Option.liftThrowable((source: string): unknown => JSON.parse(source))(configured)
  if (Option.isNone(value)) return yield* fail("MODELS", "is not JSON")
  const models = decode(value.value)
  if (Result.isFailure(models)) return yield* fail("MODELS", `does not fit: ${models.failure.message.replaceAll(/\s+/g, " ")}`)
  const fault = faultOf(models.success)
  if (fault !== undefined) return yield* fail("MODELS", fault)
  const tiers = new Set(["basic", ...plans.map(({ id }) => id)])
  for (const model of models.success) {
    const unknown = unknownTierIn(model, tiers)
    if (unknown !== undefined) return yield* fail("MODELS", `gives ${model.id} to ${unknown}, which is neither basic nor a plan`)
  }
  return models.success.map((model) => withEveryPlan(model, plans))
})

const defaultOf = (models: ReadonlyArray<Model>): string => models.find((model) => model.default === true)?.id ?? ""

/** A model that the operator names in `GEMINI_MODEL` alone: open to every tier, without a price. */
const unlisted = (id: string): Model => ({
  id,
  name: id,
  tiers: ["basic", "pro"],
  thinking: null,
  tools: [],
  input: ["text"],
  maxOutputTokens: { basic: 2_048, pro: 8_192 },
  contextTokens: { basic: 32_000, pro: 32_000 },
  prices: [],
  retiresAt: null,
  replacement: null
})

/** The models, and the one that answers in rooms that choose none: every tier may use it. */
export const modelSettings = Effect.fnUntraced(function* (plans: ReadonlyArray<Plan>) {
  const models = yield* readModels(plans)
  const defaultModel = (yield* optional("GEMINI_MODEL")) ?? defaultOf(models)
  if (!Schema.is(Id)(defaultModel)) return yield* fail("GEMINI_MODEL", "must be a model name of [a-z0-9.-]")
  const listed = models.some(({ id }) => id === defaultModel) ? models : [...models, forPlans(unlisted(defaultModel), plans)]
  const everyTier = ["basic", ...plans.map(({ id }) => id)] as const
  const settings: ModelSettings = {
    models: listed.map((model) => (model.id === defaultModel ? { ...model, tiers: everyTier } : model)),
    defaultModel
  }
  return settings
})

/** A model that users need not be able to choose. */
export const modelNamedBy = Effect.fnUntraced(function* (setting: "TITLE_MODEL" | "SUMMARY_MODEL") {
  const model = yield* text(setting)
  return Schema.is(Id)(model) ? model : yield* fail(setting, "must be a model name of [a-z0-9.-]")
})
