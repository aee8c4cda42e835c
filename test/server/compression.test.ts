import { readFileSync } from "node:fs"
import { type IncomingMessage, request as httpRequest } from "node:http"
import { gunzipSync } from "node:zlib"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"

const document: { readonly paths: Record<string, Record<string, unknown>> } = JSON.parse(readFileSync("openapi.json", "utf8"))
const origin = "https://app.example"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
let room: string
let message: string

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({
    DATABASE_URL: database.url,
    ROLE: "api",
    ADMIN_TOKEN: "operator-of-the-tests",
    CORS_ORIGINS: origin,
    LOG_LEVEL: "none"
  })
  ada = await logIn(backend.url)
  for (const title of times(45, (n) => `Room number ${n}`)) room = await ada.room({ title })
  message = (await ada.ask(room, "A long question. ".repeat(900))).body.message.id
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

interface Response {
  readonly status: number
  readonly headers: IncomingMessage["headers"]
  /** The bytes as they were sent. */
  readonly bytes: Buffer
}

const call = (
  method: string,
  path: string,
  accepted: string | undefined,
  token: string | undefined = ada.token,
  headers: Record<string, string> = {}
): Promise<Response> =>
  new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      backend.url + path,
      {
        method,
        agent: false,
        headers: {
          "x-request-id": "the-same",
          "content-type": "application/json",
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(accepted === undefined ? {} : { "accept-encoding": accepted }),
          ...headers
        }
      },
      (incoming) => {
        const chunks: Array<Buffer> = []
        incoming.on("data", (chunk: Buffer) => {
          chunks.push(chunk)
          // A stream of events goes on.
          if (incoming.headers["content-type"]?.startsWith("text/event-stream") === true) incoming.destroy()
        })
        incoming.on("error", () => {})
        incoming.on("close", () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, bytes: Buffer.concat(chunks) })
        )
      }
    )
    outgoing.on("error", reject)
    // A body that no operation accepts: every route answers, and none changes anything.
    outgoing.end(method === "GET" || method === "HEAD" ? undefined : "[]")
  })

const decoded = ({ bytes, headers }: Response) => (headers["content-encoding"] === "gzip" ? gunzipSync(bytes) : bytes)
const varies = ({ headers }: Response) => (headers["vary"] ?? "").split(", ").includes("Accept-Encoding")
const get = (path: string, accepted?: string, headers?: Record<string, string>) => call("GET", path, accepted, ada.token, headers)

const accepting = ["gzip", "*", "deflate, gzip;q=0.5", "identity;q=0, gzip"]
const refusing = [undefined, "br;q=0, gzip;q=0", "identity;q=0", "br", "gzip;q=0, *", ""]

/** What differs between two responses of the same state. */
const stable = (path: string, bytes: Buffer): unknown => {
  if (path === "/metrics" || path === "/admin/queue") return bytes.length > 0
  // Each response has a ticket of its own.
  if (path.endsWith("-ticket")) return Object.keys(JSON.parse(bytes.toString()))
  if (path === "/user/export") return { ...JSON.parse(bytes.toString()), exportedAt: undefined }
  return bytes.toString()
}

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.keys(methods)
    // Those that delete or end without a body.
    .filter((method) => method === "get" || ["post", "patch", "put"].includes(method))
    .map((method) => ({ method: method.toUpperCase(), path }))
)
const safe = operations.filter(
  ({ method, path }) =>
    !/logout|recover|cancel|stop|reactivate|portal|subscribe|regenerate/.test(path) &&
    // Takes any body, so that the second upload finds the file of the first one.
    `${method} ${path}` !== "POST /files"
)
const pathOf = (path: string) => path.replace("{id}", room).replace("{mid}", message)
const query = (path: string) => (path === "/search" ? "?q=question" : path.endsWith("/messages") ? "?limit=100" : "")

