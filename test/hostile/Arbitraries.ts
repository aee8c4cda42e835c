import fc from "fast-check"

/** A JSON schema of the document; only the keywords that occur there are read. */
export interface JsonSchema {
  readonly [word: string]: unknown
}

const isSchema = (value: unknown): value is JsonSchema => typeof value === "object" && value !== null && !Array.isArray(value)
const schemas = (value: unknown): ReadonlyArray<JsonSchema> => (Array.isArray(value) ? value.filter(isSchema) : [])
const number = (value: unknown, fallback: number) => (typeof value === "number" ? value : fallback)

/** Text that has broken servers: empty, huge, ill-formed, injected, in other scripts. */
export const nastyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.constantFrom(
    "",
    " ",
    "\u0000",
    "\ud800",
    "'; drop table users; --",
    "$1",
    "%00",
    "../../etc/passwd",
    "__proto__",
    "constructor",
    "\r\nX-Injected: 1",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "NaN",
    "-1",
    "1e999",
    "null",
    "true",
    "١٢٣",
    "👩‍👩‍👧‍👦".repeat(40),
    "a".repeat(40_000)
  )
)

/** Anything that JSON can carry. */
const nastyValue = fc.oneof(nastyText, fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(null, [], {}, 0, -1, 1.5, 2 ** 53, true))

const stringOf = (schema: JsonSchema): fc.Arbitrary<string> => {
  if (typeof schema["pattern"] === "string")
    return fc.stringMatching(new RegExp(schema["pattern"], "u")).map((text) => text.slice(0, 300))
  const bounds = [schema, ...schemas(schema["allOf"])]
  const minLength = Math.max(...bounds.map((bound) => number(bound["minLength"], 0)))
  const maxLength = Math.min(...bounds.map((bound) => number(bound["maxLength"], 200)), 200)
  return fc.string({ minLength, maxLength, unit: "grapheme-ascii" })
}

/** Values that are valid by the schema, as far as a generator can tell. */
export const fitting = (schema: JsonSchema): fc.Arbitrary<unknown> => {
  const choices = [...schemas(schema["anyOf"]), ...schemas(schema["oneOf"])]
  if (choices.length > 0) return fc.oneof(...choices.map(fitting))
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...schema["enum"])
  switch (schema["type"]) {
    case "string":
      return stringOf(schema)
    case "integer":
      return fc.integer({ min: number(schema["minimum"], -1000), max: Math.min(number(schema["maximum"], 1000), 1000) })
    case "number":
      return fc.double({ min: number(schema["minimum"], -10), max: number(schema["maximum"], 10), noNaN: true })
    case "boolean":
      return fc.boolean()
    case "null":
      return fc.constant(null)
    case "object": {
      const properties = isSchema(schema["properties"]) ? schema["properties"] : {}
      const required = Array.isArray(schema["required"]) ? schema["required"] : []
      const fields = Object.entries(properties).map(
        ([name, field]) => [name, isSchema(field) ? fitting(field) : nastyValue] as const
      )
      return fc.record(Object.fromEntries(fields), { requiredKeys: required.filter((name) => name in properties) })
    }
    default:
      return nastyValue
  }
}

/** A valid object with some invalid fields, or another value. */
export const spoiled = (schema: JsonSchema): fc.Arbitrary<unknown> =>
  fc.oneof(
    { weight: 3, arbitrary: fitting(schema) },
    {
      weight: 4,
      arbitrary: fc
        .tuple(
          fitting(schema),
          fc.dictionary(
            fc.constantFrom(
              ...Object.keys(isSchema(schema["properties"]) ? schema["properties"] : { x: 1 }),
              "__proto__",
              "extra"
            ),
            nastyValue,
            { maxKeys: 2 }
          )
        )
        .map(([value, changes]) => (isSchema(value) ? { ...value, ...changes } : value))
    },
    { weight: 1, arbitrary: nastyValue }
  )
