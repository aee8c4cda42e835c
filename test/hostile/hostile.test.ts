import { once } from "node:events"
import { connect, type Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { freshMobile } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { rawRequest, type RawReply } from "../support/rawHttp.ts"
import { type LoggedIn, peopleAt } from "../auth/People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startProcess>>
let people: ReturnType<typeof peopleAt>
let mallory: LoggedIn
let ada: LoggedIn
let room = ""
let adasRoom = ""
let adasReply = ""

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startProcess({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    LOG_LEVEL: "debug",
    PASSWORD_LOGIN: "true",
    BASIC_DAILY_PROMPTS: "100000"
  })
  await backend.started()
  people = peopleAt(backend.url, database)
  mallory = await people.enter()
  ada = await people.enter()
  room = await mallory.room()
  adasRoom = await ada.room({ title: "Ada" })
  adasReply = (await ada.ask(adasRoom, "[[say hello]] hi", { wait: 10 })).body.reply.id
})
afterAll(async () => {
  await backend.kill("SIGKILL")
  await gemini.stop()
  await database.drop()
})

/** What no response and no log line may contain: internals and secrets. */
const leaks =
  /\bat [\w.<>]+ \(|\bnode_modules\b|file:\/\/|\.ts:\d+|\bSqlError\b|\b(select|insert into|update|delete from) [^"]*\b(users|sessions|chatrooms|messages|throttles|otp_challenges)\b|syntax error|_pkey|_fkey|\bpg_|effect\/|SchemaIssue|argon2|JWT_KEYS/i

type Options = Parameters<typeof rawRequest>[3] & { readonly json?: unknown; readonly token?: string | null }
/** Sends a request as Mallory, exactly as written, and checks that the response is sound. */
const attack = async (method: string, path: string, options: Options = {}): Promise<RawReply> => {
  const { json, token = mallory.token, ...rest } = options
  const reply = await rawRequest(backend.url, method, path, {
    ...rest,
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(json === undefined && rest.body === undefined ? {} : { "content-type": "application/json" }),
      ...rest.headers
    }
  })
  assertSound(reply)
  return reply
}
const assertSound = (reply: RawReply) => {
  assert.isAtLeast(reply.status, 200)
  assert.isBelow(reply.status, 500, reply.text.slice(0, 500))
  if (reply.status >= 400 && reply.text !== "") {
    assert.strictEqual(reply.headers["content-type"], "application/problem+json")
    assert.strictEqual(reply.body.status, reply.status)
    assert.match(reply.body.code, /^[a-z_]+$/)
    assert.strictEqual(reply.body.requestId, reply.headers["x-request-id"])
    assert.notMatch(reply.text, leaks)
  }
}

/** Sends bytes on a connection and returns the response once the connection is quiet or closed. */
const wire = async (text: string | Buffer, quiet = 400): Promise<string> => {
  const { hostname, port } = new URL(backend.url)
  const socket: Socket = connect(Number(port), hostname)
  let answer = ""
  socket.on("data", (chunk) => (answer += String(chunk)))
  socket.on("error", () => {})
  const closed = once(socket, "close")
  socket.write(text)
  let seen = -1
  while (seen !== answer.length || answer === "") {
    seen = answer.length
    if (
      (await Promise.race([closed.then(() => true), sleep(quiet).then(() => false)])) ||
      (answer === "" && seen === 0 && quiet > 2_000)
    )
      break
  }
  socket.destroy()
  return answer
}

let logged = 0
afterEach(async () => {
  const began = performance.now()
  const health = await rawRequest(backend.url, "GET", "/healthz")
  assert.strictEqual(health.status, 200)
  assert.isBelow(performance.now() - began, 5_000, "/healthz is slow")
  const log = backend.output().slice(logged)
  logged = backend.output().length
  assert.notMatch(log, leaks)
  assert.notMatch(log, /\b(ERROR|FATAL)\b|Unhandled|defect/)
  for (const secret of [mallory.token, mallory.refreshToken, ada.token]) assert.notInclude(log, secret)
})

const nasty = [
  "'",
  '"',
  "';--",
  "' or '1'='1",
  "1; drop table users;--",
  "\\",
  "\\'; select pg_sleep(10);--",
  "$1",
  "${7*7}",
  "{{7*7}}",
  "%",
  "%_%",
  "\u2028 line",
  "\u202eright to left",
  "😀'",
  "<script>alert(1)</script>",
  "a\r\nX-Injected: 1",
  "a\nSet-Cookie: x=1",
  "null",
  "undefined",
  "NaN",
  "__proto__",
  "constructor",
  "\u0001 control",
  "ﷺ".repeat(30),
  '{"$gt":""}',
  "() { :; }; echo",
  "${jndi:ldap://x}"
]

describe("injections", () => {
  it.each(nasty)("are stored as plain text in a room's title and prompt: %j", async (text) => {
    const made = await attack("POST", "/chatroom", { json: { title: text, systemPrompt: text } })
    assert.strictEqual(made.status, 201)
    assert.deepInclude(made.body, { title: text, systemPrompt: text })
    assert.isUndefined(made.headers["x-injected"])
    const changed = await attack("PATCH", `/chatroom/${made.body.id}`, { json: { title: `${text}!` } })
    assert.strictEqual(changed.body.title, `${text}!`)
    const found = await attack("GET", `/chatroom?q=${encodeURIComponent(text)}`)
    assert.include(
      found.body.data.map(({ id }: { id: string }) => id),
      made.body.id
    )
  })

  it("are stored and returned unchanged as a question", async () => {
    for (const text of nasty.filter((each) => each.trim() !== "")) {
      const own = await mallory.room()
      const sent = await attack("POST", `/chatroom/${own}/message`, { json: { content: text } })
      assert.strictEqual(sent.status, 202)
      assert.strictEqual((await attack("GET", `/chatroom/${own}/message/${sent.body.message.id}`)).body.content, text)
    }
  })

  it("find no other user's messages in a search", async () => {
    for (const text of [...nasty, "hello", "%hello%", "hello' or user_id <> '", "h:*", "!!!", "& | !", "<->", '"hello']) {
      const reply = await attack("GET", `/search?q=${encodeURIComponent(text)}`)
      if (reply.status === 200) assert.notInclude(reply.text, adasRoom)
      else assert.strictEqual(reply.status, 400)
    }
  })

  it("are stored as a name and refused as an e-mail address", async () => {
    for (const text of nasty) {
      assert.strictEqual((await attack("PATCH", "/user/me", { json: { name: text } })).body.name, text)
      assert.strictEqual((await attack("PATCH", "/user/me", { json: { email: text } })).status, 400)
    }
  })

  it("are refused as a mobile number, code, id, cursor or model", async () => {
    for (const text of nasty) {
      const encoded = encodeURIComponent(text)
      const replies = [
        await attack("POST", "/auth/send-otp", { json: { mobile: text } }),
        await attack("POST", "/auth/signup", { json: { mobile: `+9198765${text}` } }),
        await attack("POST", "/auth/verify-otp", { json: { mobile: freshMobile(), otp: text } }),
        await attack("POST", "/auth/verify-otp", { json: { mobile: freshMobile(), otp: "123456", challengeId: text } }),
        await attack("POST", "/chatroom", { json: { model: `${text} ` } }),
        await attack("GET", `/chatroom?cursor=${encoded}`),
        await attack("GET", `/chatroom?limit=${encoded}`),
        await attack("GET", `/chatroom?archived=${encoded}`),
        await attack("GET", `/chatroom/${room}/messages?before=${encoded}`),
        await attack("GET", `/chatroom/${room}/latest?wait=${encoded}`)
      ]
      assert.deepStrictEqual(
        replies.map(({ status }) => status),
        replies.map(() => 400)
      )
      assert.include([400, 404], (await attack("GET", `/chatroom/${encoded}`)).status)
      assert.include([400, 404], (await attack("DELETE", `/auth/sessions/${encoded}`)).status)
      assert.strictEqual((await attack("POST", "/auth/refresh", { json: { refreshToken: text } })).status, 401)
    }
    assert.lengthOf(await database.query("select 1 from users where mobile !~ '^[+][0-9]+$'"), 0)
  })

  it("do no harm in an idempotency key, a user agent, a request id and other headers", async () => {
    for (const text of nasty.map((each) => each.replaceAll(/[^\u0020-\u007e]/g, ""))) {
      if (text === "") continue
      const headers = {
        "idempotency-key": text,
        "user-agent": text,
        "x-request-id": text,
        "x-forwarded-for": text,
        origin: text,
        referer: text,
        "accept-language": text
      }
      const first = await attack("POST", "/chatroom", { json: { title: "keyed" }, headers })
      const again = await attack("POST", "/chatroom", { json: { title: "keyed" }, headers })
      assert.strictEqual(first.status, again.status)
      if (first.status === 201) assert.strictEqual(first.body.id, again.body.id)
      assert.match(first.headers["x-request-id"] ?? "", /^[\w-]{1,64}$/)
    }
  })

  it("do not add headers to a response", async () => {
    for (const path of ["/chatroom?limit=1&q=%0d%0aX-Injected:%201", "/user/me%0d%0aX-Injected:%201", "/%0d%0aX-Injected:%201"]) {
      const reply = await attack("GET", path)
      assert.isUndefined(reply.headers["x-injected"])
      assert.notMatch(reply.headers["link"] ?? "", /[\r\n]/)
    }
  })
})

describe("a hostile body", () => {
  it.each([
    '{"__proto__":{"tier":"pro"},"title":"t"}',
    '{"constructor":{"prototype":{"pinned":true}},"title":"t"}',
    '{"__proto__":null,"title":"t"}',
    '{"title":"t","toString":"x","hasOwnProperty":1,"valueOf":null}'
  ])("does not pollute a prototype: %s", async (body) => {
    const made = await attack("POST", "/chatroom", { body })
    assert.deepInclude(made.body, { title: "t", pinned: false })
    assert.strictEqual((await attack("PATCH", "/user/me", { body })).status, 200)
    const me = (await attack("GET", "/user/me")).body
    assert.deepInclude(me, { tier: "basic" })
    assert.notProperty((await attack("POST", "/chatroom", { json: {} })).body, "tier")
  })

  it("is refused when it nests 100,000 levels, in any field", async () => {
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`
    const objects = `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`
    for (const value of [deep, objects]) {
      for (const body of [`{"title":${value}}`, `{"unknown":${value}}`, value]) {
        for (const headers of [{}, { "idempotency-key": `deep ${body.length}` }]) {
          assert.strictEqual((await attack("POST", "/chatroom", { body, headers })).body.code, "bad_json")
        }
      }
      assert.strictEqual((await attack("POST", "/auth/send-otp", { body: value, token: null })).body.code, "bad_json")
    }
    assert.strictEqual((await attack("POST", "/chatroom", { body: "[".repeat(200_000) })).body.code, "bad_json")
  })

  it.each([
    "1e400",
    "-1e400",
    "1e308",
    "-0",
    "99999999999999999999",
    "0.1e-400",
    "2.0000001",
    `1${"0".repeat(1_000)}`,
    "NaN",
    "Infinity",
    "0x1",
    "1_000",
    "01"
  ])("is refused for a number out of range or not in JSON: %s", async (number) => {
    const reply = await attack("POST", "/chatroom", { body: `{"temperature":${number}}` })
    if (reply.status === 201) assert.isTrue(reply.body.temperature >= 0 && reply.body.temperature <= 2)
    else assert.strictEqual(reply.status, 400)
    assert.include(["-0", "0.1e-400"].includes(number) ? [201] : [400], reply.status)
  })

  it("takes the last of two equal keys", async () => {
    assert.strictEqual((await attack("POST", "/chatroom", { body: '{"title":"one","title":"two"}' })).body.title, "two")
    assert.strictEqual((await attack("POST", "/chatroom", { body: '{"title":"one","title":null}' })).status, 400)
    assert.strictEqual((await attack("POST", "/chatroom", { body: `{"title":"a","t\\u0069tle":"b"}` })).body.title, "b")
  })

  it("is refused for a wrong type in any place", async () => {
    const values = [null, true, 7, [], {}, ["x"], { x: 1 }, [[]]]
    for (const value of values) {
      const replies = [
        await attack("POST", `/chatroom/${room}/message`, { json: { content: value } }),
        await attack("POST", `/chatroom/${room}/message`, { json: value }),
        await attack("POST", "/auth/send-otp", { json: { mobile: value } }),
        await attack("POST", "/auth/login", { json: { mobile: value, password: value } }),
        await attack("POST", "/auth/change-password", { json: { newPassword: value } }),
        await attack("POST", "/auth/refresh", { json: { refreshToken: value } }),
        await attack("POST", "/chatroom", { json: { title: value } })
      ]
      assert.deepStrictEqual(
        replies.map(({ status }) => status),
        replies.map(() => 400),
        JSON.stringify(value)
      )
    }
    for (const list of ["[]", '[{"title":"x"}]', "null", "7", '"title"', "true"]) {
      assert.strictEqual((await attack("POST", "/chatroom", { body: list })).status, 400, list)
      assert.strictEqual((await attack("PATCH", "/user/me", { body: list })).status, 400, list)
      assert.strictEqual((await attack("POST", "/auth/logout", { body: list })).status, 400, list)
    }
  })

  it("is refused in UTF-16, and read with a UTF-8 byte order mark or refused", async () => {
    const json = '{"title":"marked"}'
    const marked = await attack("POST", "/chatroom", {
      body: Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), Buffer.from(json)])
    })
    if (marked.status === 201) assert.strictEqual(marked.body.title, "marked")
    else assert.strictEqual(marked.body.code, "bad_json")
    const others = [
      Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(json, "utf16le")]),
      Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(json, "utf16le").swap16()]),
      Buffer.from(json, "utf16le")
    ]
    for (const body of others) assert.strictEqual((await attack("POST", "/chatroom", { body })).body.code, "bad_json")
  })

  it.each([
    ["an overlong quote", [0xc0, 0xa2]],
    ["an overlong NUL", [0xc0, 0x80]],
    ["an overlong slash of three", [0xe0, 0x80, 0xaf]],
    ["past the last character", [0xf4, 0x90, 0x80, 0x80]],
    ["a lone continuation", [0x80]],
    ["latin-1", [0xe9]]
  ])("is refused when it is not UTF-8: %s", async (_, bytes) => {
    const body = Buffer.concat([Buffer.from('{"title":"'), Buffer.from(bytes), Buffer.from('"}')])
    assert.strictEqual((await attack("POST", "/chatroom", { body })).body.code, "bad_json")
  })

  it.each([
    ["content-type", "application/json; charset=utf-16"],
    ["content-type", "application/json; charset=utf-7"],
    ["content-type", "text/plain"],
    ["content-type", "application/x-www-form-urlencoded"],
    ["content-type", "multipart/form-data; boundary=x"],
    ["content-type", "application/xml"],
    ["content-encoding", "gzip"],
    ["content-encoding", "deflate, br"]
  ])("is refused with an unsupported %s: %s", async (name, value) => {
    const reply = await attack("POST", "/chatroom", { body: '{"title":"x"}', headers: { [name]: value } })
    assert.strictEqual(reply.status, 415)
  })

  it("does not delay other requests when it arrives one byte at a time", async () => {
    const { hostname, port } = new URL(backend.url)
    const slow = times(50, () => connect(Number(port), hostname))
    for (const socket of slow) {
      socket.on("error", () => {})
      socket.write(
        `POST /chatroom HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mallory.token}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`
      )
    }
    const dribble = setInterval(() => slow.forEach((socket) => socket.write(" ")), 20)
    try {
      const took: Array<number> = []
      for (const _ of times(20, (n) => n)) {
        const began = performance.now()
        assert.strictEqual((await ada.call("GET", "/user/me")).status, 200)
        took.push(performance.now() - began)
      }
      assert.isBelow(took.toSorted((a, b) => a - b)[10] ?? 0, 500, took.join())
    } finally {
      clearInterval(dribble)
      for (const socket of slow) socket.destroy()
    }
  })

  it("smuggles no request with a wrong or ambiguous length", async () => {
    const head = `POST /auth/send-otp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
    for (const lengths of [
      "Content-Length: 2\r\nContent-Length: 3",
      "Content-Length: -1",
      "Content-Length: 2, 3",
      "Content-Length: 0x2",
      "Content-Length: 2\r\nTransfer-Encoding: chunked",
      "Transfer-Encoding: identity, chunked, x",
      "Transfer-Encoding : chunked"
    ]) {
      const answer = await wire(`${head}${lengths}\r\n\r\n{}\r\n0\r\n\r\nGET /user/me HTTP/1.1\r\nHost: x\r\n\r\n`, 150)
      assert.match(answer, /^HTTP\/1\.1 4\d\d /, lengths)
      assert.notMatch(answer, leaks)
    }
  })
})

