import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { promisify } from "node:util"
import { HttpApi } from "effect/http-api"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { Api } from "../../src/api/Api.ts"
import { startBackend } from "../support/Backend.ts"
import { sidOf } from "../auth/People.ts"
import { freshMobile, logIn, type Person, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

/** An object of the document, whose shape these tests check. */
interface Node {
  readonly [key: string]: unknown
}
const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value)
const nodeAt = (from: unknown, ...path: ReadonlyArray<string>): Node => {
  const found = path.reduce<unknown>((at, key) => (isNode(at) ? at[key] : undefined), from)
  assert.isTrue(isNode(found), `nothing at ${path.join(" > ")}`)
  return found as Node
}

interface Endpoint {
  readonly method: string
  readonly path: string
}

/** Every endpoint of the API's definition. */
const endpoints: Array<Endpoint> = []
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint }) => void endpoints.push({ method: endpoint.method, path: endpoint.path })
})

/** Routes that need no token; every other one is protected. */
const open = new Set([
  ...["signup", "send-otp", "verify-otp", "forgot-password", "reset-password", "login", "refresh"].map(
    (name) => `POST /auth/${name}`
  ),
  "GET /healthz",
  "GET /readyz",
  "GET /metrics",
  "GET /admin/queue",
  "GET /admin/usage",
  "GET /admin/feedback",
  "POST /webhook/stripe",
  "GET /share/:token",
  "GET /share/:token/files/:message/:index",
  "GET /plans"
])

const withoutSlash = (path: string) => (path.length > 1 ? path.replace(/\/$/, "") : path)
const documented = ({ method, path }: Endpoint) =>
  [withoutSlash(path).replaceAll(/:(\w+)/g, "{$1}"), method.toLowerCase()] as const
const nameOf = ({ method, path }: Endpoint) => `${method} ${withoutSlash(path)}`

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
let document: Node

/** Responses of this run, by operation. */
const seen: Array<{ readonly path: string; readonly method: string; readonly reply: Reply }> = []

/** Sends a request and records its response under the documented path. */
const call = async (
  method: string,
  template: string,
  values: Record<string, string> = {},
  options: Parameters<typeof request>[3] = {}
) => {
  const path = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name] ?? "")
  const reply = await request(backend.url, method, path, options)
  seen.push({ path: (template.split("?")[0] ?? "").replace(/\/$/, ""), method: method.toLowerCase(), reply })
  return reply
}

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
  ada = await logIn(backend.url)
  const reply = await request(backend.url, "GET", "/openapi.json")
  assert.strictEqual(reply.status, 200)
  assert.match(reply.headers.get("content-type") ?? "", /^application\/json/)
  document = reply.body
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const operations = () =>
  Object.entries(nodeAt(document, "paths")).flatMap(([path, methods]) =>
    Object.entries(methods as Node).map(([method, operation]) => ({ path, method, operation: operation as Node }))
  )

/** Every object of the document, at any depth. */
const everyNode = (value: unknown): Array<Node> => {
  if (Array.isArray(value)) return value.flatMap(everyNode)
  return isNode(value) ? [value, ...Object.values(value).flatMap(everyNode)] : []
}

