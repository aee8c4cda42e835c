import { Ajv2020 } from "ajv/dist/2020.js"
import { Exit, Schema } from "effect"
import { HttpApi } from "effect/http-api"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { Api } from "../../src/api/Api.ts"
import { openApiDocument } from "../../scripts/openapi/OpenApiDocument.ts"
import { fitting, type JsonSchema, spoiled } from "../hostile/Arbitraries.ts"
import { SseParser } from "../stream/SseClient.ts"

// oxlint-disable-next-line typescript/no-explicit-any -- the document is JSON that these tests walk
type Node = any

const document: Node = openApiDocument()
const resolve = (node: Node): Node =>
  typeof node?.$ref === "string"
    ? resolve(
        node.$ref
          .slice(2)
          .split("/")
          .reduce((at: Node, key: string) => at[key], document)
      )
    : node
const inlined = (schema: Node): JsonSchema => JSON.parse(JSON.stringify(schema), (_, value) => resolve(value))

interface Operation {
  readonly name: string
  readonly operation: Node
}
const operations: ReadonlyArray<Operation> = Object.entries<Record<string, Node>>(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation }))
)
const at = (name: string): Node => operations.find((found) => found.name === name)?.operation
const shownIn = (name: string, status: string): Node =>
  at(name).responses[status].content["application/json"].examples.example.value

const responses = operations.flatMap(({ name, operation }) =>
  Object.entries<Node>(operation.responses).map(([status, response]) => ({ name, status, response: resolve(response) }))
)

interface Body {
  readonly name: string
  readonly where: string
  readonly type: string
  readonly media: Node
}
const bodies: ReadonlyArray<Body> = [
  ...operations.map(({ name, operation }) => ({ name, status: "request", response: operation.requestBody ?? {} })),
  ...responses
].flatMap(({ name, response, status }) =>
  Object.entries<Node>(response.content ?? {})
    // The bytes of a file are neither JSON nor shown.
    .filter(([, media]) => media.schema.format !== "binary")
    .map(([type, media]) => ({ name, where: `${status} ${type}`, type, media }))
)

const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: true })
ajv.addVocabulary(["components", "example"])
ajv.addFormat("uuid", /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i)
ajv.addFormat("date-time", (text) => new Date(text).toISOString() === text)
ajv.addFormat("date", (text) => new Date(text).toISOString().slice(0, 10) === text)
ajv.addFormat("uri", URL.canParse)
ajv.addFormat("uri-reference", (text) => URL.canParse(text, "http://localhost"))
ajv.addFormat("password", true)
const ROOT = "document"
ajv.addSchema({ $id: ROOT, components: document.components })
const validators = new Map<string, ReturnType<typeof ajv.compile>>()
/** Compiles each schema once, with the document's components as a schema of their own. */
const validator = (schema: Node) => {
  const text = JSON.stringify(schema).replaceAll('"#/', `"${ROOT}#/`)
  const known = validators.get(text) ?? ajv.compile(JSON.parse(text))
  validators.set(text, known)
  return known
}
const assertFits = (schema: Node, value: unknown, what: string) => {
  const validate = validator(schema)
  assert.isTrue(validate(value), `${what}: ${ajv.errorsText(validate.errors)} ${JSON.stringify(value)}`)
}

const everyValue = (value: unknown): Array<unknown> =>
  typeof value === "object" && value !== null ? [value, ...Object.values(value).flatMap(everyValue)] : [value]

describe("every operation", () => {
  it.each(operations)("has a summary, a description and a tag: $name", ({ operation }) => {
    assert.isNotEmpty(operation.summary)
    assert.isNotEmpty(operation.description)
    assert.lengthOf(operation.tags, 1)
    const tag = document.tags.find(({ name }: { name: string }) => name === operation.tags[0])
    assert.isNotEmpty(tag?.description)
    for (const parameter of operation.parameters) assert.isNotEmpty(parameter.description, parameter.name)
    for (const response of Object.values(operation.responses)) {
      assert.isNotEmpty(resolve(response).description)
      assert.notMatch(resolve(response).description, /^\w+$|</, "not only a name")
    }
  })

  it("has valid examples of its parameters", () => {
    const parameters = operations.flatMap(({ operation }) => operation.parameters as Array<Node>)
    const shown = parameters.filter(({ examples }) => examples !== undefined)
    assert.isAbove(shown.length, 20)
    for (const { examples, name, schema } of shown) assertFits(schema, examples.example.value, name)
    for (const { name, schema } of parameters) if (schema.default !== undefined) assertFits(schema, schema.default, name)
  })
})

