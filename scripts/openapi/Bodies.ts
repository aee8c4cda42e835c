import { Schema } from "effect"
import { HttpApi, HttpApiSchema } from "effect/http-api"
import { exampleUiStream } from "../../src/api/aisdk/UiChunk.ts"
import { Api } from "../../src/api/Api.ts"
import { streamCacheControl } from "../../src/api/chat/RepliesApi.ts"
import { exampleStream } from "../../src/api/chat/StreamEvents.ts"
import { exampleChunks } from "../../src/api/openai/Completion.ts"
import { completionCacheControl } from "../../src/api/openai/OpenAiApi.ts"
import { child, eachOperation, isNode, type Node, nodes, operationOf, resolved } from "./Node.ts"

/** The example of a schema's annotation, encoded by the schema itself so that it always fits. */
const encodedExample = (schema: Schema.Top): unknown => {
  const { examples } = schema.ast.annotations ?? {}
  const [example] = Array.isArray(examples) ? examples : []
  // Reflection erases the type of a schema; none of the contract's needs services to encode.
  const codec = Schema.make<Schema.Codec<unknown>>(schema.ast)
  return example === undefined ? undefined : Schema.encodeUnknownSync(Schema.toCodecJson(codec))(example)
}

const bytes = { schema: { type: "string", format: "binary" } }
/** Whether a body is bytes, which JSON cannot show. */
const isFile = (content: Node | undefined): boolean => Object.values(content ?? {}).includes(bytes)

const addExample = (content: Node | undefined, schema: Schema.Top, what: string) => {
  const example = encodedExample(schema)
  const type = Object.keys(content ?? {}).find((type) => type.startsWith("text/") === (typeof example === "string"))
  const media = child(content, type ?? "")
  if (example === undefined || media === undefined) throw new Error(`${what} has no example`)
  // `examples` instead of `example`, because some tools show only those; one name, because some tools combine by name.
  media["examples"] = { example: { value: example } }
}

/** Adds an example to every request and response body; a schema without one stops the generation. */
export const addExamples = (document: Node) =>
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, successes }) => {
      const operation = operationOf(document, endpoint)
      const name = `${endpoint.method} ${endpoint.path}`
      for (const { schemas } of endpoint.payload.values()) {
        const content = child(operation, "requestBody", "content")
        for (const schema of schemas) if (!isFile(content)) addExample(content, schema, name)
      }
      for (const [status, schemas] of successes) {
        const content = child(operation, "responses", String(status), "content")
        for (const schema of schemas) {
          const body = HttpApiSchema.isWithHeaders(schema) ? schema.schema : schema
          if (!HttpApiSchema.isNoContent(body.ast) && !isFile(content)) addExample(content, body, `${name} ${status}`)
        }
      }
    }
  })

const eventStream = (schema: string, example: string) => ({
  schema: {
    type: "string",
    description: "Events as they happen, and a comment after every 15 seconds without one.",
    contentMediaType: "text/event-stream",
    contentSchema: { $ref: `#/components/schemas/${schema}` }
  },
  examples: { example: { value: example } }
})
const replyEvents = eventStream("ReplyEvent", exampleStream)
const uiChunks = eventStream("UIMessageChunk", exampleUiStream)

const optionalHeader = { required: false, schema: { type: "string" } }
const completionHeaders = {
  "cache-control": { required: true, schema: { enum: [completionCacheControl] } },
  "idempotent-replayed": { required: false, schema: { enum: ["true"] } },
  "ratelimit-policy": optionalHeader,
  ratelimit: optionalHeader
}

const chunkStream = {
  schema: {
    type: "string",
    description: "With `stream`: chunks as they are written, a comment after every 15 seconds without one, and `data: [DONE]`.",
    contentMediaType: "text/event-stream",
    contentSchema: { $ref: "#/components/schemas/ChatCompletionChunk" }
  },
  examples: { example: { value: exampleChunks } }
}

/** Documents streamed bytes as files, which client generators know. */
export const describeFiles = (document: Node) =>
  eachOperation(document, (operation) => {
    const body = child(operation, "requestBody")
    const responses = child(operation, "responses") ?? {}
    const contents = [body, responses["200"]].map((each) => child(each, "content") ?? {})
    for (const content of contents) {
      for (const type of Object.keys(content)) {
        if (type !== "text/event-stream" && child(content, type)?.["x-effect-stream"] !== undefined) content[type] = bytes
      }
    }
    const [sent = {}, received = {}] = contents
    if (isFile(sent)) Object.assign(body ?? {}, { required: true })
    const part = child(responses, "206")
    if (!isFile(received)) return
    Object.assign(child(responses, "200") ?? {}, { description: "The bytes." })
    Object.assign(part ?? {}, { description: "The range of the bytes.", content: received })
  })

/** The generator documents a stream as bytes; this documents its events. */
export const describeStreams = (document: Node) =>
  eachOperation(document, (operation, path) => {
    const isUiStream = path.startsWith("/ai/")
    for (const response of Object.values(child(operation, "responses") ?? {})) {
      const content = child(response, "content")
      if (!isNode(response) || content?.["text/event-stream"] === undefined) continue
      if (path.startsWith("/v1/")) {
        content["text/event-stream"] = chunkStream
        response["headers"] = completionHeaders
        continue
      }
      response["description"] = "The reply's events, until it ends."
      response["headers"] = {
        ...child(response, "headers"),
        "cache-control": { required: true, schema: { enum: [streamCacheControl] } },
        ...(isUiStream ? { "x-vercel-ai-ui-message-stream": { required: true } } : {})
      }
      content["text/event-stream"] = isUiStream ? uiChunks : replyEvents
    }
  })

/** Documents an event's data as a string that contains JSON, as OpenAPI 3.2 does for streams. */
export const describeEvents = (document: Node) => {
  for (const { $ref } of nodes(child(document, "components", "schemas", "ReplyEvent")?.["anyOf"])) {
    const properties = child(resolved(document, { $ref }), "properties")
    if (properties === undefined) continue
    properties["data"] = { type: "string", contentMediaType: "application/json", contentSchema: properties["data"] }
  }
}
