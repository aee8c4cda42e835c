import { readFileSync } from "node:fs"
import { Effect, Option, Result, Schema } from "effect"
import { Tier } from "../api/auth/User.ts"
import { Input, ThinkingLevel, Tool } from "../api/models/ModelsApi.ts"
import { builtInModels } from "./BuiltInModels.ts"
import { fail, optional, text } from "./Reading.ts"

const Day = Schema.String.check(Schema.isPattern(/^\d{4}-\d{2}-\d{2}$/u, { message: "must be a date like 2026-11-30" }))
const Id = Schema.String.check(Schema.isMaxLength(100), Schema.isPattern(/^[a-z0-9](?:\.?[a-z0-9-])*$/u))
const Dollars = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))
const Tokens = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 }))
const ThoughtTokens = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

/** A list for all tiers, or one for each. */
const listByTier = <S extends Schema.Top>(member: S) =>
  Schema.Union([Schema.Array(member), Schema.Struct({ basic: Schema.Array(member), pro: Schema.Array(member) })])

type ListByTier<A> = ReadonlyArray<A> | Readonly<Record<Tier, ReadonlyArray<A>>>

export const listFor = <A>(list: ListByTier<A>, tier: Tier): ReadonlyArray<A> => ("basic" in list ? list[tier] : list)
const PerTier = Schema.Struct({ basic: Tokens, pro: Tokens })

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

/** `MODELS` is JSON, or the path of a JSON file. */
const readModels = Effect.gen(function* () {
  const configured = yield* optional("MODELS")
  if (configured === undefined) return builtInModels
  const json = configured.trimStart().startsWith("[")
    ? Option.some(configured)
    : Option.liftThrowable((path: string) => readFileSync(path, "utf8"))(configured)
  if (Option.isNone(json)) return yield* fail("MODELS", "must be a JSON array, or the path of a file that can be read")
  const value = Option.liftThrowable((source: string): unknown => JSON.parse(source))(json.value)
  if (Option.isNone(value)) return yield* fail("MODELS", "is not JSON")
  const models = decode(value.value)
  if (Result.isFailure(models)) return yield* fail("MODELS", `does not fit: ${models.failure.message.replaceAll(/\s+/g, " ")}`)
  const fault = faultOf(models.success)
  return fault === undefined ? models.success : yield* fail("MODELS", fault)
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
export const modelSettings = Effect.gen(function* () {
  const models = yield* readModels
  const defaultModel = (yield* optional("GEMINI_MODEL")) ?? defaultOf(models)
  if (!Schema.is(Id)(defaultModel)) return yield* fail("GEMINI_MODEL", "must be a model name of [a-z0-9.-]")
  const listed = models.some(({ id }) => id === defaultModel) ? models : [...models, unlisted(defaultModel)]
  const settings: ModelSettings = {
    models: listed.map((model) => (model.id === defaultModel ? { ...model, tiers: ["basic", "pro"] } : model)),
    defaultModel
  }
  return settings
})

/** A model that users need not be able to choose. */
export const modelNamedBy = Effect.fnUntraced(function* (setting: "TITLE_MODEL" | "SUMMARY_MODEL") {
  const model = yield* text(setting)
  return Schema.is(Id)(model) ? model : yield* fail(setting, "must be a model name of [a-z0-9.-]")
})