describe("a hostile request", () => {
  it("is refused for a header that is too long, and survives a thousand headers", async () => {
    const many = await attack("GET", "/user/me", { headers: Object.fromEntries(times(1_000, (n) => [`x-${n}`, "y"])) })
    assert.include([200, 400, 431], many.status)
    const long = await attack("GET", "/user/me", { headers: { "x-long": "y".repeat(20_000) } })
    assert.strictEqual(long.body.code, "headers_too_large")
    assert.strictEqual((await attack("GET", "/user/me", { headers: { cookie: "a=b; ".repeat(2_000) } })).status, 200)
    assert.include([404, 414, 431], (await attack("GET", `/user/me/${"x".repeat(12_000)}`)).status)
  })

  it("is answered in order when it is pipelined with others", async () => {
    const one = (path: string, id: string) =>
      `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mallory.token}\r\nX-Request-Id: ${id}\r\n\r\n`
    const answer = await wire(
      times(30, (n) => one(["/user/me", "/nowhere", "/chatroom?limit=0"][n % 3] ?? "", `pipe-${n}`)).join("")
    )
    const seen = [...answer.matchAll(/HTTP\/1\.1 (\d+) [\s\S]*?x-request-id: (\S+)/gi)].map(([, status, id]) => `${status} ${id}`)
    assert.deepStrictEqual(
      seen,
      times(30, (n) => `${[200, 404, 400][n % 3]} pipe-${n}`)
    )
  })

  it("gets 405 with an unsupported method, and reflects nothing", async () => {
    const head = await attack("HEAD", "/user/me")
    assert.deepStrictEqual([head.status, head.text], [200, ""])
    for (const method of ["OPTIONS", "TRACE", "PUT", "PROPFIND", "PURGE", "LINK", "M-SEARCH"]) {
      const reply = await attack(method, "/user/me", { headers: { "x-secret": "reflected?" } })
      assert.strictEqual(`${method} ${reply.status} ${reply.body.code}`, `${method} 405 method_not_allowed`)
      assert.match(reply.headers["allow"] ?? "", /GET/)
      assert.notInclude(reply.text, "reflected?")
    }
    assert.match(await wire("BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n"), /^HTTP\/1\.1 400 /)
  })

  it("opens no tunnel with CONNECT and no other protocol with Upgrade", async () => {
    const answer = await wire(`CONNECT 127.0.0.1:5432 HTTP/1.1\r\nHost: 127.0.0.1:5432\r\n\r\n`, 100).catch(() => "")
    assert.notMatch(answer, /^HTTP\/1\.1 [25]/)
    const upgraded = await wire(
      `GET /user/me HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n`
    )
    assert.match(upgraded, /^HTTP\/1\.1 401 /)
  })

  it("cannot override its method, path, host or user by headers", async () => {
    const before = (await attack("GET", `/chatroom/${room}`)).body
    const headers = {
      "x-http-method-override": "DELETE",
      "x-http-method": "DELETE",
      "x-method-override": "DELETE",
      "x-original-url": "/admin/queue",
      "x-rewrite-url": "/metrics",
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "http",
      "x-forwarded-prefix": "/evil",
      "x-user-id": ada.userId,
      "x-forwarded-user": ada.userId,
      forwarded: "for=1.2.3.4;host=evil.example"
    }
    for (const [method, path] of [
      ["GET", `/chatroom/${room}?_method=DELETE`],
      ["GET", "/chatroom?limit=1"],
      ["GET", "/user/me"]
    ] as const) {
      const reply = await attack(method, path, { headers })
      assert.strictEqual(reply.status, 200)
      assert.notInclude(JSON.stringify(reply.headers), "evil")
      assert.notInclude(reply.text, ada.userId)
    }
    assert.deepStrictEqual((await attack("GET", `/chatroom/${room}`)).body, before)
  })

  it.each([
    "/../etc/passwd",
    "/..%2f..%2fetc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/docs/../admin/queue",
    "/docs/..%2fadmin",
    "//evil.example/",
    "/\\evil.example",
    "/user/me%2f..%2f..",
    "/user/me/.",
    "/%c0%ae%c0%ae/",
    "/user%2fme",
    "/user/me%00",
    "/user/me%0a",
    "/.env",
    "/.git/config",
    "/package.json",
    "/src/main.ts",
    "/admin",
    "/*",
    "/%",
    "/%u0041",
    "/chatroom/%2e%2e"
  ])("gets 400 or 404 at %s", async (path) => {
    const reply = await attack("GET", path)
    assert.include([400, 404], reply.status)
  })

  it("does not reflect an absolute target or a star", async () => {
    for (const target of ["http://evil.example/user/me", "*", "evil.example:80"]) {
      const answer = await wire(`GET ${target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${mallory.token}\r\n\r\n`)
      assert.match(answer, /^HTTP\/1\.1 (200|4\d\d) /)
      assert.notMatch(answer.split("\r\n\r\n")[0] ?? "", /evil/)
    }
  })

  it("is refused with 400 for a malformed Last-Event-ID", async () => {
    for (const id of [
      "x",
      "-1:0",
      "1",
      "1:",
      ":1",
      "1:1:1",
      "99999999999:0",
      "1:99999999999",
      "0x1:0",
      "1e3:0",
      "' or 1=1",
      "null",
      `1:${"9".repeat(1_000)}`
    ]) {
      assert.strictEqual(
        (
          await attack("GET", `/chatroom/${adasRoom}/message/${adasReply}/stream`, {
            token: ada.token,
            headers: { "last-event-id": id }
          })
        ).status,
        400,
        id
      )
      assert.strictEqual(
        (
          await attack("GET", `/chatroom/${adasRoom}/message/${adasReply}/stream?after=${encodeURIComponent(id)}`, {
            token: ada.token
          })
        ).status,
        400,
        id
      )
    }
    const past = await attack("GET", `/chatroom/${adasRoom}/message/${adasReply}/stream`, {
      token: ada.token,
      headers: { "last-event-id": "999999999:999999999" }
    })
    assert.include([200, 204], past.status)
  })
})