describe("the introduction", () => {
  it("lists every code that a response can have, with its status, once", () => {
    const rows = [...document.info.description.matchAll(/^\| `(\w+)` \| (\d{3}) \| .+ \|$/gm)].map(
      ([, code, status]) => `${status} ${code}`
    )
    assert.strictEqual(new Set(rows).size, rows.length)
    const codes = operations.flatMap(({ operation }) =>
      Object.values<Node>(operation.responses).flatMap((response) =>
        Object.values<Node>(resolve(response).content?.["application/problem+json"]?.examples ?? {}).map((example) => {
          const { code, status } = resolve(example).value
          return `${status} ${code}`
        })
      )
    )
    assert.deepStrictEqual([...rows].sort(), [...new Set(codes)].sort())
    assert.isAbove(rows.length, 50)
  })
})

describe("an optional parameter", () => {
  it("has an example that the reference does not send until the reader ticks it", () => {
    for (const { name, operation } of operations) {
      for (const parameter of operation.parameters as Array<Node>) {
        const ticked = parameter.examples?.example["x-disabled"] !== true
        assert.strictEqual(ticked, parameter.required, `${name} ${parameter.name}`)
      }
    }
  })
})

describe("every body", () => {
  it.each(operations)("has a valid example: $name", ({ name }) => {
    for (const { media, where } of bodies.filter((body) => body.name === name)) {
      const examples = Object.values<Node>(media.examples)
      assert.isAtLeast(examples.length, 1, where)
      for (const example of examples.map((named) => resolve(named).value)) {
        assert.isDefined(example, where)
        assertFits(media.schema, example, where)
      }
    }
  })

  it("is required only when one of its members is", () => {
    for (const { name, operation } of operations) {
      if (operation.requestBody === undefined) continue
      const { format, required = [] } = resolve(operation.requestBody.content["application/json"].schema)
      assert.strictEqual(operation.requestBody.required, required.length > 0 || format === "binary", name)
    }
  })

  it("has examples of one user, one room and one exchange", () => {
    const uuids = new Set(
      bodies
        .flatMap(({ media }) => everyValue(Object.values<Node>(media.examples).map(resolve)))
        .filter((value): value is string => typeof value === "string" && /^[\da-f]{8}-([\da-f]{4}-){3}[\da-f]{12}$/.test(value))
    )
    const me = shownIn("GET /user/me", "200")
    const { message, quota, reply } = shownIn("POST /chatroom/{id}/message", "201")
    const { challengeId } = shownIn("POST /auth/send-otp", "200")
    const { id: shareId } = shownIn("POST /chatroom/{id}/share", "201")
    const { id: apiKeyId } = shownIn("POST /user/keys", "201")
    const [session] = shownIn("GET /auth/sessions", "200").data
    assert.sameMembers(
      [...uuids].filter((id) => id[14] === "7"),
      [
        me.id,
        message.id,
        reply.id,
        message.chatroomId,
        challengeId,
        session.id,
        shareId,
        apiKeyId,
        shownIn("GET /files/{id}", "200").id
      ]
    )
    assert.lengthOf(
      [...uuids].filter((id) => id[14] !== "7"),
      1,
      "one request id"
    )
    assert.deepStrictEqual(me.quota, quota)
    assert.strictEqual(reply.replyTo, message.id)
    assert.deepStrictEqual(shownIn("GET /chatroom/{id}/latest", "200"), {
      message,
      reply
    })
  })
})

