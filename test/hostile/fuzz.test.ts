import { Ajv2020 } from "ajv/dist/2020.js"
import fc from "fast-check"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { openApiDocument } from "../../scripts/openapi/OpenApiDocument.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { fitting, type JsonSchema, nastyText, spoiled } from "./Arbitraries.ts"

/** Number of requests. For a longer run: FUZZ_REQUESTS=5000. */
const requests = Number(process.env["FUZZ_REQUESTS"] ?? 1_000)
/** The same requests in each run; FUZZ_SEED makes others. */
const seed = Number(process.env["FUZZ_SEED"] ?? 1)
/** Seconds after which a response counts as hung. */
const timeoutSeconds = 10

interface Operation {
  readonly method: string
  readonly path: string
  readonly parameters: ReadonlyArray<{ readonly name: string; readonly in: string; readonly schema: JsonSchema }>
  readonly body: JsonSchema | undefined
  readonly responses: Record<string, { readonly content?: Record<string, { readonly schema: JsonSchema }> }>
}

interface RequestBody {
  readonly content: { readonly "application/json": { readonly schema: JsonSchema } }
}

// oxlint-disable-next-line typescript/no-explicit-any -- the document is JSON that this test walks
const document = openApiDocument() as any
/** Operations that would delete the run's own room, session or user. */
const excluded = new Set(["DELETE /chatroom/{id}", "DELETE /user/me", "POST /auth/logout", "POST /auth/change-password"])

const resolve = (schema: JsonSchema): JsonSchema =>
  JSON.parse(JSON.stringify(schema), (_, value) =>
    typeof value === "object" && value !== null && typeof value.$ref === "string"
      ? resolve(document.components.schemas[value.$ref.split("/").at(-1)])
      : value
  )

const operations: ReadonlyArray<Operation> = Object.entries<Record<string, Record<string, unknown>>>(document.paths)
  .flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      parameters: ((operation["parameters"] ?? []) as Array<Operation["parameters"][number]>).map((parameter) => ({
        ...parameter,
        schema: resolve(parameter.schema)
      })),
      body:
        operation["requestBody"] === undefined
          ? undefined
          : resolve((operation["requestBody"] as RequestBody).content["application/json"].schema),
      responses: operation["responses"] as Operation["responses"]
    }))
  )
  .filter(({ method, path }) => !excluded.has(`${method} ${path}`))

const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: false })
const validators = new Map<string, ReturnType<Ajv2020["compile"]>>()
const fits = (operation: Operation, status: string, type: string, body: unknown) => {
  const schema = operation.responses[status]?.content?.[type]?.schema
  if (schema === undefined) return true
  const key = `${operation.method} ${operation.path} ${status} ${type}`
  const validate = validators.get(key) ?? ajv.compile(resolve(schema))
  validators.set(key, validate)
  return validate(body)
}

/** `fetch` resolves a segment of one or two dots, which would make the path of another route. */
const segment = (text: string) =>
  encodeURIComponent(text.toWellFormed())
    .slice(0, 250)
    .replace(/^\.{0,2}$/, "...")
const headerText = (text: string) => text.replace(/[^\x20-\x7e]/g, "?").slice(0, 300)

