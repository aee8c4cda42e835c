import { Schema } from "effect"
import { HttpApi } from "effect/http-api"
import { ids } from "../../src/api/Examples.ts"
import { Api } from "../../src/api/Api.ts"
import { headerName } from "./Headers.ts"
import { child, type Node, nodes, operationOf } from "./Node.ts"
import { tidySchemas } from "./Schemas.ts"

const isTyped = (schema: Node) => ["integer", "number", "boolean"].includes(String(schema["type"]))

/** `true` or `false` in a query is text to the server and a boolean to clients. */
const asBoolean = (schema: Node): Node =>
  JSON.stringify(schema["enum"]) === '["true","false"]'
    ? { type: "boolean", ...(schema["default"] === undefined ? {} : { default: schema["default"] === "true" }) }
    : schema

/** A value of a parameter whose schema has no example. */
const typicalOf = (schema: Node): unknown => {
  if (schema["default"] !== undefined) return schema["default"]
  if (Array.isArray(schema["enum"])) return schema["enum"][0]
  if (schema["format"] === "uuid") return ids.question
  return typeof schema["maximum"] === "number" ? Math.min(schema["maximum"], 20) : undefined
}

const complete = (parameter: Node, typed: Node | undefined): Node => {
  // Parameters arrive as text, but clients need the decoded type: `limit` is an integer within bounds.
  const known = typed !== undefined && isTyped(typed) ? typed : { ...typed, ...child(parameter, "schema") }
  const { description, examples, ...schema } = known
  const [own] = Array.isArray(examples) ? examples : []
  const example = own ?? typicalOf(asBoolean(schema))
  // The reference shows an optional parameter's value without sending it, until the reader ticks it.
  const ticked = parameter["required"] === true ? {} : { "x-disabled": true }
  return {
    ...parameter,
    name: parameter["in"] === "header" ? headerName(String(parameter["name"])) : parameter["name"],
    ...(description === undefined ? {} : { description }),
    schema: asBoolean(schema),
    ...(example === undefined ? {} : { examples: { example: { value: example, ...ticked } } })
  }
}

export const documentParameters = (document: Node) =>
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const operation = operationOf(document, endpoint)
      if (operation === undefined) return
      const slots = { path: endpoint.params, query: endpoint.query, header: endpoint.headers }
      const typed = Object.entries(slots).map(([place, slot]) => {
        const schema = slot === undefined ? {} : tidySchemas({ ...Schema.toJsonSchemaDocument(Schema.toType(slot)) })
        return [place, child(schema, "schema", "properties")] as const
      })
      const known = Object.fromEntries(typed)
      operation["parameters"] = nodes(operation["parameters"]).map((parameter) =>
        complete(parameter, child(known, String(parameter["in"]), String(parameter["name"])))
      )
    }
  })
