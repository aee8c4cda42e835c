import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { rawRequest, type RawReply, rawExchange } from "../support/rawHttp.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { upload } from "../support/files.ts"

type Backend = Awaited<ReturnType<typeof startBackend>>

let database: TestDatabase
let backend: Backend
let ada: Person
let token: { authorization: string }

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
  ada = await logIn(backend.url)
  token = { authorization: `Bearer ${ada.token}` }
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const json = { "content-type": "application/json" }
const get = (path: string, headers: Record<string, string> = {}) => rawRequest(backend.url, "GET", path, { headers })
const post = (path: string, body: string | Uint8Array, headers: Record<string, string> = json) =>
  rawRequest(backend.url, "POST", path, { body, headers })

/** Asserts the shape of every problem and the headers that belong to it. */
const assertProblem = (reply: RawReply, status: number, code: string) => {
  assert.strictEqual(`${reply.status} ${reply.body?.code}`, `${status} ${code}`, reply.text)
  assert.strictEqual(reply.headers["content-type"], "application/problem+json")
  assert.strictEqual(reply.headers["x-content-type-options"], "nosniff")
  for (const member of ["type", "title", "detail", "code", "requestId"]) assert.isString(reply.body[member], member)
  for (const member of ["type", "title", "detail"]) assert.isNotEmpty(reply.body[member], member)
  assert.match(reply.body.code, /^[a-z]+(_[a-z]+)*$/)
  assert.strictEqual(reply.body.status, status)
  assert.strictEqual(reply.body.requestId, reply.headers["x-request-id"])
  if (status === 401) assert.match(reply.headers["www-authenticate"] ?? "", /^Bearer /)
  if (status === 429 || status === 503) assert.match(reply.headers["retry-after"] ?? "", /^[1-9]\d*$/)
}

const paths = (reply: RawReply): Array<string> =>
  [...new Set<string>(reply.body.errors.map((error: { path: string }) => error.path))].sort()

const assertFaults = (reply: RawReply, ...expected: ReadonlyArray<string>) => {
  assertProblem(reply, 400, "validation_failed")
  assert.deepStrictEqual(paths(reply), [...expected].sort())
  for (const error of reply.body.errors) assert.match(error.message, /^(must |is )/)
}

describe("an unknown path", () => {
  it.each([
    "/nope",
    "/auth",
    "/user/me/more",
    "/chatroom/x/y/z",
    "/.env",
    "/index.php",
    "/%zz",
    "/%ff",
    "/%",
    `/${"a".repeat(2_000)}`,
    `/chatroom/${"a".repeat(2_000)}`
  ])("is 404: %s", async (path) => {
    for (const method of ["GET", "POST", "DELETE"]) assertProblem(await rawRequest(backend.url, method, path), 404, "not_found")
  })

  it.each([
    "//",
    "//healthz",
    "/healthz//",
    "/user//me",
    "/./",
    "/./healthz",
    "/healthz/.",
    "/../",
    "/healthz/..",
    "/../healthz",
    "/user/../healthz",
    "/%2e%2e/healthz",
    "/%2E/healthz",
    "/.%2e/healthz",
    "/healthz/%2e",
    "/healthz%00",
    "/%00",
    "/user/me%00.css",
    "/healthz;x",
    "/healthz/;x?y",
    "/user/me;x.css",
    "/auth/send-otp;a=b",
    "/;"
  ])("is 404 and not normalised: %s", async (path) => {
    assertProblem(await get(path, token), 404, "not_found")
    assertProblem(await post(path, "{", { ...token, ...json }), 404, "not_found")
  })

  it.each([
    ["/chatroom/%00/latest", "chatroom_not_found"],
    ["/chatroom/%2e%2e/latest", "chatroom_not_found"],
    ["/chatroom/../latest", "chatroom_not_found"],
    ["/chatroom/..", "chatroom_not_found"],
    ["/chatroom/%00", "chatroom_not_found"],
    ["/chatroom/x%00", "chatroom_not_found"],
    [`/chatroom/${crypto.randomUUID()}/message/.`, "chatroom_not_found"],
    ["/files/%00", "file_not_found"]
  ])("is the 404 that the document lists, where an id would be: %s", async (path, code) => {
    assertProblem(await get(path, token), 404, code)
    assertProblem(await get(path), 401, "unauthenticated")
  })

  it.each([["/chatroom/x"], ["/chatroom/..x"], ["/chatroom/x?%00"], ["/chatroom/x?a=/../"]])(
    "is 400 with another malformed id: %s",
    async (path) => assertProblem(await get(path, token), 400, "validation_failed")
  )

  it.each([["/HEALTHZ"], ["/Metrics"], ["/chatroom/x/LATEST"], ["/Auth/send-otp"], ["/OpenAPI.json"]])(
    "is 404 in other letters: %s",
    async (path) => {
      assertProblem(await get(path, token), 404, "not_found")
      assertProblem(await post(path, "{}", { ...token, ...json }), 404, "not_found")
    }
  )

  it("is judged without its query, which may hold anything", async () => {
    assert.strictEqual((await get("/healthz?next=//evil.example/../%00")).status, 200)
  })
})