describe("every refusal", () => {
  const refusals = responses.filter(({ status }) => status === "default" || Number(status) >= 400)

  it.each(operations)("has an example of each of its codes: $name", ({ name }) => {
    for (const refusal of refusals.filter((found) => found.name === name)) {
      if (isOpenAi(name)) assertShownToOpenAi(refusal)
      else assertShown(refusal)
    }
  })

  const isOpenAi = (name: string) => name.includes(" /v1/")

  /** Refusals of OpenAI's form have one schema, and an example for each code. */
  const assertShownToOpenAi = ({ response, status }: (typeof refusals)[number]) => {
    assert.hasAllKeys(response.content, ["application/json"])
    const { examples, schema } = response.content["application/json"]
    assert.deepStrictEqual(schema, { $ref: "#/components/schemas/OpenAiError" })
    const codes = [...response.description.matchAll(/`(\w+)`:/g)].map(([, code]: ReadonlyArray<string>) => code)
    assert.isNotEmpty(codes)
    assert.sameMembers(Object.keys(examples), [...new Set(codes)])
    for (const [code, { value }] of Object.entries<Node>(examples)) {
      assertFits(schema, value, code)
      assert.strictEqual(value.error.code, code)
      assert.strictEqual(value.error.type === "server_error", Number(status) >= 500)
    }
  }

  const assertShown = ({ response, status }: (typeof refusals)[number]) => {
    const media = response.content["application/problem+json"]
    const schemas: Array<Node> = (media.schema.anyOf ?? [media.schema]).map(resolve)
    const codes = schemas.flatMap(({ properties }) => properties.code.enum)
    assert.sameMembers(Object.keys(media.examples), [...new Set(codes)])
    for (const [code, named] of Object.entries(media.examples)) {
      const { value } = resolve(named)
      assert.strictEqual(value.code, code)
      if (status !== "default") assert.strictEqual(value.status, Number(status))
      const schema = schemas.find(({ properties }) => properties.code.enum.includes(code))
      assert.deepStrictEqual(schema.properties.title.enum, [value.title])
      assert.include(response.description, `\`${code}\``)
    }
  }

  it.each([
    ["POST /auth/signup", "409 phone_taken", "422 weak_password"],
    ["POST /auth/send-otp", "429 otp_cooldown", "429 otp_send_limited", "503 delivery_failed"],
    ["POST /auth/verify-otp", "400 otp_invalid", "429 otp_attempts_exceeded"],
    ["POST /auth/forgot-password", "429 otp_cooldown", "429 otp_send_limited", "503 delivery_failed"],
    ["POST /auth/reset-password", "422 weak_password", "400 otp_invalid"],
    [
      "POST /auth/change-password",
      "400 current_password_invalid",
      "403 reauthentication_required",
      "422 same_password",
      "422 weak_password"
    ],
    ["POST /auth/login", "401 credentials_invalid", "404 not_found"],
    ["POST /auth/refresh", "401 refresh_invalid", "401 refresh_reused"],
    ["DELETE /auth/sessions/{id}", "404 session_not_found"],
    ["GET /user/me", "401 unauthenticated", "401 token_invalid", "401 token_expired", "401 session_revoked"],
    ["POST /chatroom", "400 validation_failed", "400 bad_json", "409 too_many_chatrooms", "422 idempotency_key_reused"],
    ["GET /chatroom/{id}", "404 chatroom_not_found"],
    ["POST /chatroom/{id}/message", "404 chatroom_not_found", "409 room_busy", "429 quota_exceeded"],
    ["GET /chatroom/{id}/message/{mid}/stream", "404 message_not_found", "429 too_many_streams"],
    ["POST /chatroom/{id}/message/{mid}/cancel", "409 already_finished"],
    ["POST /chatroom/{id}/message/{mid}/regenerate", "404 message_not_found", "409 room_busy", "429 quota_exceeded"],
    [
      "POST /subscribe/pro",
      "409 already_subscribed",
      "409 payment_required",
      "409 pending_cancellation",
      "422 idempotency_key_reused",
      "503 billing_unavailable"
    ],
    ...["POST /subscribe/pro", "POST /subscribe/{plan}"].map((name) => [
      name,
      "404 plan_not_found",
      "400 promotion_code_invalid",
      "409 change_in_portal",
      "400 validation_failed"
    ]),
    ["GET /plans", "503 billing_unavailable"],
    ["GET /subscription/invoices", "404 no_customer", "503 billing_unavailable"],
    ["POST /subscription/cancel", "404 no_subscription", "503 billing_unavailable"],
    ["POST /subscription/reactivate", "409 not_cancelling", "409 subscription_ended", "503 billing_unavailable"],
    ["POST /subscription/portal", "404 no_customer", "503 billing_unavailable"],
    ["GET /billing/return", "404 checkout_not_found"],
    [
      "POST /webhook/stripe",
      "400 signature_invalid",
      "400 event_unreadable",
      "413 payload_too_large",
      "415 unsupported_media_type"
    ],
    ["GET /readyz", "503 not_ready"],
    ["GET /metrics", "401 unauthenticated", "404 not_found"]
  ])("of the contract is documented: %s", (name, ...refusals) => {
    const everywhere = ["400 bad_request", "500 internal", "503 timeout", "503 overloaded", "503 unavailable"]
    for (const refusal of [...refusals, ...everywhere]) {
      const [status = "", code = ""] = refusal.split(" ")
      assert.property(at(name).responses[status].content["application/problem+json"].examples, code, refusal)
    }
    const { content, headers } = resolve(at(name).responses.default)
    assert.hasAllKeys(content["application/problem+json"].examples, [
      "not_found",
      "method_not_allowed",
      "request_timeout",
      "expectation_failed",
      "headers_too_large"
    ])
    assert.property(headers, "Allow")
  })

  it("is documented for bodies only where a body can be sent", () => {
    for (const { name, operation } of operations) {
      const media = isOpenAi(name) ? "application/json" : "application/problem+json"
      const codes = Object.keys(operation.responses["400"].content[media].examples)
      assert.strictEqual(codes.includes("bad_json"), !name.startsWith("GET "), name)
      assert.strictEqual("413" in operation.responses, !name.startsWith("GET "), name)
    }
  })
})