describe("the document", () => {
  it("is OpenAPI 3.1 with a title, a version and a description", () => {
    assert.match(String(document["openapi"]), /^3\.1\.\d$/)
    for (const member of ["title", "version", "description"]) assert.isNotEmpty(nodeAt(document, "info")[member])
    assert.deepStrictEqual(document["servers"], [{ url: backend.url.replace("127.0.0.1", "localhost") }])
    const schemes = nodeAt(document, "components", "securitySchemes")
    assert.deepInclude(nodeAt(schemes, "bearer"), { type: "http", bearerFormat: "JWT" })
    assert.deepInclude(nodeAt(schemes, "admin"), { type: "http" })
  })

  it("is the committed file but for the server, and is not indented", async () => {
    const own = String((document["servers"] as ReadonlyArray<Node>)[0]?.["url"])
    const text3000 = readFileSync("openapi.json", "utf8")
    assert.strictEqual(JSON.parse(text3000).servers[0].url, "http://localhost:3000")
    // The samples name the server, too.
    const committed = JSON.parse(text3000.replaceAll("http://localhost:3000/", `${own}/`))
    const { text } = await request(backend.url, "GET", "/openapi.json")
    assert.strictEqual(text, JSON.stringify({ ...committed, servers: document["servers"] }))
  })

  it("names no response header that a page of another origin cannot read", async () => {
    const origin = "https://app.example"
    const crossing = await startBackend({ DATABASE_URL: database.url, ROLE: "api", CORS_ORIGINS: origin })
    try {
      const { headers } = await request(crossing.url, "GET", "/healthz", { headers: { origin } })
      const exposed = new Set((headers.get("access-control-expose-headers") ?? "").split(",").map((name) => name.trim()))
      const named = everyNode(document["paths"]).flatMap(({ responses }) =>
        everyNode(responses).flatMap(({ headers }) => (isNode(headers) ? Object.keys(headers) : []))
      )
      assert.includeMembers([...exposed], [...new Set(named.map((name) => name.toLowerCase()))])
      assert.includeMembers([...exposed], ["content-disposition", "etag", "retry-after", "x-request-id"])
    } finally {
      await crossing.stop()
    }
  })

  it("has exactly the operations of the API", () => {
    assert.isAbove(endpoints.length, 10)
    assert.deepStrictEqual(
      operations()
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
      endpoints
        .map(documented)
        .map(([path, method]) => `${method} ${path}`)
        .sort()
    )
  })

  it("gives every operation a unique id without dots, and a summary", () => {
    const ids = operations().map(({ operation }) => String(operation["operationId"]))
    for (const id of ids) assert.match(id, /^[a-z][A-Za-z\d]*$/)
    assert.strictEqual(new Set(ids).size, ids.length)
    for (const { operation, path } of operations()) assert.isNotEmpty(operation["summary"], path)
  })

  it("has no dangling reference and no component named for its encoding", () => {
    const names = Object.keys(nodeAt(document, "components", "schemas"))
    for (const name of names) assert.notMatch(name, /Encoded|\.|\d$/)
    const references = everyNode(document)
      .map((node) => node["$ref"])
      .filter((ref) => ref !== undefined)
      .map(String)
    assert.isAbove(references.length, 20)
    for (const reference of references) nodeAt(document, ...reference.slice(2).split("/"))
  })

  it("types numeric query parameters as numbers", () => {
    const parameters = operations().flatMap(({ operation }) => (operation["parameters"] ?? []) as Array<Node>)
    const named = (name: string) => parameters.filter((parameter) => parameter["name"] === name && parameter["in"] === "query")
    assert.isAtLeast(named("limit").length, 2)
    for (const limit of named("limit")) {
      assert.deepInclude(nodeAt(limit, "schema"), { type: "integer", minimum: 1, maximum: 100 })
      assert.strictEqual(limit["required"], false)
    }
    assert.isAtLeast(named("wait").length, 2)
    for (const wait of named("wait")) assert.deepInclude(nodeAt(wait, "schema"), { type: "integer", minimum: 0, maximum: 30 })
  })

  it("declares every parameter of a path", () => {
    for (const { operation, path } of operations()) {
      const inPath = ((operation["parameters"] ?? []) as Array<Node>).filter((parameter) => parameter["in"] === "path")
      assert.deepStrictEqual(
        inPath.map((parameter) => `{${String(parameter["name"])}}`),
        path.match(/\{\w+\}/g) ?? []
      )
      for (const parameter of inPath) assert.strictEqual(parameter["required"], true)
    }
  })

  it.each([
    ["User", ["name", "email"]],
    ["Me", ["name", "email"]],
    ["Quota", ["limit", "remaining"]],
    ["Chatroom", ["systemPrompt", "model", "temperature", "archivedAt", "lastMessageAt"]],
    ["Message", ["replyTo", "finishReason", "error", "model", "usage", "completedAt"]],
    ["Latest", ["message", "reply"]],
    ["ChatroomPage", ["nextCursor"]]
  ])("documents the nullable fields of %s as required", (name, fields) => {
    const schema = nodeAt(document, "components", "schemas", name)
    // Lists omit the thoughts of a message.
    const required = Object.keys(nodeAt(schema, "properties")).filter((field) => field !== "thoughts")
    assert.sameMembers(schema["required"] as Array<string>, required)
    const nullable = Object.entries(nodeAt(schema, "properties"))
      .filter(([, property]) => everyNode((property as Node)["anyOf"] ?? []).some((node) => node["type"] === "null"))
      .map(([field]) => field)
    assert.includeMembers(nullable, fields)
  })

  it("has no closed object, since unknown fields are ignored", () => {
    assert.deepStrictEqual(
      everyNode(document).filter((node) => node["additionalProperties"] === false),
      []
    )
  })

  it("documents the members of every problem", () => {
    const problems = Object.values(nodeAt(document, "components", "schemas")).filter(
      (schema) => isNode((schema as Node)["properties"]) && "requestId" in nodeAt(schema, "properties")
    )
    assert.isAtLeast(problems.length, 10)
    for (const problem of problems) {
      assert.includeMembers((problem as Node)["required"] as Array<string>, [
        "type",
        "title",
        "status",
        "detail",
        "code",
        "requestId"
      ])
    }
  })

  it("documents response headers", () => {
    for (const { operation, path } of operations()) {
      for (const [status, named] of Object.entries(nodeAt(operation, "responses"))) {
        const { $ref } = named as Node
        const response = $ref === undefined ? named : nodeAt(document, ...String($ref).slice(2).split("/"))
        const names = Object.keys(nodeAt(response, "headers")).map((name) => name.toLowerCase())
        assert.include(names, "x-request-id", `${path} ${status}`)
        if (status === "429" || status === "503") assert.include(names, "retry-after", `${path} ${status}`)
        if (status === "401") assert.include(names, "www-authenticate", path)
        if (status === "default" || Number(status) >= 400)
          assert.hasAllKeys(
            nodeAt(response, "content"),
            [path.startsWith("/v1/") ? "application/json" : "application/problem+json"],
            `${path} ${status}`
          )
      }
    }
  })

  it("marks the operations that need a token", () => {
    for (const endpoint of endpoints) {
      const operation = nodeAt(document, "paths", ...documented(endpoint))
      const isProtected = !open.has(nameOf(endpoint))
      const isAdmin = ["GET /admin/queue", "GET /admin/usage", "GET /admin/feedback", "GET /metrics"].includes(nameOf(endpoint))
      const scheme = isProtected ? [{ bearer: [] }] : isAdmin ? [{ admin: [] }] : []
      assert.deepStrictEqual(operation["security"], scheme, nameOf(endpoint))
      // A password or a refresh token can be refused with 401 where no access token is needed, and a link with `SHARING=users`.
      const refusesCredentials =
        isAdmin ||
        ["POST /auth/login", "POST /auth/refresh"].includes(nameOf(endpoint)) ||
        (endpoint.path.startsWith("/share/:token") && endpoint.method === "GET")
      assert.strictEqual("401" in nodeAt(operation, "responses"), isProtected || refusesCredentials, nameOf(endpoint))
    }
  })
})

