import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, connect } from "node:net"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { escapeControls, messagesFirst, oneLine, redact } from "../../src/ops/LogLine.ts"
import { loggedIn, peopleAt } from "../auth/People.ts"
import { startProcess } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

/** Characters that break a line, move the cursor or change the text direction. */
const controls = "\n\r\n\u000b\f\u0085\u2028\u2029\u001b[2J\u001b]0;title\u0007\u009b31m\u007f\u202e\u2066\ufeff\b\t"
// oxlint-disable-next-line no-control-regex -- control characters are the subject
const anyControl = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff]/
/** A text that would look like a log line of its own, in either format. */
const forged = `${controls}{"level":"FATAL","message":"forged"}\n12:00:00.000 FATAL forged\n    at forged (x.ts:1:1)\n`

const apiKey = "gemini-key-of-these-tests"
const adminToken = "admin-token-of-these-tests"

/** A model that refuses everything and echoes the request: question, key and headers. */
const startEcho = async () => {
  const server = createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const message = `no: ${Buffer.concat(chunks).toString()} ${JSON.stringify(request.headers)}`
      response.writeHead(400, { "content-type": "application/json" })
      response.end(JSON.stringify({ error: { code: 400, status: "INVALID_ARGUMENT", message } }))
    })
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () => new Promise((resolve) => void server.close(resolve).closeAllConnections())
  }
}

/** Sends raw bytes and returns the response. */
const raw = async (url: string, bytes: string): Promise<string> => {
  const socket = connect(Number(new URL(url).port), "127.0.0.1")
  socket.write(Buffer.from(bytes, "latin1"))
  let text = ""
  socket.on("data", (chunk) => (text += String(chunk)))
  await once(socket, "close")
  return text
}

let database: TestDatabase
let echo: Awaited<ReturnType<typeof startEcho>>

beforeAll(async () => {
  database = await createDatabase()
  echo = await startEcho()
  // Errors of the database that repeat the user's text, so that it gets into the log.
  await database.query(`create function shout() returns trigger language plpgsql as $$
    declare
      said text := to_jsonb(new) ->> tg_argv[0];
    begin
      if said like '%loud%' then raise exception '% %', tg_argv[0], said; end if;
      return new;
    end $$`)
  for (const [table, column] of [
    ["chatrooms", "title"],
    ["sessions", "user_agent"]
  ]) {
    await database.query(`create trigger shout before insert on ${table} for each row execute function shout('${column}')`)
  }
})
afterAll(async () => {
  await echo.stop()
  await database.drop()
})

/** Provokes every kind of log line that contains a user's text, in a process of its own. */
const provoke = async (environment: "production" | "development") => {
  const backend = await startProcess({
    APP_ENV: environment,
    APP_URL: "http://localhost",
    OTP_DELIVERY: "log",
    BILLING: "off",
    DATABASE_URL: database.url,
    GEMINI_API_KEY: apiKey,
    GEMINI_BASE_URL: echo.url,
    ADMIN_TOKEN: adminToken,
    LOG_LEVEL: "trace"
  })
  try {
    await backend.started()
    const people = peopleAt(backend.url, database)
    const mobile = `+9197${String(Date.now()).slice(-8)}`
    const codeOf = async () => {
      await people.forget()
      const before = backend.output().length
      const sent = await people.post("/auth/send-otp", { mobile })
      assert.strictEqual(sent.status, 200, sent.text)
      const inLog = new RegExp(`code for \\${mobile}: (\\d{6})`)
      await until("the code is in the log", async () => inLog.test(backend.output().slice(before)))
      return { otp: inLog.exec(backend.output().slice(before))?.[1] ?? "", challengeId: sent.body.challengeId }
    }
    const ada = loggedIn(backend.url, await people.post("/auth/verify-otp", { mobile, ...(await codeOf()) }))
    const said = `${mobile} ${apiKey} ${adminToken} Bearer ${ada.token} {"refreshToken":"${ada.refreshToken}","password":"hunter2-hunter2","otp":"314159"} cookie: id=c00k1e-of-a-browser`
    assert.strictEqual((await ada.call("POST", "/chatroom", { title: `loud${controls}` })).status, 500)
    assert.strictEqual((await ada.call("POST", "/chatroom", { title: `loud ${forged}`.slice(0, 120) })).status, 500)
    // A question that the model echoes in its refusal, and a job that no worker can decode.
    const question = await ada.ask(await ada.room(), `${said} ${forged}`, { wait: 10 })
    assert.strictEqual(question.body.reply.error.code, "model_misconfigured", question.text)
    await database.query(
      "select graphile_worker.add_job('reply', json_build_object('userId', json_build_array($1::text)), max_attempts => 1)",
      [`${said} ${forged}`]
    )
    await until("the job has failed", async () => backend.output().includes("Failed task"))
    // A path and headers of bytes that no client library would send.
    const body = JSON.stringify({ mobile, ...(await codeOf()) })
    const head = `Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${body.length}`
    const agent = `loud \x9b31m\x85{"level":"FATAL","message":"forged"} ${said}`
    const path = "/auth/verify-otp?%0A%1b%E2%80%A8"
    const answer = await raw(
      backend.url,
      `POST ${path} HTTP/1.1\r\n${head}\r\nX-Request-Id: \x9b31m\x85forged\r\nUser-Agent: ${agent}\r\n\r\n${body}`
    )
    assert.match(answer, /^HTTP\/1.1 500 /)
    for (const word of ["title", "user_agent"])
      await until(`${word} is in the log`, async () => backend.output().includes(`${word} loud`))
    await backend.kill("SIGTERM")
    return { mobile, person: ada, output: backend.output() }
  } finally {
    await backend.kill("SIGKILL")
  }
}