describe("a cursor", () => {
  it("works only unchanged, for the list and the user it was issued for", async () => {
    const [one, two] = [await people.enter(), await people.enter()]
    const rooms: Array<string> = []
    for (const person of [one, two])
      for (const n of times(3, (index) => index)) rooms.push(await person.room({ title: `room ${n}` }))
    const own = rooms[0] ?? ""
    for (const n of times(2, (index) => index)) await one.ask(own, `[[say yes]] room ${n}`, { wait: 10 })
    const cursorOf = async (path: string) => {
      const { nextCursor } = (await one.call("GET", path)).body
      assert.isString(nextCursor, path)
      return encodeURIComponent(nextCursor)
    }
    const [list, found, history] = [
      await cursorOf("/chatroom?limit=1"),
      await cursorOf("/chatroom?limit=1&q=room"),
      await cursorOf(`/chatroom/${own}/messages?limit=1`)
    ]
    const uses: ReadonlyArray<readonly [string, string]> = [
      [two.token, `/chatroom?cursor=${list}`],
      [two.token, `/chatroom?q=room&cursor=${found}`],
      [one.token, `/chatroom?q=roo&cursor=${found}`],
      [one.token, `/chatroom?cursor=${found}`],
      [one.token, `/chatroom?archived=true&cursor=${list}`],
      [one.token, `/chatroom?q=room&cursor=${list}`],
      [one.token, `/chatroom?cursor=${history}`],
      [one.token, `/chatroom/${own}/messages?cursor=${list}`],
      [one.token, `/chatroom/${rooms[1]}/messages?cursor=${history}`],
      [one.token, `/search?q=room&cursor=${list}`],
      [one.token, `/search?q=room&cursor=${history}`],
      [one.token, `/chatroom?cursor=${list}x`],
      [one.token, `/chatroom?cursor=${list}.x`],
      [one.token, `/chatroom?cursor=x${list}`],
      [one.token, `/chatroom?cursor=${list.slice(0, -1)}`],
      [one.token, `/chatroom?cursor=${list}&cursor=${list}`],
      [one.token, "/chatroom?cursor=."],
      [one.token, `/chatroom?cursor=${"A".repeat(501)}`],
      [one.token, "/chatroom?cursor=e30.e30"]
    ]
    for (const [token, path] of uses) assert.strictEqual((await attack("GET", path, { token })).status, 400, path)
    assert.strictEqual((await attack("GET", `/chatroom?limit=1&cursor=${list}`, { token: one.token })).status, 200)
    assert.strictEqual((await attack("GET", `/chatroom/${two.userId}`, { token: two.token })).status, 404)
    assert.strictEqual((await attack("GET", `/chatroom/${one.sid}/messages`, { token: one.token })).status, 404)
    assert.strictEqual((await attack("DELETE", `/auth/sessions/${one.userId}`, { token: one.token })).status, 404)
  })
})

