import { Schema } from "effect"
import { HttpApi, HttpApiSchema } from "effect/http-api"
import { Api } from "../../src/api/Api.ts"
import { streamCacheControl } from "../../src/api/chat/RepliesApi.ts"
import { exampleStream } from "../../src/api/chat/StreamEvents.ts"
import { child, eachOperation, isNode, type Node, nodes, operationOf, resolved } from "./Node.ts"

/** The example of a schema's annotation as it is sent: encoded by the schema itself, so that it cannot but fit. */
const encodedExample = (schema: Schema.Top): unknown => {
  const { examples } = schema.ast.annotations ?? {}
  const [example] = Array.isArray(examples) ? examples : []
  return example === undefined
    ? undefined
    : Schema.encodeUnknownSync(Schema.toCodecJson(schema as Schema.Codec<unknown, unknown>))(example)
}

const show = (content: Node | undefined, schema: Schema.Top, what: string) => {
  const example = encodedExample(schema)
  const type = Object.keys(content ?? {}).find((type) => type.startsWith("text/") === (typeof example === "string"))
  const media = child(content, type ?? "")
  if (example === undefined || media === undefined) throw new Error(`${what} has no example`)
  // Named, for readers who show `examples` alone, and by one name, for those who show a request's parts by it.
  media["examples"] = { example: { value: example } }
}

/** Puts an example into every body that is asked for or answered; one that has none stops the generation. */
export const showExamples = (document: Node) =>
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, successes }) => {
      const operation = operationOf(document, endpoint)
      const name = `${endpoint.method} ${endpoint.path}`
      for (const { schemas } of endpoint.payload.values()) {
        for (const schema of schemas) show(child(operation, "requestBody", "content"), schema, name)
      }
      for (const [status, schemas] of successes) {
        const content = child(operation, "responses", String(status), "content")
        for (const schema of schemas) {
          const body = HttpApiSchema.isWithHeaders(schema) ? schema.schema : schema
          if (!HttpApiSchema.isNoContent(body.ast)) show(content, body, `${name} ${status}`)
        }
      }
    }
  })

const eventStream = {
  schema: {
    type: "string",
    description: "Events as they come; every 15 seconds of silence a comment.",
    contentMediaType: "text/event-stream",
    contentSchema: { $ref: "#/components/schemas/ReplyEvent" }
  },
  examples: { example: { value: exampleStream } }
}

/** What is sent in pieces is bytes to the generator; readers want to know what the bytes make. */
export const describeStreams = (document: Node) =>
  eachOperation(document, (operation) => {
    for (const response of Object.values(child(operation, "responses") ?? {})) {
      const content = child(response, "content")
      if (!isNode(response) || content?.["text/event-stream"] === undefined) continue
      response["description"] = "The reply's events, until it has ended."
      response["headers"] = { "cache-control": { required: true, schema: { enum: [streamCacheControl] } } }
      content["text/event-stream"] = eventStream
    }
  })

/** An event's data is text that holds JSON, as OpenAPI 3.2 has it for streams. */
export const describeEvents = (document: Node) => {
  for (const { $ref } of nodes(child(document, "components", "schemas", "ReplyEvent")?.["anyOf"])) {
    const properties = child(resolved(document, { $ref }), "properties")
    if (properties === undefined) continue
    properties["data"] = { type: "string", contentMediaType: "application/json", contentSchema: properties["data"] }
  }
}