describe("every header", () => {
  it("has a description and a valid example", () => {
    const headers = responses.flatMap(({ response }) => Object.entries<Node>(response.headers))
    for (const [name, header] of headers) {
      const { description, example, schema } = resolve(header)
      assert.isNotEmpty(description, name)
      assertFits(schema, example, name)
    }
    assert.includeMembers(
      headers.map(([name]) => name),
      ["X-Request-Id", "Retry-After", "WWW-Authenticate", "Location", "Idempotent-Replayed", "RateLimit", "RateLimit-Policy"]
    )
  })

  it.each([
    ["POST /chatroom", "201", ["Location", "Idempotent-Replayed"]],
    ["GET /chatroom", "200", ["Link", "ETag", "Cache-Control", "Cache-Status"]],
    ["GET /chatroom", "304", ["ETag", "Cache-Control", "Cache-Status"]],
    ["POST /chatroom/{id}/message", "202", ["Location", "Retry-After", "RateLimit", "RateLimit-Policy", "Idempotent-Replayed"]],
    ["POST /chatroom/{id}/message", "429", ["Retry-After", "RateLimit", "RateLimit-Policy"]],
    ["GET /chatroom/{id}/latest", "200", ["Retry-After"]],
    ["GET /search", "200", ["Link"]],
    ["POST /subscribe/pro", "201", ["Idempotent-Replayed", "Cache-Control"]],
    ["POST /subscribe/{plan}", "201", ["Idempotent-Replayed", "Cache-Control"]],
    ["GET /subscription/invoices", "200", ["Link", "Cache-Control"]],
    ["GET /plans", "200", ["ETag", "Cache-Control"]],
    ["GET /user/me/export", "200", ["Content-Disposition", "Cache-Control"]]
  ])("of the contract is documented: %s %s", (name, status, headers) => {
    assert.containsAllKeys(at(name).responses[status].headers, headers)
  })

  it("is Cache-Control: private, no-store on every response to a user, except those that say otherwise", () => {
    const others = new Map([
      ["GET /chatroom 200", "private, no-cache"],
      ["GET /chatroom 304", "private, no-cache"],
      ["GET /models 200", "private, max-age=300"],
      ["GET /models 304", "private, max-age=300"],
      ["POST /v1/chat/completions 200", "private, no-store, no-transform"],
      ["GET /chatroom/{id}/message/{mid}/stream 200", "no-cache, no-transform"],
      ["POST /ai/chat 200", "no-cache, no-transform"],
      ["GET /ai/chat/{id}/stream 200", "no-cache, no-transform"],
      ...["200", "206", "304"].map((status) => [`GET /files/{id}/content ${status}`, "private, no-cache, no-transform"] as const)
    ])
    const toUsers = responses.filter(({ name }) => at(name).security?.some((scheme: Node) => "bearer" in scheme))
    const own = toUsers.filter(({ status }) => status !== "default")
    assert.isAbove(own.length, 150)
    for (const { name, response, status } of own) {
      const header = resolve(response.headers["Cache-Control"])
      const expected = others.get(`${name} ${status}`) ?? "private, no-store"
      assert.deepStrictEqual([header.example, header.schema.enum], [expected, [expected]], `${name} ${status}`)
    }
    assert.notProperty(at("GET /healthz").responses["200"].headers, "Cache-Control")
  })
})

