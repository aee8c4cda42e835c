import { child, isNode, type Node, nodes } from "./Node.ts"

const isUnsafe = (bound: unknown) => Math.abs(Number(bound)) === Number.MAX_SAFE_INTEGER

/** What `allOf` adds becomes part of the schema itself, where no word of it is there already. */
const merged = (schema: Node): Node => {
  const { allOf, ...own } = schema
  const parts = nodes(allOf)
  const words = [own, ...parts].flatMap(Object.keys)
  const isPlain = new Set(words).size === words.length && !words.includes("$ref")
  return isPlain ? Object.assign(own, ...parts) : schema
}

const tidySchema = (schema: Node): Node => {
  // Unknown fields of a request are ignored, and a response may gain some: no object is closed.
  if (schema["additionalProperties"] === false) delete schema["additionalProperties"]
  if (schema["minLength"] === 0) delete schema["minLength"]
  // That an integer is one that JavaScript can hold is no rule of ours.
  for (const bound of ["minimum", "maximum"]) if (isUnsafe(schema[bound])) delete schema[bound]
  if (schema["type"] === "number" && Array.isArray(schema["enum"]) && schema["enum"].every(Number.isInteger)) {
    schema["type"] = "integer"
  }
  // Whole bodies are shown where they are sent, encoded; here they would be shown as the server holds them.
  if (schema["properties"] !== undefined) delete schema["examples"]
  return Array.isArray(schema["allOf"]) ? merged(schema) : schema
}

/** The generator's schemas as a reader wants them, from the innermost outwards. */
export const tidySchemas = (document: Node): Node =>
  JSON.parse(JSON.stringify(document), (_, value) => (isNode(value) ? tidySchema(value) : value))

/**
 * Components are named for what they are: not for how they are encoded (`…Encoded`), and a schema that was annotated
 * anew for one place, with another example (`…_1`), is still the same.
 */
export const nameComponents = (document: Node): Node => {
  const schemas = child(document, "components", "schemas") ?? {}
  const texts = new Map(Object.entries(schemas).map(([name, schema]) => [name, JSON.stringify(schema)]))
  const nameOf = (name: string): string => {
    if (name.endsWith("Encoded")) return name.slice(0, -"Encoded".length)
    const original = name.replace(/_\d+$/, "")
    return texts.get(original) === texts.get(name) ? original : name
  }
  const named = Object.entries(schemas).filter(([name]) => nameOf(name) !== name || !texts.has(`${name}Encoded`))
  const components = {
    ...child(document, "components"),
    schemas: Object.fromEntries(named.map(([name, schema]) => [nameOf(name), schema]))
  }
  return JSON.parse(JSON.stringify({ ...document, components }), (key, value) =>
    key === "$ref" && typeof value === "string" ? value.replace(/[^/]+$/, nameOf) : value
  )
}
