import type { Document, JsonSchema, Operation } from "./Document.ts"

const uuid = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
const timestamp = "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$"
const patterns: Readonly<Record<string, string>> = { uuid, "date-time": timestamp, date: "^\\d{4}-\\d\\d-\\d\\d$" }

/** Words for people, and bounds that bind nothing. */
const idle = new Set(["description", "examples", "format", "title", "default"])
const isUnbounded = (keyword: string, value: unknown) =>
  (keyword === "minimum" || keyword === "maximum") && Math.abs(Number(value)) === Number.MAX_SAFE_INTEGER

const local = (reference: string) => reference.replace("#/components/schemas/", "#/definitions/")

/** A schema with only what validates. Formats become patterns: not every validator knows them. */
const essence = (schema: JsonSchema): JsonSchema => {
  const kept = Object.entries(schema).filter(([keyword, value]) => !idle.has(keyword) && !isUnbounded(keyword, value))
  const pattern = patterns[String(schema["format"])]
  const bare = Object.fromEntries(kept.map(([keyword, value]) => [keyword, essenceOf(keyword, value)]))
  return nullable({ ...bare, ...(pattern === undefined ? {} : { pattern }) })
}

const essenceOf = (keyword: string, value: unknown): unknown => {
  if (keyword === "$ref") return local(String(value))
  if (keyword === "properties") {
    return Object.fromEntries(Object.entries(value as object).map(([name, property]) => [name, essence(property)]))
  }
  if (Array.isArray(value)) return keyword.endsWith("Of") ? value.map(essence) : value
  return typeof value === "object" && value !== null ? essence(value as JsonSchema) : value
}

/** `{ type: ["string", "null"] }` rather than a choice of two, wherever that says the same. */
const nullable = (schema: JsonSchema): JsonSchema => {
  const [some, none, ...others] = schema.anyOf ?? []
  if (others.length > 0 || none?.type !== "null" || typeof some?.type !== "string" || some["enum"] !== undefined) return schema
  const { anyOf: _, ...rest } = schema
  return { ...rest, ...some, type: [some.type, "null"] }
}

const referencesOf = (schema: unknown): ReadonlyArray<string> =>
  [...JSON.stringify(schema).matchAll(/"#\/definitions\/(\w+)"/g)].map(([, name = ""]) => name)

/** A schema with the definitions it needs. */
const complete = (document: Document, schema: JsonSchema): JsonSchema => {
  const root = essence(schema)
  const definitions: Record<string, JsonSchema> = {}
  const pending = [...referencesOf(root)]
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name in definitions) continue
    definitions[name] = essence(document.schemas[name] ?? {})
    pending.push(...referencesOf(definitions[name]))
  }
  return { ...root, ...(Object.keys(definitions).length === 0 ? {} : { definitions }) }
}

/** The JSON Schema (draft 7) of what an operation answers with a status; undefined when that is no JSON. */
export const shapeOf = (document: Document, operation: Operation, status: number): JsonSchema | undefined => {
  const media = operation.responses[status]?.content?.["application/json"]
  return media === undefined ? undefined : complete(document, media.schema)
}

/** The one of an operation's problems that has this code; undefined when it is not documented. */
export const problemShape = (document: Document, operation: Operation, status: number, code: string): JsonSchema | undefined => {
  const documented = operation.responses[status]?.content?.["application/problem+json"]?.schema
  const found = (documented?.anyOf ?? (documented === undefined ? [] : [documented])).find((problem) => {
    const properties = document.schemas[problem.$ref?.split("/").pop() ?? ""]?.["properties"] as
      | Record<string, JsonSchema>
      | undefined
    return Array.isArray(properties?.["code"]?.["enum"]) && properties["code"]["enum"].includes(code)
  })
  return found === undefined ? undefined : complete(document, found)
}

/** A schema as source: a line for each definition. */
export const shapeSource = ({ definitions, ...root }: JsonSchema): string => {
  const lines = Object.entries((definitions ?? {}) as Record<string, JsonSchema>)
  if (lines.length === 0) return JSON.stringify(root)
  const source = lines.map(([name, schema]) => `    ${name}: ${JSON.stringify(schema)}`).join(",\n")
  return `{\n  ${JSON.stringify(root).slice(1, -1)},\n  definitions: {\n${source}\n  }\n}`
}
