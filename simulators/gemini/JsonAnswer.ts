import { isRecord } from "./Body.ts"
import { invalid } from "./GoogleError.ts"

/** https://ai.google.dev/api/generate-content#FIELDS.response_json_schema */
const KEYWORDS = new Set(
  (
    "$id $defs $ref $anchor type format title description enum items prefixItems minItems maxItems minimum maximum " +
    "anyOf oneOf properties additionalProperties required propertyOrdering"
  ).split(" ")
)
const MOST_ITEMS = 960

/** The form that a request asks its answer to have. */
export interface AnswerFormat {
  readonly schema: Readonly<Record<string, unknown>> | undefined
}

/** The format in a generationConfig; undefined for text. Throws Google's 400. */
export const readFormat = (config: unknown): AnswerFormat | undefined => {
  if (!isRecord(config)) return undefined
  const { responseJsonSchema: schema, responseMimeType } = config
  if (schema === undefined) return responseMimeType === "application/json" ? { schema } : undefined
  if (responseMimeType !== "application/json") {
    throw invalid("* GenerateContentRequest.generation_config.response_json_schema: only allowed for application/json.")
  }
  if (!isRecord(schema)) throw invalid("Invalid value at 'generation_config.response_json_schema'.")
  if (itemsOf(schema) > MOST_ITEMS) throw invalid("Request contains an invalid argument.")
  return { schema }
}

/** Checks the keywords, and adds up `maxItems`. */
const itemsOf = (schema: unknown): number => {
  if (!isRecord(schema)) return 0
  let sum = 0
  for (const [keyword, value] of Object.entries(schema)) {
    if (!KEYWORDS.has(keyword)) {
      throw invalid(`Invalid value at 'generation_config.response_json_schema': unknown keyword "${keyword}".`)
    }
    if (keyword === "maxItems") sum += Number(value)
    else if (keyword === "properties" || keyword === "$defs") {
      for (const member of isRecord(value) ? Object.values(value) : []) sum += itemsOf(member)
    } else if (Array.isArray(value)) for (const member of value) sum += itemsOf(member)
    else sum += itemsOf(value)
  }
  return sum
}

/** A JSON text for the schema: the first member of an enum, the minimum, an empty string. */
export const answerInJson = ({ schema }: AnswerFormat, prompt: string): string =>
  JSON.stringify(schema === undefined ? { said: prompt } : valueOf(schema, schema, 0))

const valueOf = (schema: unknown, root: Readonly<Record<string, unknown>>, depth: number): unknown => {
  if (!isRecord(schema) || depth > 20) return null
  const target = resolve(schema["$ref"], root)
  if (target !== undefined) return valueOf(target, root, depth + 1)
  const { anyOf, enum: values, items, minItems, minimum, oneOf, prefixItems, properties, required, type } = schema
  if (Array.isArray(values)) return values[0]
  const choices = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : undefined
  if (choices !== undefined && type === undefined) return valueOf(choices[0], root, depth + 1)
  switch (Array.isArray(type) ? type[0] : type) {
    case "object": {
      const names = Array.isArray(required) ? required.filter((name) => typeof name === "string") : []
      const known = isRecord(properties) ? properties : {}
      return Object.fromEntries(
        names.map((name) => [name, valueOf(Object.hasOwn(known, name) ? known[name] : undefined, root, depth + 1)])
      )
    }
    case "array": {
      const first = Array.isArray(prefixItems) ? prefixItems : []
      const count = Math.min(typeof minItems === "number" ? minItems : 0, 1_000)
      return Array.from({ length: count }, (_, index) => valueOf(first[index] ?? items, root, depth + 1))
    }
    case "number":
      return typeof minimum === "number" ? minimum : maximumOr0(schema["maximum"])
    case "integer":
      return typeof minimum === "number" ? Math.ceil(minimum) : Math.floor(maximumOr0(schema["maximum"]))
    case "boolean":
      return false
    case "string":
      return ""
    default:
      return null
  }
}

const maximumOr0 = (maximum: unknown) => (typeof maximum === "number" ? Math.min(maximum, 0) : 0)

const resolve = (reference: unknown, root: Readonly<Record<string, unknown>>): unknown => {
  if (typeof reference !== "string" || !reference.startsWith("#")) return undefined
  return reference
    .slice(1)
    .split("/")
    .slice(1)
    .reduce<unknown>(
      (value, name) => (isRecord(value) ? value[name.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined),
      root
    )
}