describe("an unsupported method", () => {
  it.each([
    ["POST", "/healthz", "GET, HEAD"],
    ["DELETE", "/", "GET, HEAD"],
    ["PUT", "/docs", "GET, HEAD"],
    ["POST", "/openapi.json", "GET, HEAD"],
    ["GET", "/auth/send-otp", "POST"],
    ["HEAD", "/auth/signup", "POST"],
    ["PUT", "/chatroom", "GET, HEAD, POST"],
    ["TRACE", "/healthz", "GET, HEAD"],
    ["OPTIONS", "/readyz", "GET, HEAD"]
  ])("is 405 with the supported ones in Allow: %s %s", async (method, path, allow) => {
    const reply = await rawRequest(backend.url, method, path)
    if (method === "HEAD") assert.strictEqual(reply.status, 405)
    else assertProblem(reply, 405, "method_not_allowed")
    assert.strictEqual(reply.headers["allow"], allow)
  })

  it("is 405 on a room's path with any id, a trailing slash or a query", async () => {
    for (const path of ["/chatroom/x", "/chatroom/x/", "/chatroom/x?a=b"]) {
      const reply = await rawRequest(backend.url, "PUT", path)
      assertProblem(reply, 405, "method_not_allowed")
      assert.includeMembers((reply.headers["allow"] ?? "").split(", "), ["DELETE", "GET", "HEAD", "PATCH"])
    }
  })
})

