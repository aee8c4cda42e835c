import { once } from "node:events"
import { connect } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { type LoggedIn, peopleAt } from "../auth/People.ts"
import { times } from "../support/times.ts"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let mallory: LoggedIn

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startBackend({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    LOG_LEVEL: "none",
    // Nothing listens there: no request of these tests gets so far.
    STRIPE_API_BASE: "http://127.0.0.1:9",
    STRIPE_SECRET_KEY: "sk_test_wire",
    STRIPE_WEBHOOK_SECRETS: "whsec_wire",
    STRIPE_PRO_PRICE_ID: "price_wire"
  })
  mallory = await peopleAt(backend.url, database).enter()
})
afterAll(async () => {
  await backend.stop()
  await gemini.stop()
  await database.drop()
})
afterEach(async () => {
  assert.strictEqual((await fetch(`${backend.url}/healthz`)).status, 200)
})

/** A connection that sends bytes unchanged; `text` is everything received so far. */
const dial = (first = "") => {
  const began = performance.now()
  const socket = connect(Number(new URL(backend.url).port), "127.0.0.1")
  const line = {
    text: "",
    socket,
    millis: () => performance.now() - began,
    closed: once(socket, "close").then(() => performance.now() - began),
    /** Waits for a part of the response. */
    until: async (piece: string | RegExp, patience = 15_000) => {
      for (const deadline = performance.now() + patience; performance.now() < deadline; await sleep(10)) {
        if (typeof piece === "string" ? line.text.includes(piece) : piece.test(line.text)) return
      }
      assert.fail(`no ${piece} in: ${line.text.slice(0, 500)}`)
    }
  }
  socket.on("error", () => {})
  socket.on("data", (chunk) => (line.text += String(chunk)))
  if (first !== "") socket.write(first)
  return line
}
/** Sends bytes and returns everything received until the server closes the connection. */
const speak = async (text: string) => {
  const line = dial(text)
  const late = sleep(10_000).then(() => assert.fail(`still open: ${line.text.slice(0, 500)}`))
  await Promise.race([line.closed, late])
  late.catch(() => {})
  return line.text
}
const auth = () => `Authorization: Bearer ${mallory.token}\r\n`
const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`
const post = (path: string, body: string, more = "") =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${auth()}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`
const last = "Connection: close\r\n"

/** Asserts that the only response is this problem, with the headers of any other. */
const assertRefused = (answer: string, status: number, code: string) => {
  const [head = "", body = ""] = answer.split("\r\n\r\n")
  assert.strictEqual(`${head.split(" ")[1]} ${/"code":"(\w+)"/.exec(body)?.[1]}`, `${status} ${code}`, answer.slice(0, 500))
  assert.match(head, /\r\ncontent-type: application\/problem\+json/i)
  assert.match(head, /\r\ncontent-security-policy: default-src 'none'/i)
  const problem = JSON.parse(body)
  assert.strictEqual(problem.status, status)
  assert.include(head, problem.requestId)
  assert.lengthOf(answer.match(/HTTP\/1\.1 /g) ?? [], 1)
}

