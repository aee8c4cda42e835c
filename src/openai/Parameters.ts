import { Effect } from "effect"
import type { ModelInfo } from "../api/models/ModelsApi.ts"
import { type CreateCompletion, knownParameters } from "../api/openai/Completion.ts"
import { InvalidValue, UnknownParameter, UnsupportedParameter } from "../api/openai/CompletionErrors.ts"
import type { ChosenSettings } from "../models/Settings.ts"

const isOneOf =
  (...values: ReadonlyArray<unknown>) =>
  (value: unknown) =>
    values.includes(value)
const isEmpty = (value: unknown) => typeof value === "object" && value !== null && Object.keys(value).length === 0
const isAny = () => true
const isNever = () => false
const isText = (value: unknown) => JSON.stringify(value) === '["text"]'

/**
 * OpenAI's parameters that are not taken, each with the values that ask for nothing: clients send many of them without
 * having been told to.
 */
const untaken = new Map<string, (value: unknown) => boolean>([
  ["n", isOneOf(1)],
  ["tools", isEmpty],
  ["tool_choice", isOneOf("none", "auto")],
  ["parallel_tool_calls", isAny],
  ["functions", isEmpty],
  ["function_call", isOneOf("none", "auto")],
  ["logprobs", isOneOf(false)],
  ["top_logprobs", isOneOf(0)],
  ["logit_bias", isEmpty],
  ["frequency_penalty", isOneOf(0)],
  ["presence_penalty", isOneOf(0)],
  ["seed", isNever],
  ["audio", isNever],
  ["modalities", isText],
  ["prediction", isNever],
  ["store", isOneOf(false)],
  ["service_tier", isOneOf("auto", "default")],
  ["verbosity", isOneOf("medium")],
  ["web_search_options", isNever],
  ["moderation", isNever],
  ["safety_identifier", isAny],
  ["prompt_cache_key", isAny],
  ["prompt_cache_options", isAny],
  ["prompt_cache_retention", isAny]
])

export const unsupported = (param: string) =>
  new UnsupportedParameter({ detail: `Unsupported parameter: '${param}' is not supported by this server`, param })
export const invalid = (param: string, message: string) => new InvalidValue({ detail: `Invalid '${param}': ${message}`, param })

/** Fails when the request has a parameter that is not taken. */
export const checkParameters = (request: CreateCompletion): Effect.Effect<void, UnknownParameter | UnsupportedParameter> => {
  for (const [name, value] of Object.entries(request)) {
    if (knownParameters.has(name) || value === null) continue
    const asksNothing = untaken.get(name)
    if (asksNothing === undefined)
      return Effect.fail(new UnknownParameter({ detail: `Unknown parameter: '${name}'`, param: name }))
    if (!asksNothing(value)) return Effect.fail(unsupported(name))
  }
  return Effect.void
}

type Effort = NonNullable<CreateCompletion["reasoning_effort"]>
type Level = NonNullable<ModelInfo["thinking"]>["levels"][number]
const levelOrder: ReadonlyArray<Level> = ["minimal", "low", "medium", "high"]

const levelOf = Effect.fnUntraced(function* (effort: Effort, { id, thinking }: ModelInfo) {
  const levels = levelOrder.filter((level) => thinking?.levels.includes(level))
  const level = effort === "none" ? levels[0] : levels.find((known) => known === effort)
  if (level !== undefined) return { level }
  if (levels.length === 0) return yield* Effect.fail(unsupported("reasoning_effort"))
  return yield* Effect.fail(invalid("reasoning_effort", `${id} has none and ${levels.join(", ")}`))
})

const formatOf = (format: NonNullable<CreateCompletion["response_format"]>): NonNullable<ChosenSettings["responseFormat"]> => {
  if (format.type === "text") return { type: "text" }
  const schema = format.type === "json_schema" ? (format.json_schema.schema ?? undefined) : undefined
  return { type: "json", ...(schema === undefined ? {} : { schema }) }
}

/** The settings of the reply that a request asks for. */
export const settingsOf = Effect.fnUntraced(function* (
  request: CreateCompletion,
  systemPrompt: string | null,
  model: ModelInfo
): Effect.fn.Return<ChosenSettings, InvalidValue | UnsupportedParameter> {
  const { reasoning_effort: effort, response_format: format, stop, temperature, top_p: topP } = request
  const maxOutputTokens = request.max_completion_tokens ?? request.max_tokens ?? undefined
  const thinking = effort == null ? undefined : yield* levelOf(effort, model)
  return {
    model: model.id,
    systemPrompt,
    temperature: temperature ?? null,
    ...(topP == null ? {} : { topP }),
    ...(stop == null || stop.length === 0 ? {} : { stop: typeof stop === "string" ? [stop] : stop }),
    ...(maxOutputTokens === undefined ? {} : { maxOutputTokens }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(format == null ? {} : { responseFormat: formatOf(format) })
  }
})

/** Where a request has what a setting of ours was made of. */
export const paramOfSetting = (path: string): string => {
  const schema = "/settings/responseFormat/schema"
  if (path.startsWith(schema)) return `response_format.json_schema.schema${path.slice(schema.length).replaceAll("/", ".")}`
  if (path.startsWith("/settings/responseFormat")) return "response_format"
  if (path.startsWith("/settings/thinking")) return "reasoning_effort"
  return path.startsWith("/settings/model") ? "model" : "messages"
}
