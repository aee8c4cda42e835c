import { Schema } from "effect"
import { HttpApi, OpenApi } from "effect/http-api"
import { Api } from "../Api.ts"

/** A piece of the document. Its shape is the OpenAPI specification's, which this file walks and mends. */
type Node = { [key: string]: unknown }
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value)
const child = (node: unknown, ...path: ReadonlyArray<string>): Node | undefined => {
  const found = path.reduce<unknown>((at, key) => (isNode(at) ? at[key] : undefined), node)
  return isNode(found) ? found : undefined
}

/** The generator's defaults, as a tool for readers wants them; what it lacks is taken from the API's own schemas. */
export const openApiDocument = (): Node => {
  const document: Node = JSON.parse(JSON.stringify(OpenApi.fromApi(Api)))
  document["openapi"] = "3.1.0"
  document["servers"] = [{ url: "/" }]
  typeParameters(document)
  eachOperation(document, (operation, path, method) => {
    dropBodyProblems(operation)
    documentProblemHeaders(operation)
    describeStreams(operation, path)
    if (method === "get" && path === "/readyz") delete child(operation, "responses")?.["400"]
  })
  requireProblemMembers(document)
  return allowMore(renameEncoded(document))
}

const eachOperation = (document: Node, visit: (operation: Node, path: string, method: string) => void) => {
  for (const [path, methods] of Object.entries(child(document, "paths") ?? {})) {
    if (!isNode(methods)) continue
    for (const [method, operation] of Object.entries(methods)) if (isNode(operation)) visit(operation, path, method)
  }
}

/** Query and path parameters arrive as text; readers want to know that `limit` is an integer. */
const typeParameters = (document: Node) =>
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const path = endpoint.path.replace(/:(\w+)/g, "{$1}")
      const operation = child(document, "paths", path, endpoint.method.toLowerCase())
      const parameters = operation?.["parameters"]
      if (!Array.isArray(parameters)) return
      for (const slot of [endpoint.params, endpoint.query, endpoint.headers]) {
        if (slot === undefined) continue
        const typed = child(Schema.toJsonSchemaDocument(Schema.toType(slot)), "schema", "properties")
        for (const parameter of parameters.filter(isNode)) {
          const schema = child(typed, String(parameter["name"]))
          if (schema !== undefined && ["integer", "number", "boolean"].includes(String(schema["type"])))
            parameter["schema"] = schema
        }
      }
    }
  })

/** 413 and 415 speak of a body; an operation without one cannot answer them. */
const dropBodyProblems = (operation: Node) => {
  const responses = child(operation, "responses")
  if (responses === undefined || operation["requestBody"] !== undefined) return
  delete responses["413"]
  delete responses["415"]
}

/** What is sent in pieces is bytes to the generator; readers want to know what the bytes make. */
const describeStreams = (operation: Node, path: string) => {
  const content = child(operation, "responses", "200", "content")
  for (const [type, media] of Object.entries(content ?? {})) {
    if (!isNode(media) || media["x-effect-stream"] === undefined || content === undefined) continue
    content[type] = { schema: { type: type === "application/json" ? "object" : "string" } }
    if (path.endsWith("/export") && path.startsWith("/chatroom")) content["text/markdown"] = { schema: { type: "string" } }
  }
}

const text = (description: string): Node => ({ description, schema: { type: "string" } })
const seconds = { description: "Seconds until it is worth trying again.", schema: { type: "integer" } }

const documentProblemHeaders = (operation: Node) => {
  for (const [status, response] of Object.entries(child(operation, "responses") ?? {})) {
    if (!isNode(response)) continue
    const headers = (response["headers"] ??= {}) as Node
    headers["X-Request-Id"] = text("The request's id; the client's own when it sent one.")
    if (status === "429" || status === "503") headers["Retry-After"] = seconds
    if (status === "401") headers["WWW-Authenticate"] = text("RFC 6750.")
  }
}

/** What the server puts into every problem, and is optional only where the errors are made. */
const requireProblemMembers = (document: Node) => {
  for (const schema of Object.values(child(document, "components", "schemas") ?? {})) {
    const required = isNode(schema) ? schema["required"] : undefined
    if (!Array.isArray(required) || child(schema, "properties", "requestId") === undefined) continue
    required.push(...["title", "status", "requestId"].filter((member) => !required.includes(member)))
  }
}

/** Unknown fields of a request are ignored, and a response may gain some: no object is closed. */
const allowMore = (document: Node): Node =>
  JSON.parse(JSON.stringify(document), (key, value) => (key === "additionalProperties" && value === false ? undefined : value))

/** Components are named for what they are, not for how they are encoded. */
const renameEncoded = (document: Node): Node => {
  let source = JSON.stringify(document)
  for (const name of Object.keys(child(document, "components", "schemas") ?? {}).filter((name) => name.endsWith("Encoded"))) {
    const short = name.slice(0, -"Encoded".length)
    source = source.replaceAll(`"${name}":`, `"${short}":`).replaceAll(`schemas/${name}"`, `schemas/${short}"`)
  }
  return JSON.parse(source)
}