describe("random requests from the document", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let backend: Awaited<ReturnType<typeof startBackend>>
  let ada: Person
  let room: string
  let reply: string

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 0 })
    backend = await startBackend({
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: gemini.url,
      BASIC_DAILY_PROMPTS: "100000",
      ADMIN_TOKEN: "fuzz",
      LOG_LEVEL: "none"
    })
    ada = await logIn(backend.url)
    room = await ada.room({})
    reply = (await ada.ask(room, "hello", { wait: 10 })).body.reply.id
  })
  afterAll(async () => {
    await backend.stop()
    await gemini.stop()
    await database.drop()
  })

  const parameter = ({ name, schema }: Operation["parameters"][number]) => {
    const known = name === "id" ? room : name === "mid" ? reply : undefined
    const made = fc.oneof(fitting(schema).map(String), nastyText)
    // A real wait would take half a minute.
    const value = name === "wait" ? fc.constantFrom("0", "1", "x", "-1", "99") : made
    return known === undefined ? value : fc.oneof({ weight: 3, arbitrary: fc.constant(known) }, { weight: 1, arbitrary: value })
  }

  const requestOf = (operation: Operation) =>
    fc.record({
      operation: fc.constant(operation),
      token: fc.oneof(
        { weight: 8, arbitrary: fc.constant("own") },
        { weight: 1, arbitrary: fc.constant("none") },
        { weight: 1, arbitrary: nastyText }
      ),
      values: fc.record(
        Object.fromEntries(
          operation.parameters.map((entry) => [`${entry.in}:${entry.name}`, fc.option(parameter(entry), { nil: undefined })])
        )
      ),
      body: operation.body === undefined ? fc.constant(undefined) : spoiled(operation.body)
    })

  const send = async ({
    body,
    operation,
    token,
    values
  }: fc.Arbitrary<unknown> extends never
    ? never
    : { body: unknown; operation: Operation; token: string; values: Record<string, string | undefined> }) => {
    const url = operation.path.replace(/\{(\w+)\}/g, (_, name: string) =>
      segment(values[`path:${name}`] ?? (name === "id" ? room : reply))
    )
    const query = Object.entries(values).flatMap(([key, value]) =>
      key.startsWith("query:") && value !== undefined ? [`${key.slice(6)}=${segment(value)}`] : []
    )
    const headers: Record<string, string> = {}
    for (const [key, value] of Object.entries(values))
      if (key.startsWith("header:") && value !== undefined) headers[key.slice(7)] = headerText(value)
    if (token !== "none") headers["authorization"] = `Bearer ${token === "own" ? ada.token : headerText(token)}`
    if (body !== undefined) headers["content-type"] = "application/json"
    const response = await fetch(`${backend.url}${url}${query.length > 0 ? `?${query.join("&")}` : ""}`, {
      method: operation.method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutSeconds * 1000)
    })
    return { response, text: await response.text() }
  }

  it(`get documented responses and never a 5xx (${requests} requests)`, { timeout: 600_000 }, async () => {
    const seen = new Map<number, number>()
    const anyRequest = fc.constantFrom(...operations).chain(requestOf)
    await fc.assert(
      fc.asyncProperty(anyRequest, async (made) => {
        const { response, text } = await send(made)
        const { status } = response
        seen.set(status, (seen.get(status) ?? 0) + 1)
        const name = `${made.operation.method} ${made.operation.path} ${status} ${text.slice(0, 300)}`
        // Billing is off, so operations that need Stripe answer 503.
        if (status !== 503 || !text.includes('"billing_unavailable"')) assert.isBelow(status, 500, name)
        // An id with an escaped NUL makes another path, which does not exist.
        if (status === 404 && text.includes('"not_found"')) return
        assert.property(made.operation.responses, String(status), name)
        const type = (response.headers.get("content-type") ?? "").split(";")[0] ?? ""
        const isOpenAi = made.operation.path.startsWith("/v1/")
        if (status >= 400) assert.strictEqual(type, isOpenAi ? "application/json" : "application/problem+json", name)
        if (type.includes("json") && text !== "") {
          const body = JSON.parse(text)
          assert.isTrue(
            fits(made.operation, String(status), type, body),
            `${name} ${JSON.stringify([...validators.values()].find(({ errors }) => errors)?.errors?.[0])}`
          )
          if (status >= 400 && !isOpenAi) assert.strictEqual(body.requestId, response.headers.get("x-request-id"), name)
        }
        assert.notMatch(text, /node_modules|at .*\.ts:\d+|select .* from |syntax error/i, name)
      }),
      { numRuns: requests, seed }
    )
    process.stdout.write(`fuzzed ${requests} requests: ${JSON.stringify(Object.fromEntries([...seen].toSorted()))}\n`)
    const health = await fetch(`${backend.url}/healthz`)
    assert.strictEqual(health.status, 200)
  })
})