describe("every schema", () => {
  const schemas = everyValue(document).filter((value): value is Node => typeof value === "object" && value !== null)

  it("has no bound of JavaScript's integers, and integer statuses", () => {
    for (const schema of schemas) {
      for (const bound of ["minimum", "maximum"]) assert.notStrictEqual(Math.abs(schema[bound]), Number.MAX_SAFE_INTEGER)
      if (schema.properties?.status?.enum?.every(Number.isInteger) === true)
        assert.strictEqual(schema.properties.status.type, "integer")
    }
  })

  it("has patterns that are valid with the u flag", () => {
    const patterns = schemas.flatMap(({ pattern }) => (typeof pattern === "string" ? [pattern] : []))
    assert.isAbove(patterns.length, 10)
    for (const pattern of patterns) assert.doesNotThrow(() => new RegExp(pattern, "u"))
  })
})

describe("the stream", () => {
  const { media } = bodies.find(({ type }) => type === "text/event-stream") ?? assert.fail("no endpoint streams")
  const events: Array<Node> = resolve(media.schema.contentSchema).anyOf.map(resolve)
  const schemaOf = (name: string) => events.find(({ properties }) => properties.event.enum[0] === name)

  it("documents every event of the contract", () => {
    assert.sameMembers(
      events.map(({ properties }) => properties.event.enum[0]),
      ["status", "delta", "replace", "thought", "title", "usage", "sources", "completed", "failed", "cancelled"]
    )
    for (const { properties } of events) {
      assert.strictEqual(properties.data.contentMediaType, "application/json")
      assert.isDefined(resolve(properties.data.contentSchema).properties)
    }
  })

  it("has an example from the first event to the last", () => {
    const parser = new SseParser()
    parser.feed(Buffer.from(media.examples.example.value))
    assert.deepStrictEqual(parser.strange, [])
    assert.isAbove(parser.events.length, 3)
    for (const { wire: data, name } of parser.events) assertFits(schemaOf(name).properties.data.contentSchema, data, name)
    const last = parser.events.at(-1)
    assert.strictEqual(last?.name, "completed")
    assert.strictEqual(parser.text, last?.data.content)
  })
})

describe("the schema of every request", () => {
  const payloads: Array<readonly [name: string, schema: Schema.Top]> = []
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint }) => {
      const name = `${endpoint.method} ${endpoint.path.replace(/:(\w+)/g, "{$1}").replace(/(.)\/$/, "$1")}`
      const isFile = at(name)?.requestBody?.content["application/json"].schema.format === "binary"
      for (const { schemas } of endpoint.payload.values()) {
        for (const schema of schemas) if (!isFile) payloads.push([name, schema])
      }
    }
  })

  /** A question without words, which only one with files may be. */
  const isWordless = (value: unknown) =>
    typeof value === "object" && value !== null && "content" in value && !/\S/u.test(String(value.content))

  /** Rules that the document's schemas do not express: which phone numbers exist, what Postgres can store, what is blank. */
  const isBeyondWords = (value: unknown) =>
    isWordless(value) ||
    everyValue(value).some(
      (part) =>
        (typeof part === "string" && (part.includes("\u0000") || !part.isWellFormed())) ||
        (typeof part === "number" && Number.isInteger(part) && !Number.isSafeInteger(part)) ||
        (typeof part === "object" && part !== null && "mobile" in part && part.mobile !== "+919876543210")
    )

  it.each(payloads)("accepts exactly what the server accepts: %s", (name, payload) => {
    const { schema } = at(name).requestBody.content["application/json"]
    const validate = validator(schema)
    const decode = Schema.decodeUnknownExit(Schema.toCodecJson(payload as Schema.Codec<unknown, unknown>))
    const whole = inlined(schema)
    const known = (value: unknown) =>
      typeof value === "object" && value !== null && "mobile" in value ? { ...value, mobile: "+919876543210" } : value
    fc.assert(
      fc.property(fc.oneof(spoiled(whole), fitting(whole).map(known)), (value) => {
        const taken = Exit.isSuccess(decode(value))
        const fits = validate(value)
        if (taken) assert.isTrue(fits, `the server takes it: ${JSON.stringify(value)} ${ajv.errorsText(validate.errors)}`)
        if (fits && !isBeyondWords(value)) assert.isTrue(taken, `the server refuses it: ${JSON.stringify(value)}`)
      }),
      { numRuns: 1_000 }
    )
  })
})
