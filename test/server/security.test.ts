import { createHash } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { rawRequest, type RawReply, rawExchange } from "../support/rawHttp.ts"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, CORS_ORIGINS: "https://app.example" })
  ada = await logIn(backend.url)
})
afterAll(async () => {
  await backend.stop()
  await gemini.stop()
  await database.drop()
})

type Directives = Readonly<Record<string, ReadonlyArray<string>>>
const policyOf = ({ headers }: Pick<RawReply, "headers">): Directives =>
  Object.fromEntries(
    (headers["content-security-policy"] ?? "").split(";").map((directive) => {
      const [name = "", ...sources] = directive.trim().split(/\s+/)
      return [name, sources]
    })
  )

describe("a response that is not HTML", () => {
  const answers = async (): Promise<ReadonlyArray<readonly [string, RawReply]>> => {
    const headers = { authorization: `Bearer ${ada.token}` }
    const room = await ada.room()
    const { body } = await ada.ask(room, "[[say yes]] ?", { wait: 20 })
    const etag = (await rawRequest(backend.url, "GET", "/chatroom", { headers })).headers["etag"] ?? ""
    const ask = (method: string, path: string, more: Record<string, string> = {}) =>
      rawRequest(backend.url, method, path, { headers: { ...headers, ...more } })
    return [
      ["json", await ask("GET", "/user/me")],
      ["cached bytes", await ask("GET", "/chatroom")],
      ["a head", await ask("HEAD", "/user/me")],
      ["304", await ask("GET", "/chatroom", { "if-none-match": etag })],
      ["401", await ask("GET", "/user/me", { authorization: "" })],
      ["404", await ask("GET", "/nowhere")],
      ["405", await ask("PUT", "/user/me")],
      ["400", await ask("GET", "/chatroom?limit=x")],
      ["events", await ask("GET", `/chatroom/${room}/message/${body.reply.id}/stream`)],
      ["an export", await ask("GET", `/chatroom/${room}/export?format=markdown`)],
      ["the document", await ask("GET", "/openapi.json")],
      ["a redirect", await ask("GET", "/")],
      [
        "a preflight",
        await ask("OPTIONS", "/user/me", { origin: "https://app.example", "access-control-request-method": "GET" })
      ],
      ["204", await ask("DELETE", `/chatroom/${room}`)]
    ]
  }

  it("blocks scripts, loading, framing and referrers, and does not name the server", async () => {
    for (const [name, reply] of await answers()) {
      assert.deepInclude(policyOf(reply), { "default-src": ["'none'"], "frame-ancestors": ["'none'"] }, name)
      assert.strictEqual(reply.headers["x-content-type-options"], "nosniff", name)
      assert.strictEqual(reply.headers["referrer-policy"], "no-referrer", name)
      assert.strictEqual(reply.headers["cross-origin-resource-policy"], "same-origin", name)
      assert.isUndefined(reply.headers["strict-transport-security"], name)
      for (const banner of ["server", "x-powered-by"]) assert.isUndefined(reply.headers[banner], name)
    }
  })

  it("has the same CSP when the request was not HTTP", async () => {
    const answer = await rawExchange(backend.url, "nonsense\r\n\r\n")
    assert.match(answer, /^HTTP\/1\.1 400 [\s\S]*\r\ncontent-security-policy: default-src 'none'; frame-ancestors 'none'/)
  })
})

describe("the reference page", () => {
  it("runs its own inline scripts only", async () => {
    const page = await rawRequest(backend.url, "GET", "/docs")
    const policy = policyOf(page)
    const scripts = [...page.text.matchAll(/<script([^>]*)>([\s\S]*?)<\/script>/g)]
    assert.lengthOf(scripts, 2)
    for (const [, attributes] of scripts) assert.strictEqual(attributes, "")
    const hashes = scripts.map(([, , source = ""]) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`)
    assert.sameMembers([...(policy["script-src"] ?? [])], hashes)
    assert.deepInclude(policy, {
      "default-src": ["'none'"],
      "connect-src": ["'self'"],
      "base-uri": ["'none'"],
      "form-action": ["'none'"],
      "frame-ancestors": ["'none'"]
    })
    for (const [directive, sources] of Object.entries(policy)) {
      assert.notMatch(sources.join(" "), /https?:|\*|unsafe-eval/, directive)
      if (directive !== "style-src") assert.notInclude(sources, "'unsafe-inline'", directive)
    }
    assert.strictEqual(page.headers["cross-origin-opener-policy"], "same-origin")
    assert.match(page.headers["permissions-policy"] ?? "", /camera=\(\).*geolocation=\(\)/)
    assert.strictEqual(page.headers["referrer-policy"], "no-referrer")
    assert.strictEqual(page.headers["x-content-type-options"], "nosniff")
  })

  it("has the same CSP every time, for HEAD too", async () => {
    const [first, second, head] = [
      await rawRequest(backend.url, "GET", "/docs"),
      await rawRequest(backend.url, "GET", "/docs/"),
      await rawRequest(backend.url, "HEAD", "/docs")
    ]
    assert.strictEqual(second.headers["content-security-policy"], first.headers["content-security-policy"])
    assert.strictEqual(head.headers["content-security-policy"], first.headers["content-security-policy"])
  })
})

describe("with an HTTPS APP_URL", () => {
  it("sends Strict-Transport-Security", async () => {
    const own = await startBackend({ DATABASE_URL: database.url, ROLE: "api", APP_URL: "https://chat.example" })
    try {
      for (const path of ["/healthz", "/nowhere", "/docs"]) {
        const reply = await rawRequest(own.url, "GET", path)
        assert.match(reply.headers["strict-transport-security"] ?? "", /^max-age=\d{7,}$/, path)
      }
    } finally {
      await own.stop()
    }
  })
})