describe("a malformed request head", () => {
  it.each([
    ["continues a header in the next line", get("/healthz", "X-Long: a\r\n b\r\n")],
    ["has two Hosts that are one", get("/healthz", "Host: x\r\n")],
    ["has no Host", "GET /healthz HTTP/1.1\r\n\r\n"],
    ["has a blank before the colon", get("/healthz", "Content-Length : 0\r\n")],
    ["has a blank in a name", get("/healthz", "X Y: z\r\n")],
    ["has a NUL in a value", get("/healthz", "X-Y: a\u0000b\r\n")],
    ["has a line without a colon", get("/healthz", "nonsense\r\n")],
    ["has no name before its colon", get("/healthz", ": x\r\n")],
    ["ends its lines with a carriage return alone", "GET /healthz HTTP/1.1\rHost: x\r\r"],
    ["is in small letters", "get /healthz HTTP/1.1\r\nHost: x\r\n\r\n"],
    ["has no version", "GET /healthz\r\n\r\n"],
    ["is of a version to come", "GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n"],
    ["is of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["is a handshake of TLS", "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n"],
    ["is another protocol's", "EHLO example.com\r\n\r\n"],
    ["has a path with a blank", "GET /user/me HTTP/1.1 HTTP/1.1\r\nHost: x\r\n\r\n"]
  ])("is refused and closes the connection: %s", async (_, bytes) => {
    assertRefused(await speak(bytes), 400, "bad_request")
  })

  it.each([
    ["a request line", () => get(`/${"x".repeat(17_000)}`, last)],
    ["one header", () => get("/healthz", `X-Long: ${"x".repeat(17_000)}\r\n`)],
    ["all headers together", () => get("/healthz", times(90, (n) => `X-${n}: ${"x".repeat(200)}\r\n`).join(""))],
    ["their number", () => get("/healthz", `${times(100, (n) => `X-${n}: y\r\n`).join("")}${last}`)],
    ["their number, short ones", () => get("/healthz", `${times(1_500, () => "a: b\r\n").join("")}${last}`)]
  ])("is refused above its limit: %s", async (_, bytes) => {
    assertRefused(await speak(bytes()), 431, "headers_too_large")
  })

  it("is accepted at its limit", async () => {
    const many = await speak(get("/healthz", `${times(98, (n) => `X-${n}: y\r\n`).join("")}${last}`))
    assert.match(many, /^HTTP\/1\.1 200 /)
    assert.match(await speak(get("/healthz", `X-Long: ${"x".repeat(16_000)}\r\n${last}`)), /^HTTP\/1\.1 200 /)
  })

  it("is accepted in HTTP/1.0 with or without a Host, and closes the connection", async () => {
    assert.match(await speak("GET /healthz HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 .*"ok"/s)
    assert.match(await speak("GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n"), /^HTTP\/1\.1 200 .*"ok"/s)
    assertRefused(await speak("GET /healthz HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n"), 400, "bad_request")
  })

  it("is routed by the path of an absolute target, and its authority is not reflected", async () => {
    const answer = await speak(`GET http://evil.example/user/me?x=1 HTTP/1.1\r\nHost: x\r\n${auth()}${last}\r\n`)
    assert.match(answer, /^HTTP\/1\.1 200 /)
    assert.notInclude(answer, "evil")
    const list = await speak(`GET http://evil.example/chatroom?limit=1 HTTP/1.1\r\nHost: x\r\n${auth()}${last}\r\n`)
    assert.notInclude(list, "evil")
    assertRefused(await speak(`GET http://evil.example//user/me HTTP/1.1\r\nHost: x\r\n${last}\r\n`), 404, "not_found")
  })
})

describe("an ambiguous body length", () => {
  const framed = (lines: string, body: string) =>
    `POST /chatroom HTTP/1.1\r\nHost: x\r\n${auth()}Content-Type: application/json\r\n${lines}\r\n\r\n${body}`
  /** A request hidden in the body of another: a response to it means that it was smuggled. */
  const hidden = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

  it.each([
    ["is said twice", "Content-Length: 2\r\nContent-Length: 2"],
    ["is said twice, differently", "Content-Length: 2\r\nContent-Length: 40"],
    ["is a list", "Content-Length: 2, 2"],
    ["is negative", "Content-Length: -2"],
    ["has a sign", "Content-Length: +2"],
    ["is hexadecimal", "Content-Length: 0x2"],
    ["is past any number", "Content-Length: 99999999999999999999999"],
    ["is empty", "Content-Length: "],
    ["is said beside chunks", "Content-Length: 2\r\nTransfer-Encoding: chunked"],
    ["is said behind chunks", "Transfer-Encoding: chunked\r\nContent-Length: 2"],
    ["is of chunks, and something else", "Transfer-Encoding: chunked, identity"],
    ["is of chunks by another name", "Transfer-Encoding: xchunked"],
    ["is of chunks in a folded line", "Transfer-Encoding:\r\n chunked"],
    ["is of chunks, behind a tab and a vertical one", "Transfer-Encoding: \u000bchunked"],
    ["is of chunks, and the name has a blank", "Transfer-Encoding : chunked"]
  ])("gets one refusal and smuggles nothing: %s", async (_, lines) => {
    const answer = await speak(framed(lines, `{}${hidden}`))
    assertRefused(answer, 400, "bad_request")
  })

  it.each([
    ["is not a number", "zz\r\n{}\r\n0\r\n\r\n"],
    ["is past any number", "fffffffffffffffffffff\r\n{}\r\n0\r\n\r\n"],
    ["is negative", "-2\r\n{}\r\n0\r\n\r\n"],
    ["is less than the chunk has", "1\r\n{}\r\n0\r\n\r\n"],
    ["has 20 KB of extensions", `2;${"x".repeat(20_000)}\r\n{}\r\n0\r\n\r\n`],
    ["ends its line with a line feed alone", "2\n{}\r\n0\r\n\r\n"]
  ])("is not executed when a chunk length %s", async (_, chunks) => {
    const line = dial(framed("Transfer-Encoding: chunked", chunks))
    await line.closed
    assert.notMatch(line.text, /^HTTP\/1\.1 2/)
    assert.isBelow(line.text.match(/HTTP\/1\.1 /g)?.length ?? 0, 2)
  })

  it("does not affect two valid requests in one write", async () => {
    const answer = await speak(post("/chatroom", '{"title":"a"}') + post("/chatroom", '{"title":"b"}', last))
    assert.lengthOf(answer.match(/HTTP\/1\.1 201 /g) ?? [], 2)
  })
})

describe("the body of a Stripe event", () => {
  const event = (body: string, more = "") =>
    `POST /webhook/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nStripe-Signature: t=1,v1=00\r\nContent-Length: ${body.length}\r\n${more}${last}\r\n${body}`

  it.each([
    ["nests deeper than 32 levels, in arrays", `{"a":${"[".repeat(40)}${"]".repeat(40)}}`, "", 400, "bad_json"],
    ["nests deeper than 32 levels, in objects", `${'{"a":'.repeat(40_000)}1${"}".repeat(40_000)}`, "", 400, "bad_json"],
    ["is compressed", "{}", "Content-Encoding: gzip\r\n", 415, "unsupported_media_type"],
    ["is not signed by Stripe", '{"id":"evt_1"}', "", 400, "signature_invalid"],
    ["is larger than 512 KiB", `"${"x".repeat(530_000)}"`, "", 413, "payload_too_large"]
  ] as const)("is refused when it %s", async (_, body, more, status, code) => {
    const answer = await speak(event(body, more))
    // A body that is too large is not read to its end, so the connection may be cut before the refusal arrives.
    if (status !== 413 || answer !== "") assertRefused(answer, status, code)
  })
})

describe("an Expect header", () => {
  it("gets 100 Continue for 100-continue when the body is needed", async () => {
    const body = '{"title":"expected"}'
    const line = dial(
      post("/chatroom", "", `Expect: 100-continue\r\n${last}`).replace("Content-Length: 0", `Content-Length: ${body.length}`)
    )
    await line.until("HTTP/1.1 100 Continue")
    assert.notMatch(line.text, /201/)
    line.socket.write(body)
    await line.closed
    assert.match(line.text, /HTTP\/1\.1 201 [\s\S]*"expected"/)
  })

  it.each([
    ["/nowhere", 404, "not_found"],
    ["/chatroom", 401, "unauthenticated"]
  ])("of 100-continue gets the refusal without 100 Continue at %s", async (path, status, code) => {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n${last}\r\n`
    assertRefused(await speak(head), status, code)
  })

  it.each(["200-ok", "100-continue, more", "x"])("of %j gets 417", async (expectation) => {
    assertRefused(await speak(get("/healthz", `Expect: ${expectation}\r\n${last}`)), 417, "expectation_failed")
  })
})

describe("another protocol", () => {
  it.each([
    [
      "websocket",
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    ],
    ["h2c", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"],
    ["an unknown one", "Connection: Upgrade\r\nUpgrade: shell\r\n"]
  ])("is ignored, and the request is answered over HTTP/1.1: %s", async (_, lines) => {
    const line = dial(get("/healthz", lines))
    await line.until('{"status":"ok"}')
    assert.match(line.text, /^HTTP\/1\.1 200 /)
    // The connection still speaks HTTP.
    line.socket.write(get("/nowhere", last))
    await line.closed
    assert.match(line.text, /HTTP\/1\.1 404 /)
    assert.notMatch(line.text, / 101 /)
  })

  it("is not tunnelled: CONNECT is refused and closes the connection", async () => {
    for (const target of ["127.0.0.1:5432", "metadata.internal:80", "/user/me"]) {
      const answer = await speak(`CONNECT ${target} HTTP/1.1\r\nHost: x\r\n\r\n${get("/healthz")}`)
      if (target.startsWith("/")) assert.notMatch(answer, /HTTP\/1\.1 2/)
      else assertRefused(answer, 405, "method_not_allowed")
    }
  })

  it("is not reflected: TRACE is refused", async () => {
    const answer = await speak(`TRACE /user/me HTTP/1.1\r\nHost: x\r\nX-Secret: reflected\r\n${last}\r\n`)
    assertRefused(answer, 405, "method_not_allowed")
    assert.notInclude(answer, "reflected")
  })
})

describe("pipelined requests", () => {
  it("are answered in order, refused ones included", async () => {
    const count = 2_000
    const line = dial(
      times(count, (n) => get(n % 2 === 0 ? "/user/me" : "/nowhere", `${auth()}X-Request-Id: pipe-${n}\r\n`)).join("")
    )
    line.socket.write(get("/healthz", last))
    await line.closed
    const seen = [...line.text.matchAll(/HTTP\/1\.1 (\d+) [\s\S]*?x-request-id: (\S+)/gi)]
    assert.lengthOf(seen, count + 1)
    for (const [n, [, status, id]] of seen.slice(0, count).entries()) {
      assert.strictEqual(id, `pipe-${n}`)
      assert.include([n % 2 === 0 ? "200" : "404", "503"], status)
    }
  })

  it("are answered up to garbage, which is refused", async () => {
    const line = dial(get("/healthz"))
    await line.until('{"status":"ok"}')
    line.socket.write("garbage\r\n\r\n")
    await line.closed
    assert.match(line.text, /^HTTP\/1\.1 200 [\s\S]*\}HTTP\/1\.1 400 [\s\S]*bad_request/)
  })

  it("get no second head when garbage arrives during a stream", async () => {
    const room = await mallory.room()
    const { id } = (await mallory.ask(room, "[[latency 20000]] slow")).body.reply
    const line = dial(get(`/chatroom/${room}/message/${id}/stream`, auth()))
    await line.until("event: status")
    line.socket.write("garbage\r\n\r\n")
    await line.closed
    assert.lengthOf(line.text.match(/HTTP\/1\.1/g) ?? [], 1, line.text)
    assert.notInclude(line.text, "bad_request")
    await mallory.call("POST", `/chatroom/${room}/message/${id}/cancel`)
  })
})

// Concurrent, because each waits for a timeout of up to half a minute.
describe.concurrent("a slow connection", { timeout: 60_000 }, () => {
  const dribble = (line: ReturnType<typeof dial>, text: string, every: number) => {
    let at = 0
    const timer = setInterval(() => line.socket.writable && at < text.length && line.socket.write(text[at++] ?? ""), every)
    void line.closed.then(() => clearInterval(timer))
  }

  it("is closed with 408 when a head takes more than 15 seconds", async () => {
    const lines = times(20, () => dial())
    for (const line of lines) dribble(line, get("/healthz", `X-Slow: ${"x".repeat(1_000)}\r\n`), 200)
    for (const line of lines) {
      assert.isBelow(await line.closed, 30_000)
      assertRefused(line.text, 408, "request_timeout")
      assert.isAbove(line.millis(), 14_000)
    }
  })

  it("is closed when no request arrives", async () => {
    const line = dial()
    assert.isBelow(await line.closed, 30_000)
    if (line.text !== "") assertRefused(line.text, 408, "request_timeout")
  })

  it("is answered immediately and closed later when an unneeded body dribbles in", async () => {
    const line = dial(`POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`)
    dribble(line, "x".repeat(1_000), 200)
    await line.until("HTTP/1.1 404 ", 5_000)
    assert.isBelow(await line.closed, 45_000)
  })

  it("is closed with 408 when chunks take more than ten seconds", async () => {
    const line = dial(
      `POST /chatroom HTTP/1.1\r\nHost: x\r\n${auth()}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`
    )
    dribble(line, "1\r\n \r\n".repeat(200), 100)
    assert.isBelow(await line.closed, 20_000)
    assertRefused(line.text, 408, "request_timeout")
  })

  it("is closed with 408 when the body of a Stripe event takes more than ten seconds", async () => {
    const line = dial(
      `POST /webhook/stripe HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`
    )
    dribble(line, " ".repeat(900), 200)
    assert.isBelow(await line.closed, 20_000)
    assertRefused(line.text, 408, "request_timeout")
  })

  it("serves the next request after 22 idle seconds", async () => {
    const line = dial(get("/healthz"))
    await line.until('{"status":"ok"}')
    await sleep(22_000)
    line.socket.write(get("/nowhere", last))
    await line.closed
    assert.match(line.text, /HTTP\/1\.1 404 /)
  })
})
