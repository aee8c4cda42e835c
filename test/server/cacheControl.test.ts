import { Context } from "effect"
import { HttpApi } from "effect/http-api"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { CacheControl } from "../../src/api/Annotations.ts"
import { Api } from "../../src/api/Api.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { upload } from "../support/files.ts"
import { rawRequest } from "../support/rawHttp.ts"

const noStore = "private, no-store"

interface Endpoint {
  readonly group: string
  readonly method: string
  readonly path: string
  readonly needsToken: boolean
  readonly cacheControl: string | undefined
}

/** Every endpoint of the API's definition: a new one is tested here without being named. */
const endpoints: Array<Endpoint> = []
HttpApi.reflect(Api, {
  onGroup: () => {},
  onEndpoint: ({ endpoint, group, mergedAnnotations, middleware }) =>
    void endpoints.push({
      group: group.identifier,
      method: endpoint.method,
      path: endpoint.path,
      needsToken: [...middleware].some(({ key }) => key === "chat-backend/auth/Authorization"),
      cacheControl: Context.get(mergedAnnotations, CacheControl)
    })
})
const withPersonalData = endpoints.filter(({ group, needsToken }) => needsToken || group === "auth")

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
let room: string
let reply: string
let file: string

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api", API_PREFIX: "/api", ADMIN_TOKEN: "operator" })
  ada = await logIn(backend.url)
  room = await ada.room()
  reply = (await ada.ask(room, "Who reads this?")).body.reply.id
  await database.query(
    `insert into room_summaries (user_id, chatroom_id, upto_id, first_id, body, tokens, model, created_at)
      values ($1, $2, $3, $3, 'Who reads this?', 4, 'gemini', now())`,
    [ada.userId, room, reply]
  )
  file = (await upload(backend.url, ada, "text/plain", Buffer.from("Who reads this?"))).body.id
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const call = (method: string, path: string, headers: Record<string, string> = {}, body?: string) =>
  rawRequest(backend.url, method, path, { headers, ...(body === undefined ? {} : { body }) })
const get = (path: string) => call("GET", path, { authorization: `Bearer ${ada.token}` })
const pathOf = (path: string) =>
  path === "/v1/models/:id"
    ? "/v1/models/gemini-3.8-flash"
    : path.replace(":id", path.startsWith("/files") ? file : room).replace(":mid", reply)

/** A path as a proxy or an attacker could write it; the router takes all of these for the same. */
const spellings = (path: string): ReadonlyArray<string> => [
  path,
  `${path}/`,
  `${path}?x=1`,
  `/%${(path.codePointAt(1) ?? 0).toString(16)}${path.slice(2)}`,
  `/api${path}`
]

describe("Cache-Control", () => {
  it("is set on every endpoint under Authorization, and on those that log in", () => {
    assert.isAbove(withPersonalData.length, 30)
    for (const { cacheControl, method, path } of withPersonalData) assert.strictEqual(cacheControl, noStore, `${method} ${path}`)
  })

  it.each(withPersonalData)(
    "is private, no-store on refusals of $method $path, however the path is spelled",
    async ({ method, path }) => {
      for (const spelling of spellings(pathOf(path))) {
        const refused = await call(method, spelling, { "content-type": "application/json" }, method === "GET" ? undefined : "[]")
        assert.include([400, 401], refused.status, spelling)
        assert.strictEqual(refused.headers["cache-control"], noStore, spelling)
      }
    }
  )

  it.each(withPersonalData.filter(({ method }) => method === "GET"))(
    "is private on responses to a user: GET $path",
    async ({ path }) => {
      // Of these, two say otherwise below, the models in test/models, and the bytes of a file in test/files.
      if (path.endsWith("/stream") || path === "/chatroom" || path === "/models" || path.endsWith("/content")) return
      const answered = await get(`${pathOf(path)}${path === "/search" ? "?q=reads" : ""}`)
      // Without Stripe there are no invoices.
      const expected = path === "/billing/return" ? 400 : path === "/subscription/invoices" ? 503 : 200
      assert.strictEqual(answered.status, expected, answered.text)
      assert.strictEqual(answered.headers["cache-control"], noStore)
    }
  )

  it("is private, no-store on responses to creations, changes and deletions", async () => {
    const headers = { authorization: `Bearer ${ada.token}`, "content-type": "application/json" }
    const created = await call("POST", "/chatroom", headers, "{}")
    const path = `/chatroom/${created.body.id}`
    const changed = await call("PATCH", path, headers, `{"title":"Looms"}`)
    const deleted = await call("DELETE", path, headers)
    const gone = await get(path)
    assert.deepStrictEqual([created.status, changed.status, deleted.status, gone.status], [201, 200, 204, 404])
    for (const each of [created, changed, deleted, gone]) assert.strictEqual(each.headers["cache-control"], noStore)
  })

  it("lets the client keep the list of rooms and ask whether it changed", async () => {
    const list = await get("/chatroom")
    const headers = { authorization: `Bearer ${ada.token}`, "if-none-match": list.headers["etag"] ?? "" }
    const unchanged = await call("GET", "/chatroom", headers)
    assert.deepStrictEqual([list.status, unchanged.status], [200, 304])
    for (const each of [list, unchanged]) assert.strictEqual(each.headers["cache-control"], "private, no-cache")
    assert.strictEqual((await get("/chatroom?limit=x")).headers["cache-control"], noStore)
  })

  it("forbids a proxy to collect or compress a stream", async () => {
    const abort = new AbortController()
    const stream = await fetch(`${backend.url}/chatroom/${room}/message/${reply}/stream`, {
      headers: { authorization: `Bearer ${ada.token}` },
      signal: abort.signal
    })
    assert.strictEqual(stream.status, 200)
    assert.strictEqual(stream.headers.get("cache-control"), "no-cache, no-transform")
    abort.abort()
    assert.strictEqual((await get(`/chatroom/${room}/message/${room}/stream`)).headers["cache-control"], noStore)
  })

  it.each(withPersonalData)(
    "is private, no-store on $method $path;x.css, which a cache may take for a file",
    async ({ method, path }) => {
      const refused = await call(method, `${pathOf(path)};x.css`, { authorization: `Bearer ${ada.token}` })
      assert.strictEqual(refused.status, 404)
      assert.strictEqual(refused.headers["cache-control"], noStore)
    }
  )

  it("is private, no-store on paths that do not exist and on methods that an endpoint lacks", async () => {
    for (const path of ["/nope", "/user/nope", "/user/me/x.css", "/chatroom/x/y/z", "//user/me", "/user%2Fme"]) {
      const refused = await get(path)
      assert.strictEqual(refused.status, 404, path)
      assert.strictEqual(refused.headers["cache-control"], noStore, path)
    }
    const refused = await call("DELETE", "/user/usage")
    assert.strictEqual(refused.status, 405)
    assert.strictEqual(refused.headers["cache-control"], noStore)
    assert.strictEqual((await call("HEAD", "/user/me")).headers["cache-control"], noStore)
  })

  it("is absent where a response holds no person's data", async () => {
    for (const path of ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/webhook/stripe", "/metrics", "/admin/queue"]) {
      assert.isUndefined((await get(path)).headers["cache-control"], path)
    }
    assert.isUndefined((await call("POST", "/webhook/stripe", {}, "{}")).headers["cache-control"])
  })
})