describe("concurrent requests", () => {
  it("leave no message of a room that is deleted while questions are sent", async () => {
    for (const _ of times(10, (n) => n)) {
      const own = await mallory.room()
      const [removed, ...sent] = await Promise.all([
        attack("DELETE", `/chatroom/${own}`),
        ...times(4, (n) => attack("POST", `/chatroom/${own}/message`, { json: { content: `[[say ${n}]] ?` } })),
        attack("PATCH", `/chatroom/${own}`, { json: { pinned: true } })
      ])
      assert.strictEqual(removed?.status, 204)
      for (const reply of sent) assert.include([200, 202, 404], reply.status)
      assert.strictEqual((await attack("GET", `/chatroom/${own}`)).status, 404)
      assert.lengthOf(await database.query("select 1 from messages where chatroom_id = $1", [own]), 0)
    }
    await until(
      "every reply has ended or is deleted",
      async () =>
        (
          await database.query("select 1 from messages where status in ('queued', 'processing', 'held') and user_id = $1", [
            mallory.userId
          ])
        ).length === 0
    )
  })

  it("leave nothing of an account that is deleted while it is used", async () => {
    for (const _ of times(6, (n) => n)) {
      const { token, userId } = await people.enter()
      const replies = await Promise.all([
        attack("POST", "/chatroom", { token, json: {}, headers: { "idempotency-key": "k" } }),
        attack("PATCH", "/user/me", { token, json: { name: "x" } }),
        attack("DELETE", "/user/me", { token }),
        attack("POST", "/chatroom", { token, json: {}, headers: { "idempotency-key": "l" } }),
        attack("POST", "/chatroom", { token, json: {} }),
        attack("POST", "/auth/logout", { token, json: { scope: "others" } }),
        attack("POST", "/auth/change-password", { token, json: { newPassword: "correct horse battery" } })
      ])
      assert.strictEqual(replies[2]?.status, 204)
      for (const table of ["sessions", "chatrooms", "idempotency_keys", "auth_events"]) {
        assert.lengthOf(await database.query(`select 1 from ${table} where user_id = $1`, [userId]), 0, table)
      }
    }
  })
})

describe("a flood of requests", () => {
  it("does not slow down other users when it has no token", async () => {
    const paths = ["/user/me", "/chatroom", "/auth/sessions", "/nowhere", "/chatroom/x/message"]
    let next = 0
    const statuses = new Set<number>()
    const flood = Promise.all(
      times(40, async () => {
        while (next++ < 2_000) {
          const path = paths[next % paths.length] ?? ""
          const { status } = await fetch(backend.url + path, {
            headers: { authorization: next % 2 === 0 ? "Bearer x.y.z" : "" }
          }).then(async (reply) => (await reply.text(), reply))
          statuses.add(status)
        }
      })
    )
    const took: Array<number> = []
    let over = false
    void flood.then(() => (over = true))
    while (!over || took.length < 20) {
      const began = performance.now()
      assert.strictEqual((await ada.call("GET", "/chatroom")).status, 200)
      took.push(performance.now() - began)
    }
    await flood
    assert.deepStrictEqual(
      [...statuses].sort(),
      [401, 404, 405].filter((status) => statuses.has(status))
    )
    const p99 = took.toSorted((a, b) => a - b)[Math.floor(took.length * 0.99)] ?? Infinity
    assert.isBelow(p99, 750, `${took.length} requests`)
  })
})