describe("the server", () => {
  const room = "01900000-0000-7000-8000-000000000001"

  it.each(endpoints.filter((endpoint) => !open.has(nameOf(endpoint))).map((endpoint) => [nameOf(endpoint), endpoint] as const))(
    "answers 401 without a token: %s",
    async (_, endpoint) => {
      const [path, method] = documented(endpoint)
      const options = method === "get" || method === "delete" ? {} : { body: {} }
      const reply = await call(
        method.toUpperCase(),
        path,
        { id: room, mid: room, plan: "pro", token: "unknown", message: "0", index: "0" },
        options
      )
      const codeOf = ({ body, status }: Reply) => `${status} ${path.startsWith("/v1/") ? body?.error?.code : body?.code}`
      const isOpenAi = path.startsWith("/v1/")
      assert.strictEqual(codeOf(reply), isOpenAi ? "401 invalid_api_key" : "401 unauthenticated")
      assert.isNotNull(reply.headers.get("www-authenticate"))
      const stale = await call(
        method.toUpperCase(),
        path,
        { id: room, mid: room, plan: "pro", token: "unknown", message: "0", index: "0" },
        { ...options, token: "x.y.z" }
      )
      assert.strictEqual(codeOf(stale), isOpenAi ? "401 invalid_api_key" : "401 token_invalid")
    }
  )

  // A plan belongs to no user.
  const owned = endpoints.filter(({ path }) => path.includes(":") && path !== "/subscribe/:plan")
  it.each(owned.map((endpoint) => [nameOf(endpoint), endpoint] as const))(
    "answers 404, never 403, to another user: %s",
    async (_, endpoint) => {
      const bob = await logIn(backend.url)
      const id = await ada.room()
      const sent = await ada.ask(id, "Mine?")
      const [path, method] = documented(endpoint)
      const options = method === "get" || method === "delete" ? {} : { body: { content: "Yours?", rating: "up" } }
      const reply = await call(
        method.toUpperCase(),
        path,
        { id, mid: sent.body.reply?.id ?? room, token: "unknown", message: "0", index: "0" },
        { ...options, token: bob.token }
      )
      assert.strictEqual(reply.status, 404, reply.text)
      await database.query("update usage_daily set used = 0")
    }
  )

  it("answers as documented", async () => {
    const mobile = freshMobile()
    await call("POST", "/auth/signup", {}, { body: { mobile, name: "Bob" } })
    const sent = await call("POST", "/auth/send-otp", {}, { body: { mobile } })
    await call("POST", "/auth/send-otp", {}, { body: { mobile } })
    await call("POST", "/auth/verify-otp", {}, { body: { mobile, otp: "x" } })
    await call("POST", "/auth/verify-otp", {}, { body: { mobile, otp: sent.body.otp === "000000" ? "000001" : "000000" } })
    const login = await call(
      "POST",
      "/auth/verify-otp",
      {},
      { body: { mobile, otp: sent.body.otp, challengeId: sent.body.challengeId } }
    )
    await call("POST", "/auth/signup", {}, { body: { mobile } })
    await call("POST", "/auth/signup", {}, { body: "{" })
    await call("POST", "/auth/signup", {}, { body: "x".repeat(300_000) })
    await call("POST", "/auth/signup", {}, { body: "{}", headers: { "content-type": "text/plain" } })

    const token: string = login.body.token
    const key = { "idempotency-key": "one" }
    const created = await call(
      "POST",
      "/chatroom",
      {},
      { token, body: { title: "A", temperature: 0.5, model: null }, headers: key }
    )
    await call("POST", "/chatroom", {}, { token, body: { title: "A", temperature: 0.5, model: null }, headers: key })
    await call("POST", "/chatroom", {}, { token, body: { title: "B" }, headers: key })
    await call("POST", "/chatroom", {}, { token, body: { title: "" } })
    const id: string = created.body.id
    await call("GET", "/user/me", {}, { token })
    await call("GET", "/chatroom", {}, { token })
    await call("GET", "/chatroom?limit=0", {}, { token })
    await call("GET", "/chatroom/{id}", { id }, { token })
    await call("GET", "/chatroom/{id}", { id: "x" }, { token })
    await call("PATCH", "/chatroom/{id}", { id }, { token, body: { title: "C", pinned: true, archived: true } })
    await call("GET", "/chatroom/{id}/latest", { id }, { token })
    const asked = await call("POST", "/chatroom/{id}/message", { id }, { token, body: { content: "Why?" } })
    for (let question = 0; question < 5; question++)
      await call("POST", "/chatroom/{id}/message", { id }, { token, body: { content: "Why?" } })
    const other = await call("POST", "/chatroom", {}, { token, body: {} })
    for (let question = 0; question < 3; question++)
      await call("POST", "/chatroom/{id}/message", { id: other.body.id }, { token, body: { content: "Why?" } })
    await call("GET", "/chatroom/{id}/messages", { id }, { token })
    await call("GET", "/chatroom/{id}/messages?limit=1", { id }, { token })
    await call("GET", "/chatroom/{id}/latest", { id }, { token })
    await call("GET", "/chatroom/{id}/message/{mid}", { id, mid: asked.body.reply.id }, { token })
    await call("GET", "/chatroom/{id}/message/{mid}/context", { id, mid: asked.body.reply.id }, { token })
    await call("GET", "/chatroom/{id}/export", { id }, { token })
    await call("GET", "/chatroom/{id}/export?format=markdown", { id }, { token })
    await call("GET", "/search?q=why&limit=1", {}, { token })
    await call("GET", "/user/usage", {}, { token })
    await call("GET", "/user/me/export", {}, { token })
    await call("PATCH", "/user/me", {}, { token, body: { name: null } })
    await call("GET", "/auth/sessions", {}, { token })
    await call("GET", "/subscription/status", {}, { token })
    await call("POST", "/subscribe/pro", {}, { token })
    await call("POST", "/subscribe/{plan}", { plan: "gold" }, { token })
    const plans = await call("GET", "/plans")
    await call("GET", "/plans", {}, { headers: { "if-none-match": plans.headers.get("etag") ?? "" } })
    await call("GET", "/subscription/invoices", {}, { token })
    const list = await call("GET", "/chatroom", {}, { token })
    await call("GET", "/chatroom", {}, { token, headers: { "if-none-match": list.headers.get("etag") ?? "" } })
    await call("POST", "/webhook/stripe", {}, { body: {} })
    await call("GET", "/metrics")
    await call("DELETE", "/chatroom/{id}", { id }, { token })
    await call("POST", "/auth/refresh", {}, { body: { refreshToken: login.body.refreshToken } })
    await call("GET", "/healthz")
    await call("GET", "/readyz")

    const statuses = seen.map(({ reply }) => reply.status)
    assert.includeMembers(statuses, [200, 201, 202, 204, 304, 400, 401, 404, 409, 413, 415, 422, 429, 503])
    for (const { method, path, reply } of seen) {
      const response = nodeAt(document, "paths", path, method, "responses", String(reply.status))
      assertHeaders(reply, nodeAt(response, "headers"), `${method} ${path} ${reply.status}`)
      const type = (reply.headers.get("content-type") ?? "").split(";")[0] ?? ""
      if (reply.text === "") continue
      const faults = misfits(reply.body ?? reply.text, nodeAt(response, "content", type, "schema"))
      assert.deepStrictEqual(faults, [], `${method} ${path} ${reply.status}: ${reply.text}`)
    }
  })
})