describe("compression", () => {
  it.each([...safe, { method: "GET", path: "/docs" }, { method: "GET", path: "/openapi.json" }])(
    "of $method $path gives the same bytes, whatever the client accepts",
    async ({ method, path }) => {
      const token = /^\/(metrics|admin)/.test(path) ? "operator-of-the-tests" : ada.token
      const target = pathOf(path) + query(path)
      const plain = await call(method, target, undefined, token)
      const isMade = !path.endsWith("/stream")
      for (const accepted of [...accepting, "br;q=0, gzip", ...refusing]) {
        const response = await call(method, target, accepted, token)
        assert.strictEqual(response.status, plain.status, accepted)
        if (isMade) assert.deepStrictEqual(stable(path, decoded(response)), stable(path, plain.bytes), accepted)
        if (refusing.includes(accepted)) assert.isUndefined(response.headers["content-encoding"], accepted)
        assert.strictEqual(varies(response), varies(plain), accepted)
        const length = response.headers["content-length"]
        if (length !== undefined) assert.strictEqual(Number(length), response.bytes.length, accepted)
      }
    }
  )

  it.each(["/chatroom", "/chatroom?limit=25", "/chatroom?limit=6", "/chatroom?q=Room&limit=45", "/docs", "/openapi.json"])(
    "happens to large responses: %s",
    async (path) => {
      for (const accepted of accepting) {
        const response = await get(path, accepted)
        assert.strictEqual(response.headers["content-encoding"], "gzip", accepted)
        assert.strictEqual(response.headers["vary"], "Accept-Encoding, Origin")
      }
    }
  )

  it("happens to responses for one user from 8 KiB, to public and kept ones from 1 KiB, and to exports", async () => {
    for (const path of [`/chatroom/${room}/messages`, `/chatroom/${room}/export`]) {
      assert.strictEqual((await get(path, "gzip")).headers["content-encoding"], "gzip", path)
    }
    for (const path of ["/chatroom?limit=1", "/chatroom?q=Room&limit=20"]) {
      const small = await get(path, "gzip")
      assert.isUndefined(small.headers["content-encoding"], path)
      assert.isTrue(varies(small))
    }
  })

  it("happens neither under /auth nor to streams of events", async () => {
    const errors = { headers: { "content-type": "application/json" }, body: JSON.stringify({ mobile: "x".repeat(5_000) }) }
    for (const path of ["/auth/send-otp", "/auth/verify-otp", "/auth/refresh", "/auth/sessions"]) {
      const method = path === "/auth/sessions" ? "GET" : "POST"
      const response = await fetch(backend.url + path, {
        method,
        headers: { ...errors.headers, "accept-encoding": "gzip", authorization: `Bearer ${ada.token}` },
        ...(method === "GET" ? {} : { body: errors.body })
      })
      assert.isNull(response.headers.get("content-encoding"), path)
      assert.strictEqual(response.headers.get("vary"), "Origin", path)
    }
    const reply = (await ada.call("GET", `/chatroom/${room}/latest`)).body.reply.id
    const stream = await get(`/chatroom/${room}/message/${reply}/stream`, "gzip")
    assert.strictEqual(stream.status, 200)
    assert.match(stream.headers["cache-control"] ?? "", /no-transform/)
    assert.isUndefined(stream.headers["content-encoding"])
    assert.include(stream.bytes.toString(), "event: status")
  })

  it("gives the compressed list a validator of its own, and takes either for the page that the client has", async () => {
    const plain = (await get("/chatroom")).headers["etag"] ?? ""
    const compressed = await get("/chatroom", "gzip")
    assert.strictEqual(compressed.headers["cache-status"], "chatrooms; hit")
    assert.strictEqual(compressed.headers["etag"], plain.replace(/"$/, '-gz"'))
    for (const [tag, accepted] of [plain, compressed.headers["etag"] ?? ""].flatMap(
      (tag) =>
        [
          [tag, "gzip"],
          [tag, undefined]
        ] as const
    )) {
      const unchanged = await get("/chatroom", accepted, { "if-none-match": tag })
      assert.deepStrictEqual([unchanged.status, unchanged.headers["etag"], unchanged.bytes.length], [304, tag, 0])
      assert.isTrue(varies(unchanged))
    }
    assert.strictEqual((await get("/chatroom", "gzip", { "if-none-match": '"another-gz"' })).status, 200)
  })

  it("leaves HEAD without a body", async () => {
    const head = await call("HEAD", "/chatroom", "gzip")
    assert.deepStrictEqual([head.status, head.bytes.length], [200, 0])
    assert.isUndefined(head.headers["content-encoding"])
    assert.isTrue(varies(head))
  })
})