describe("an unreadable body", () => {
  it.each(["{", "{'mobile':1}", "mobile=1", '{"mobile":"+919876543210",}', "{}{}", "undefined", "NaN", '{"a":"\n"}', "\u0000"])(
    "is refused when it is not JSON: %j",
    async (body) => {
      assertProblem(await post("/auth/signup", body), 400, "bad_json")
    }
  )

  it.each([
    ["a stray byte", [0xff]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["a cut character", [0xe2, 0x82]],
    ["an encoded surrogate", [0xed, 0xa0, 0x80]]
  ])("is refused when it is not UTF-8: %s", async (_, bytes) => {
    const body = Buffer.concat([Buffer.from('{"mobile":"'), Buffer.from(bytes), Buffer.from('"}')])
    assertProblem(await post("/auth/signup", body), 400, "bad_json")
  })

  it.each([
    ["text/plain"],
    ["application/x-www-form-urlencoded"],
    ["multipart/form-data; boundary=x"],
    ["application/xml"],
    ["application/jsonx"],
    ["application/octet-stream"],
    ["application/json; charset=utf-16"],
    ['application/json; charset="iso-8859-1"'],
    ["application/json, text/plain"]
  ])("is refused with another media type: %s", async (type) => {
    assertProblem(
      await post("/auth/signup", JSON.stringify({ mobile: freshMobile() }), { "content-type": type }),
      415,
      "unsupported_media_type"
    )
  })

  it.each(["gzip", "br", "identity, gzip"])("is refused when it is compressed: %s", async (encoding) => {
    assertProblem(
      await post("/auth/signup", JSON.stringify({ mobile: freshMobile() }), { ...json, "content-encoding": encoding }),
      415,
      "unsupported_media_type"
    )
  })

  it.each([
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "APPLICATION/JSON",
    'application/json; charset="utf-8"'
  ])("is accepted with the media type spelled %s", async (type) => {
    assert.strictEqual(
      (await post("/auth/signup", JSON.stringify({ mobile: freshMobile() }), { "content-type": type })).status,
      201
    )
  })

  it("is refused above 256 KiB, with or without a Content-Length", async () => {
    const padded = (size: number) => {
      const body = JSON.stringify({ mobile: freshMobile(), padding: "" })
      return body.replace('"padding":""', `"padding":"${"x".repeat(size - body.length)}"`)
    }
    assert.strictEqual(Buffer.byteLength(padded(262_144)), 262_144)
    assert.strictEqual((await post("/auth/signup", padded(262_144))).status, 201)
    assertProblem(await post("/auth/signup", padded(262_145)), 413, "payload_too_large")
    assertProblem(
      await rawRequest(backend.url, "POST", "/auth/signup", { body: padded(300_000), headers: json, chunked: true }),
      413,
      "payload_too_large"
    )
    assertProblem(await post("/auth/signup", padded(5_000_000)), 413, "payload_too_large")
  })

  it.each([
    ["arrays", "[", "]"],
    ["objects", '{"a":', "}"],
    ["both, with brackets in texts between", '{"]\\"}":[', "]}"]
  ])("is refused when it nests deeper than 32 levels: %s", async (_, open, close) => {
    const levels = open.split("[").length - 1 + open.split("{").length - 1
    const nested = (depth: number) => `${open.repeat(depth / levels)}1${close.repeat(depth / levels)}`
    assertFaults(await post("/auth/signup", `{"mobile":${nested(30)}}`), "/mobile")
    for (const depth of [34, 1_000, 100_000].filter((each) => nested(each).length < 250_000)) {
      assertProblem(await post("/auth/signup", nested(depth)), 400, "bad_json")
      assertProblem(await post("/auth/signup", `{"mobile":${nested(depth)}}`), 400, "bad_json")
      assertProblem(await post("/auth/signup", `{"unknown":${nested(depth)}}`), 400, "bad_json")
    }
  })

  it("is accepted with brackets inside a string", async () => {
    const name = `"[{\\${"[{".repeat(40)}`
    const reply = await post("/auth/signup", JSON.stringify({ mobile: freshMobile(), name }))
    assert.strictEqual(reply.body.user.name, name)
  })
})

describe("an invalid body", () => {
  it("is refused when it is empty and a field is required", async () => {
    for (const body of ["", "  \n", "{}", "\ufeff{}"]) assertFaults(await post("/auth/signup", body), "/mobile")
    assertFaults(await rawRequest(backend.url, "POST", "/auth/signup"), "/mobile")
  })

  it("may be empty when no field is required", async () => {
    assert.strictEqual((await rawRequest(backend.url, "POST", "/chatroom", { headers: token })).status, 201)
    assert.strictEqual((await post("/chatroom", "", { ...token, ...json })).status, 201)
  })

  it.each(["null", "[]", '"mobile"', "7", "true"])("is refused when it is not an object: %s", async (body) => {
    assertFaults(await post("/auth/signup", body), "")
  })

  it("is refused for NUL or a lone surrogate, with the path of each", async () => {
    for (const bad of ["a\\u0000b", "a\\ud800b", "\\udc00", "\\ud83d"]) {
      assertFaults(await post("/auth/signup", `{"mobile":"${freshMobile()}","name":"${bad}"}`), "/name")
      assertFaults(await post("/auth/signup", `{"mobile":"${freshMobile()}","email":"${bad}@example.com"}`), "/email")
      assertFaults(
        await post("/chatroom", `{"title":"${bad}","systemPrompt":"${bad}"}`, { ...token, ...json }),
        "/title",
        "/systemPrompt"
      )
    }
    const room = await ada.room()
    assertFaults(await post(`/chatroom/${room}/message`, '{"content":"\\u0000"}', { ...token, ...json }), "/content")
    const whole = await post("/chatroom", '{"title":"\\ud83d\\ude00 \u{1f600}"}', { ...token, ...json })
    assert.strictEqual(whole.body.title, "\u{1f600} \u{1f600}")
  })

  it("gets all its faults in one response", async () => {
    assertFaults(await post("/auth/signup", '{"mobile":"12345","name":"","email":"ada"}'), "/mobile", "/name", "/email")
    assertFaults(
      await post("/chatroom", '{"title":"","systemPrompt":7,"model":"A B","temperature":3}', { ...token, ...json }),
      "/title",
      "/systemPrompt",
      "/model",
      "/temperature"
    )
  })

  it("may have unknown fields, which are ignored", async () => {
    const reply = await post("/chatroom", '{"title":"Mine","pinned":true,"id":"1","__proto__":{"title":"x"},"constructor":7}', {
      ...token,
      ...json
    })
    assert.strictEqual(reply.status, 201)
    assert.deepInclude(reply.body, { title: "Mine", pinned: false })
    assert.notStrictEqual(reply.body.id, "1")
    assert.notInclude(Object.keys(reply.body), "constructor")
  })

  it("is not reflected in the response", async () => {
    const reply = await post("/auth/send-otp", JSON.stringify({ mobile: { secret: "hunter2" } }))
    assertFaults(reply, "/mobile")
    assert.notInclude(reply.text, "hunter2")
  })
})

describe("invalid parameters and headers", () => {
  it.each(["abc", "0", "101", "-1", "1.5", "", "%00", "1&limit=2", "1e9", "%F0%9F%98%80"])(
    "are refused: ?limit=%s",
    async (limit) => {
      assertFaults(await get(`/chatroom?limit=${limit}`, token), "query.limit")
    }
  )

  it("are reported together, by query parameter", async () => {
    assertFaults(await get("/chatroom?limit=0&archived=maybe&q=%00", token), "query.limit", "query.archived", "query.q")
    assertFaults(await get("/chatroom?cursor=tampered", token), "query.cursor")
  })

  it.each(["x", "1", "01900000-0000-7000-8000-00000000000", "01900000000070008000000000000000", "%F0%9F%98%80", "'%20or%201=1"])(
    "are refused in a path: %s",
    async (id) => {
      assertFaults(await get(`/chatroom/${id}`, token), "params.id")
    }
  )

  it("are reported together, by path parameter", async () => {
    assertFaults(await get("/chatroom/x/message/y", token), "params.id", "params.mid")
  })

  it("do not include an id in capitals, which is normalised", async () => {
    const room = await ada.room()
    const reply = await get(`/chatroom/${room.toUpperCase()}`, token)
    assert.strictEqual(reply.body.id, room)
    const sent = await post(`/chatroom/${room.toUpperCase()}/message`, '{"content":"Hello"}', { ...token, ...json })
    assert.strictEqual(sent.body.message.chatroomId, room)
    assert.include(sent.headers["location"] ?? "", room)
  })

  it.each(["", "x".repeat(256)])("are refused as an idempotency key", async (key) => {
    assertFaults(await post("/chatroom", "{}", { ...token, ...json, "idempotency-key": key }), "headers.idempotency-key")
  })
})

describe("the order of checks", () => {
  const bad = ["{", "x".repeat(300_000)]

  it("refuses an unknown path before its body", async () => {
    for (const body of bad) assertProblem(await post("/nope", body, { "content-type": "text/plain" }), 404, "not_found")
  })

  it("refuses a wrong method before its body", async () => {
    for (const body of bad)
      assertProblem(await post("/healthz", body, { "content-type": "text/plain" }), 405, "method_not_allowed")
  })

  it("refuses a missing token before the body", async () => {
    for (const body of bad) assertProblem(await post("/chatroom", body, { "content-type": "text/plain" }), 401, "unauthenticated")
    assertProblem(await get("/chatroom/not-an-id?limit=x"), 401, "unauthenticated")
  })
})

describe("every response", () => {
  it("carries the client's request id when it is valid", async () => {
    for (const id of ["a", "0_-", "x".repeat(64), "01a1fc84-0230-7201-b7b9-f5ced002cf69"]) {
      for (const path of ["/healthz", "/nope", "//", "/user/me"]) {
        const reply = await get(path, { "x-request-id": id })
        assert.strictEqual(reply.headers["x-request-id"], id)
        if (reply.status >= 400) assert.strictEqual(reply.body.requestId, id)
      }
    }
  })

  it("carries a new request id when the client's is invalid", async () => {
    const given = await Promise.all(
      ["", "a b", "x".repeat(65), "a;b", "<script>", "é", "a, b"].map((id) => get("/healthz", { "x-request-id": id }))
    )
    const ids = [...given, await get("/healthz")].map((reply) => reply.headers["x-request-id"] ?? "")
    for (const id of ids) assert.match(id, /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/)
    assert.strictEqual(new Set(ids).size, ids.length)
  })

  it("carries nosniff", async () => {
    const replies = await Promise.all(
      ["/", "/docs", "/openapi.json", "/healthz", "/readyz", "/nope", "//", "/user/me"].map((path) => get(path))
    )
    for (const reply of replies) assert.strictEqual(reply.headers["x-content-type-options"], "nosniff")
  })

  it("is private, no-store when it is about a person, however the path is spelled", async () => {
    const me = [
      "/user/me",
      "/user/me/",
      "/user/me?x",
      "/user/me;x.css",
      "/%75ser/me",
      "/USER/me",
      "/user%2Fme",
      "/user/nope",
      "/user//me"
    ]
    for (const path of me) assert.strictEqual((await get(path, token)).headers["cache-control"], "private, no-store", path)
    for (const path of ["/auth/signup", "/auth/send-otp", "/auth/verify-otp/", "/%61uth/send-otp"]) {
      assert.strictEqual((await post(path, "{}")).headers["cache-control"], "private, no-store", path)
    }
    assert.isUndefined((await get("/healthz")).headers["cache-control"])
  })

  it("is the same with a trailing slash", async () => {
    assert.strictEqual((await get("/healthz/")).status, 200)
    assert.strictEqual((await get("/user/me/", token)).body.id, ada.userId)
    assert.strictEqual((await post("/auth/signup/", JSON.stringify({ mobile: freshMobile() }))).status, 201)
    assert.strictEqual((await get("/chatroom/?limit=1", token)).status, 200)
  })

  it("has no body for HEAD, on every GET route", async () => {
    const room = await ada.room()
    for (const path of [
      "/",
      "/docs",
      "/openapi.json",
      "/healthz",
      "/readyz",
      "/user/me",
      "/chatroom",
      `/chatroom/${room}`,
      `/chatroom/${room}/messages`,
      `/chatroom/${room}/latest`
    ]) {
      const [head, full] = [await rawRequest(backend.url, "HEAD", path, { headers: token }), await get(path, token)]
      assert.strictEqual(head.status, full.status, path)
      assert.strictEqual(head.text, "", path)
      assert.strictEqual(head.headers["content-type"], full.headers["content-type"], path)
    }
    assert.strictEqual((await rawRequest(backend.url, "HEAD", "/user/me")).status, 401)
    assert.strictEqual((await rawRequest(backend.url, "HEAD", "/nope")).status, 404)
  })

  it("leaves the connection usable for the next request", async () => {
    const answers = await rawExchange(
      backend.url,
      [
        "POST /chatroom HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nunread me",
        "GET /nope HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      ].join("")
    )
    assert.deepStrictEqual(answers.match(/HTTP\/1\.1 \d{3}/g), ["HTTP/1.1 401", "HTTP/1.1 404", "HTTP/1.1 200"])
  })
})

describe("API_PREFIX and CORS_ORIGINS", () => {
  let configured: Backend

  beforeAll(async () => {
    const CORS_ORIGINS = "https://app.example,https://admin.example"
    configured = await startBackend({ DATABASE_URL: database.url, ROLE: "api", API_PREFIX: "/api", CORS_ORIGINS })
  })
  afterAll(() => configured.stop())

  const call = (method: string, path: string, headers: Record<string, string> = {}) =>
    rawRequest(configured.url, method, path, { headers })

  it("serves every path with and without the prefix", async () => {
    for (const prefix of ["", "/api"]) {
      assert.strictEqual((await call("GET", `${prefix}/healthz`)).status, 200)
      assert.strictEqual((await call("GET", `${prefix}/openapi.json`)).status, 200)
      assert.strictEqual((await call("GET", `${prefix}/chatroom?limit=1`, token)).status, 200)
      const me = await call("GET", `${prefix}/user/me`, token)
      assert.strictEqual(me.body.id, ada.userId)
      assert.strictEqual(me.headers["cache-control"], "private, no-store")
      assertProblem(await call("POST", `${prefix}/healthz`), 405, "method_not_allowed")
      assertProblem(await call("GET", `${prefix}/nope`), 404, "not_found")
      assertProblem(await call("GET", `${prefix}//healthz`), 404, "not_found")
      assertProblem(await call("GET", `${prefix}/../healthz`), 404, "not_found")
    }
    for (const root of ["/", "/api", "/api/", "/api?x=1"])
      assert.strictEqual((await call("GET", root)).status, (await call("GET", "/")).status, root)
  })

  it("puts the prefix into the addresses of files when the request came with it", async () => {
    const file = await upload(configured.url, ada, "text/plain", Buffer.from("A text about prefixes."))
    const room = await rawRequest(configured.url, "POST", "/chatroom", { headers: { ...token, ...json }, body: "{}" })
    const body = JSON.stringify({ content: "What is it?", attachments: [file.body.id] })
    await rawRequest(configured.url, "POST", `/chatroom/${room.body.id}/message`, { headers: { ...token, ...json }, body })
    for (const prefix of ["", "/api"]) {
      const address = `${prefix}/files/${file.body.id}/content`
      assert.strictEqual((await call("GET", `${prefix}/ai/chat/${room.body.id}`, token)).body[0].parts[0].url, address)
      const exported = await call("GET", `${prefix}/user/me/export`, token)
      assert.deepInclude(exported.body.files[0], { id: file.body.id, content: address })
      assert.strictEqual((await call("GET", address, token)).status, 200)
    }
  })

  it("puts the prefix into links when the request came with it", async () => {
    for (const prefix of ["", "/api"]) {
      const room = await rawRequest(configured.url, "POST", `${prefix}/chatroom`, { headers: { ...token, ...json }, body: "{}" })
      assert.strictEqual(room.headers["location"], `${prefix}/chatroom/${room.body.id}`)
      await rawRequest(configured.url, "POST", `${prefix}/chatroom`, { headers: { ...token, ...json }, body: "{}" })
      const page = await call("GET", `${prefix}/chatroom?limit=1`, token)
      assert.match(page.headers["link"] ?? "", new RegExp(`^<${prefix}/chatroom\\?limit=1&cursor=[^>]+>; rel="next"$`))
      assert.strictEqual((await call("GET", `${prefix}/`)).headers["location"], `${prefix}/docs`)
    }
  })

  it("removes the prefix once, and only as whole segments", async () => {
    for (const path of ["/api/api/healthz", "/apihealthz", "/apix/healthz", "/api%2fhealthz"])
      assertProblem(await call("GET", path), 404, "not_found")
  })

  it("lets the configured origins read every response, problems included", async () => {
    for (const origin of ["https://app.example", "https://admin.example"]) {
      for (const path of ["/healthz", "/user/me", "/nope", "//"]) {
        const reply = await call("GET", path, { origin })
        assert.strictEqual(reply.headers["access-control-allow-origin"], origin, path)
        assert.match(reply.headers["vary"] ?? "", /Origin/)
        for (const name of ["retry-after", "x-request-id", "location", "idempotent-replayed", "etag", "link"]) {
          assert.include(reply.headers["access-control-expose-headers"] ?? "", name)
        }
        assert.isDefined(reply.headers["x-request-id"])
      }
    }
  })

  it("answers a preflight with the headers of every response", async () => {
    const reply = await call("OPTIONS", "/auth/send-otp", {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type,idempotency-key"
    })
    assert.strictEqual(reply.status, 204)
    assert.strictEqual(reply.headers["access-control-allow-origin"], "https://app.example")
    for (const method of ["GET", "POST", "PATCH", "DELETE"])
      assert.include(reply.headers["access-control-allow-methods"] ?? "", method)
    for (const name of ["authorization", "content-type", "idempotency-key"])
      assert.include(reply.headers["access-control-allow-headers"] ?? "", name)
    assert.isDefined(reply.headers["x-request-id"])
    assert.strictEqual(reply.headers["x-content-type-options"], "nosniff")
    assert.isUndefined(reply.headers["access-control-allow-credentials"])
  })

  it("lets no other origin read a response", async () => {
    for (const origin of ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"]) {
      assert.isUndefined((await call("GET", "/healthz", { origin })).headers["access-control-allow-origin"])
      const preflight = await call("OPTIONS", "/auth/send-otp", { origin, "access-control-request-method": "POST" })
      assert.isUndefined(preflight.headers["access-control-allow-origin"])
    }
  })

  it("lets only a single configured origin read it, and any origin with *", async () => {
    for (const [CORS_ORIGINS, expected] of [
      ["https://app.example", undefined],
      ["*", "*"]
    ] as const) {
      const backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api", CORS_ORIGINS })
      const from = async (origin: string) =>
        (await rawRequest(backend.url, "GET", "/healthz", { headers: { origin } })).headers["access-control-allow-origin"]
      assert.strictEqual(await from("https://evil.example"), expected)
      assert.strictEqual(await from("https://app.example"), expected ?? "https://app.example")
      await backend.stop()
    }
  })

  it("lets no origin read a response when none is configured", async () => {
    const origin = "https://app.example"
    const reply = await get("/healthz", { origin })
    assert.deepStrictEqual(
      Object.keys(reply.headers).filter((name) => name.startsWith("access-control")),
      []
    )
    assertProblem(
      await rawRequest(backend.url, "OPTIONS", "/healthz", { headers: { origin, "access-control-request-method": "GET" } }),
      405,
      "method_not_allowed"
    )
    assertProblem(await get("/api/healthz"), 404, "not_found")
  })
})

describe("an unexpected failure", () => {
  it("is 500 without a cause", async () => {
    const own = await createDatabase()
    const broken = await startBackend({ DATABASE_URL: own.url, ROLE: "api", LOG_LEVEL: "none" })
    try {
      const bob = await logIn(broken.url)
      const headers = { authorization: `Bearer ${bob.token}` }
      await own.query("drop table chatrooms cascade")
      const refusedByPostgres = await rawRequest(broken.url, "GET", "/chatroom", { headers })
      // Requests that do not need the table still work.
      assert.strictEqual((await rawRequest(broken.url, "GET", "/user/me", { headers })).status, 200)
      // A time that JavaScript cannot represent is a defect.
      const mallory = await logIn(broken.url)
      await own.query("update users set created_at = 'infinity' where id = $1", [mallory.userId])
      const defect = await rawRequest(broken.url, "GET", "/user/me", { headers: { authorization: `Bearer ${mallory.token}` } })
      for (const reply of [refusedByPostgres, defect]) {
        assertProblem(reply, 500, "internal")
        assert.deepStrictEqual(Object.keys(reply.body).sort(), ["code", "detail", "requestId", "status", "title", "type"])
        assert.notMatch(reply.text, /chatrooms|relation|select|sql|\.ts|node_modules|42P01|RangeError|Invalid/i)
      }
    } finally {
      await broken.stop()
      await own.drop()
    }
  })
})

describe("a user who is deleted while a request of theirs runs", () => {
  it("is refused with 401 session_revoked, as the next request would be", async () => {
    const bob = await logIn(backend.url)
    const deleter = new pg.Client({ connectionString: database.url })
    await deleter.connect()
    try {
      await deleter.query("begin")
      await deleter.query("delete from users where id = $1", [bob.userId])
      const headers = { authorization: `Bearer ${bob.token}`, ...json, "idempotency-key": "one" }
      const waiting = post("/chatroom", "{}", headers)
      const blocked = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
      while ((await database.query(blocked)).length === 0) await sleep(20)
      await deleter.query("commit")
      assertProblem(await waiting, 401, "session_revoked")
    } finally {
      await deleter.end()
    }
  })
})

describe("the database", () => {
  it("makes requests 503 with Retry-After while it is away, and serves again afterwards", async () => {
    const proxy = await TcpProxy.start(database.url)
    const own = await startBackend({ DATABASE_URL: proxy.through(database.url), ROLE: "api", LOG_LEVEL: "none" })
    try {
      assert.strictEqual((await rawRequest(own.url, "GET", "/user/me", { headers: token })).status, 200)
      assert.strictEqual((await rawRequest(own.url, "GET", "/readyz")).status, 200)
      await proxy.stop()
      for (let round = 0; round < 3; round++) {
        assertProblem(await rawRequest(own.url, "GET", "/user/me", { headers: token }), 503, "unavailable")
        assertProblem(
          await rawRequest(own.url, "POST", "/auth/signup", { headers: json, body: JSON.stringify({ mobile: freshMobile() }) }),
          503,
          "unavailable"
        )
        assertProblem(
          await rawRequest(own.url, "POST", "/chatroom", {
            headers: { ...token, ...json, "idempotency-key": "one" },
            body: "{}"
          }),
          503,
          "unavailable"
        )
      }
      assert.strictEqual((await rawRequest(own.url, "GET", "/healthz")).status, 200)
      const unready = await rawRequest(own.url, "GET", "/readyz")
      assert.strictEqual(unready.status, 503)
      assert.strictEqual(unready.body.checks.database, "failed", unready.text)

      await proxy.restart()
      const deadline = Date.now() + 30_000
      while ((await rawRequest(own.url, "GET", "/user/me", { headers: token })).status !== 200) {
        assert.isBelow(Date.now(), deadline, "it did not recover")
        await sleep(50)
      }
      assert.strictEqual(
        (await rawRequest(own.url, "POST", "/chatroom", { headers: { ...token, ...json, "idempotency-key": "one" }, body: "{}" }))
          .status,
        201
      )
    } finally {
      await own.stop()
      await proxy.stop()
    }
  })

  it("answers 503 once the statement has timed out, and serves again when the lock is free", async () => {
    const own = await createDatabase()
    const stuck = await startBackend({ DATABASE_URL: own.url, ROLE: "api", LOG_LEVEL: "none" })
    const locker = new pg.Client({ connectionString: own.url })
    try {
      const bob = await logIn(stuck.url)
      const headers = { authorization: `Bearer ${bob.token}` }
      await locker.connect()
      await locker.query("begin")
      await locker.query("lock table users in access exclusive mode")
      const started = Date.now()
      const reply = await rawRequest(stuck.url, "GET", "/user/me", { headers })
      assertProblem(reply, 503, "timeout")
      const took = Date.now() - started
      assert.isAtLeast(took, 14_500)
      assert.isBelow(took, 25_000)
      await locker.query("rollback")
      assert.strictEqual((await rawRequest(stuck.url, "GET", "/user/me", { headers })).status, 200)
    } finally {
      await locker.end()
      await stuck.stop()
      await own.drop()
    }
  })
})
