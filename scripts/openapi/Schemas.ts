import { child, isNode, type Node, nodes } from "./Node.ts"

const isUnsafe = (bound: unknown) => Math.abs(Number(bound)) === Number.MAX_SAFE_INTEGER

/** Moves the members of `allOf` into the schema itself, unless two of them have a keyword in common. */
const merged = (schema: Node): Node => {
  const { allOf, ...own } = schema
  const parts = nodes(allOf)
  const keywords = [own, ...parts].flatMap(Object.keys)
  const isDisjoint = new Set(keywords).size === keywords.length && !keywords.includes("$ref")
  return isDisjoint ? Object.assign(own, ...parts) : schema
}

const tidySchema = (schema: Node): Node => {
  // No object is closed: unknown fields of requests are ignored, and responses may gain fields.
  if (schema["additionalProperties"] === false) delete schema["additionalProperties"]
  if (schema["minLength"] === 0) delete schema["minLength"]
  // JavaScript's range of safe integers is not a rule of the contract.
  for (const bound of ["minimum", "maximum"]) if (isUnsafe(schema[bound])) delete schema[bound]
  if (schema["type"] === "number" && Array.isArray(schema["enum"]) && schema["enum"].every(Number.isInteger)) {
    schema["type"] = "integer"
  }
  // Examples of bodies are at their operations, encoded; here they would be in the server's own form.
  if (schema["properties"] !== undefined) delete schema["examples"]
  return Array.isArray(schema["allOf"]) ? merged(schema) : schema
}

/** Simplifies the generator's schemas, innermost first. */
export const tidySchemas = (document: Node): Node =>
  JSON.parse(JSON.stringify(document), (_, value) => (isNode(value) ? tidySchema(value) : value))

/**
 * Renames components: `…Encoded` loses its suffix, and a copy of a schema that differs only in its annotations (`…_1`) becomes
 * the schema itself.
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