/** Asserts what both formats hide. */
const isClean = ({ mobile, output, person }: Awaited<ReturnType<typeof provoke>>) => {
  const rest = output.replaceAll(new RegExp(`One-time code for \\${mobile}: \\d{6}`, "g"), "")
  const secrets = [person.token, person.refreshToken, "hunter2-hunter2", "314159", "c00k1e", mobile, mobile.slice(1), apiKey]
  for (const secret of [...secrets, adminToken]) assert.notInclude(rest, secret)
  assert.include(rest, `+…${mobile.slice(-4)}`)
  assert.include(rest, "<redacted>")
  assert.notMatch(output, anyControl)
}

describe("the log of a process", () => {
  it("is one JSON object per line in production, whatever users and vendors send", { timeout: 90_000 }, async () => {
    const provoked = await provoke("production")
    isClean(provoked)
    const events = provoked.output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line))
    for (const event of events) {
      assert.include(["INFO", "WARN", "ERROR"], event.level, JSON.stringify(event))
      assert.notStrictEqual(event.message, "forged")
    }
    const failed = events.filter(({ annotations }) => annotations.source === "graphile-worker")
    assert.isAbove(failed.length, 0)
    const title = events.find(({ cause }) => String(cause).includes("title loud"))
    assert.include(title?.cause, "\u2028\u2029\u001b[2J\u001b]0;title", "the text is complete once the JSON is parsed")
    assert.match(title?.annotations.requestId, /^[\w-]{36}$/)
  })

  it("is one line per event in development", { timeout: 90_000 }, async () => {
    const provoked = await provoke("development")
    isClean(provoked)
    for (const line of provoked.output.trim().split("\n")) {
      assert.match(line, /^(ready http:\/\/\S+$|\d\d:\d\d:\d\d\.\d{3} (INFO |WARN |ERROR) )/)
      assert.notMatch(line, /^12:00:00\.000/)
    }
    assert.include(provoked.output, "title loud\\u000a")
    assert.match(provoked.output, /ERROR The database failed a request requestId=[\w-]{36} \S*SqlError: .* \| at /)
    assert.match(provoked.output, /ERROR Failed task .* source=graphile-worker/)
  })
})

describe("a log line", () => {
  it("shows the messages of all errors before the stack", () => {
    const cause =
      "Error: outer\n    at f (x.ts:1:2) {\n  [cause]: Error: no column\n    and a second line\n      at g (y.ts:3:4)\n}"
    assert.strictEqual(
      oneLine(messagesFirst(cause)),
      "Error: outer | caused by Error: no column\\u000a    and a second line | at f (x.ts:1:2) | at g (y.ts:3:4)"
    )
    assert.strictEqual(messagesFirst(""), "")
  })

  it("escapes control characters as JSON does", () => {
    assert.strictEqual(escapeControls("a\n\u001b[2J\u009b\u2028\u202eb"), "a\\u000a\\u001b[2J\\u009b\\u2028\\u202eb")
    assert.strictEqual(JSON.parse(escapeControls(JSON.stringify(controls))), controls)
    assert.strictEqual(escapeControls("नमस्ते, 你好 👋 é"), "नमस्ते, 你好 👋 é")
    assert.strictEqual(
      oneLine("Error: a\nb\n    at f (x.ts:1:2)\n    at g (y.ts:3:4)\n"),
      "Error: a\\u000ab | at f (x.ts:1:2) | at g (y.ts:3:4)"
    )
  })

  it.each([
    ["authorization: Bearer abc.def-ghi", "authorization: <redacted>"],
    ['{"Authorization":"Basic dXNlcjpwYXNz"}', '{"Authorization":"<redacted>"}'],
    ["sent Bearer abc.def-ghi to", "sent Bearer <redacted> to"],
    ["set-cookie: a=b; c=d", "set-cookie: <redacted>"],
    ["GET /chatroom/1/export?ticket=YWRh.c2ln&format=markdown", "GET /chatroom/1/export?ticket=<redacted>&format=markdown"],
    ['{"newPassword":"x y","n":1}', '{"newPassword":"<redacted> y","n":1}'],
    ["password_hash=$argon2id$v=19$m=1", "password_hash=<redacted>"],
    ['"{\\"otp\\":\\"123456\\",\\"code\\": 123456}"', '"{\\"otp\\":\\"<redacted>\\",\\"code\\": <redacted>}"'],
    ["x-goog-api-key: k1", "x-goog-api-key: <redacted>"],
    ["sk_live_0123456789 rk_test_0123456789 whsec_0123456789", "<redacted> <redacted> <redacted>"],
    [`AIza${"x".repeat(35)}.`, "<redacted>."],
    ["postgres://app:pass@db/chat", "postgres://<redacted>@db/chat"],
    ["to +919876543210, +4915112345678", "to +…3210, +…5678"],
    ["a known-secret here", "a <redacted> here"]
  ])("redacts secrets: %s", (text, shown) => assert.strictEqual(redact(text, ["known-secret"]), shown))

  it.each([
    "code: 42P01, promptTokens: 512, totalTokens=1024",
    "at 2026-11-21T09:30:00.000+05:30 in 12345678 ms",
    "https://chat.example/a@b",
    "GET /auth/reset-password answered 204"
  ])("keeps other text: %s", (text) => assert.strictEqual(redact(text, ["known-secret"]), text))
})