/** Asserts that required members are present and that the example fits its schema. */
const assertHeaders = (reply: Reply, headers: Node, what: string) => {
  for (const [name, named] of Object.entries(headers)) {
    const header = (named as Node)["$ref"] === undefined ? (named as Node) : nodeAt(document, "components", "headers", name)
    const value = reply.headers.get(name)
    if (value === null) assert.strictEqual(header["required"], false, `${what} has no ${name}`)
    else {
      const schema = nodeAt(header, "schema")
      assert.deepStrictEqual(
        misfits(schema["type"] === "integer" ? Number(value) : value, schema),
        [],
        `${what} ${name}: ${value}`
      )
    }
  }
}

/** Places where a value does not fit its schema, by the keywords that the document uses. */
const misfits = (value: unknown, schema: Node, at = ""): Array<string> => {
  if (typeof schema["$ref"] === "string") return misfits(value, nodeAt(document, ...schema["$ref"].slice(2).split("/")), at)
  const anyOf = (schema["anyOf"] ?? schema["oneOf"]) as Array<Node> | undefined
  if (anyOf !== undefined) {
    const tried = anyOf.map((option) => misfits(value, option, at))
    return tried.some((faults) => faults.length === 0) ? [] : tried.flat()
  }
  if (Array.isArray(schema["enum"]) && !schema["enum"].includes(value)) return [`${at} is not of ${schema["enum"].join(", ")}`]
  const type = value === null ? "null" : Array.isArray(value) ? "array" : Number.isInteger(value) ? "integer" : typeof value
  if (schema["type"] !== undefined && schema["type"] !== type && !(schema["type"] === "number" && type === "integer")) {
    return [`${at} is ${type}, not ${String(schema["type"])}`]
  }
  if (typeof schema["pattern"] === "string" && typeof value === "string" && !new RegExp(schema["pattern"], "u").test(value))
    return [`${at} does not match`]
  if (schema["format"] === "date-time" && new Date(String(value)).toISOString() !== value)
    return [`${at} is not a time in UTC with milliseconds`]
  if (Array.isArray(value))
    return isNode(schema["items"]) ? value.flatMap((item, index) => misfits(item, schema["items"] as Node, `${at}/${index}`)) : []
  if (!isNode(value)) return []
  const properties = isNode(schema["properties"]) ? schema["properties"] : undefined
  const missing = ((schema["required"] ?? []) as Array<string>)
    .filter((name) => !Object.hasOwn(value, name))
    .map((name) => `${at}/${name} is missing`)
  return [
    ...missing,
    ...Object.entries(value).flatMap(([name, member]) => {
      const property = properties?.[name]
      if (isNode(property)) return misfits(member, property, `${at}/${name}`)
      return isNode(schema["additionalProperties"])
        ? misfits(member, schema["additionalProperties"], `${at}/${name}`)
        : [`${at}/${name} is not documented`]
    })
  ]
}

describe("the samples", () => {
  it("send no optional parameter", () => {
    for (const { method, operation, path } of operations()) {
      const [sample] = operation["x-codeSamples"] as ReadonlyArray<{ readonly source: string }>
      for (const { name, required } of operation["parameters"] as ReadonlyArray<{ name: string; required: boolean }>) {
        if (!required) assert.notMatch(sample?.source ?? "", new RegExp(`[?&]${name}=|["']${name}:`, "i"), `${method} ${path}`)
      }
    }
  })

  it("work as they stand, with the variables of the walk-through", async () => {
    const room = await ada.room()
    const { body } = await ada.ask(room, "[[say yes]] ?")
    const env = { PATH: process.env["PATH"] ?? "", TOKEN: ada.token, ROOM: room, REPLY: body.reply.id, SESSION: sidOf(ada.token) }
    const run = async (path: string, method: string) => {
      const operation = nodeAt(document, "paths", path, method)
      const [sample] = operation["x-codeSamples"] as ReadonlyArray<{ readonly source: string }>
      const command = `${sample?.source} -s -o /dev/null -w '%{http_code}'`
      return (await promisify(execFile)("sh", ["-c", command], { env })).stdout
    }
    assert.strictEqual(await run("/chatroom", "post"), "201")
    assert.strictEqual(await run("/chatroom/{id}/message", "post"), "202")
    assert.strictEqual(await run("/chatroom/{id}/message/{mid}/stream-ticket", "post"), "201")
    for (const path of ["/chatroom", "/chatroom/{id}", "/chatroom/{id}/messages", "/chatroom/{id}/message/{mid}", "/search"]) {
      assert.strictEqual(await run(path, "get"), "200", path)
    }
    assert.strictEqual(await run("/chatroom/{id}", "patch"), "200")
    assert.strictEqual(await run("/auth/send-otp", "post"), "200")
    assert.strictEqual(await run("/auth/sessions/{id}", "delete"), "204")
  })
})

describe("the reference", () => {
  it("is a page that loads nothing from other hosts", async () => {
    const { headers, status, text } = await request(backend.url, "GET", "/docs")
    assert.strictEqual(status, 200)
    assert.match(headers.get("content-type") ?? "", /^text\/html/)
    // Elements of the page itself; text inside the script loads nothing.
    const html = text.replaceAll(/<script>[^]*?<\/script>/g, "<script></script>").replace('<link rel="icon" href="data:,">', "")
    assert.isBelow(html.length, 5_000)
    assert.notMatch(html, /(?:src|href|srcset|data|action)\s*=\s*["']?\s*(?:https?:)?\/\//i)
    assert.notMatch(html, /@import|url\(|<link|<iframe|<img|<style|src=/i)
    assert.isAbove(text.length, 1_000_000, "the script is in the page")
    for (const setting of [
      '"withDefaultFonts":false',
      '"telemetry":false',
      '"showDeveloperTools":"never"',
      '"hideClientButton":true'
    ])
      assert.include(text.slice(text.lastIndexOf("createApiReference(")).replaceAll(/\s/g, ""), setting)
    assert.notMatch(text.slice(text.lastIndexOf("createApiReference(")), /cdn\.|proxyUrl/)
  })

  it("is not sent again to a browser that has it, and neither is the document", async () => {
    for (const path of ["/docs", "/openapi.json"]) {
      for (const encoding of ["gzip", "identity"]) {
        const first = await request(backend.url, "GET", path, { headers: { "accept-encoding": encoding } })
        const tag = first.headers.get("etag") ?? ""
        assert.match(tag, /^"[\w-]{27}(-gz)?"$/, path)
        const known = { "accept-encoding": encoding, "if-none-match": tag }
        const again = await request(backend.url, "GET", path, { headers: known })
        assert.deepStrictEqual([again.status, again.text, again.headers.get("etag")], [304, "", tag], path)
        const policy = "content-security-policy"
        assert.strictEqual(again.headers.get(policy), first.headers.get(policy), path)
        const other = await request(backend.url, "GET", path, { headers: { ...known, "if-none-match": '"other"' } })
        assert.strictEqual(other.status, 200, path)
      }
    }
  })

  it("shows the document that the server serves", async () => {
    const { text } = await request(backend.url, "GET", "/docs")
    const page = text.slice(text.lastIndexOf("createApiReference("))
    const content = page.slice(page.indexOf("content:") + "content:".length, page.lastIndexOf("})"))
    // The page asks the server that it came from.
    assert.deepStrictEqual(JSON.parse(content), { ...document, servers: [{ url: "/" }] })
  })

  it("is where the root leads to when the playground is not built", async () => {
    const reply = await request(backend.url, "GET", "/")
    assert.strictEqual(reply.status, 302)
    assert.strictEqual(reply.headers.get("location"), "/docs")
  })
})
