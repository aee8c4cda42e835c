import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator, type StripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn, type Person, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { scrape, sumOf } from "../support/prometheus.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const token = "operator-of-these-tests"
const model = "gemini-3.8-flash"

/** What an operator sees of a fault: the log of a process, and its metrics. */
describe("the log and the metrics", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let stripe: StripeSimulator
  let backend: Awaited<ReturnType<typeof startProcess>>
  let person: Person

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    stripe = await startStripeSimulator({})
    backend = await startProcess({
      DATABASE_URL: database.url,
      DATABASE_POOL_SIZE: "4",
      GEMINI_BASE_URL: gemini.url,
      ADMIN_TOKEN: token,
      BASIC_DAILY_PROMPTS: "1000",
      STRIPE_SECRET_KEY: "sk_test_simulated",
      STRIPE_WEBHOOK_SECRETS: "whsec_of_the_tests",
      STRIPE_PRO_PRICE_ID: stripe.priceId,
      STRIPE_API_BASE: stripe.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`
    })
    await backend.started()
    person = await logIn(backend.url)
  })
  afterAll(async () => {
    await backend.kill("SIGTERM")
    await stripe.stop()
    await gemini.stop()
    await database.drop()
  })

  const valueOf = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
    sumOf((await scrape(backend.url, token)).samples, name, labels)
  const linesWith = (text: string) =>
    backend
      .output()
      .split("\n")
      .filter((line) => line.includes(text))

  it("show deliveries that are signed with another secret, and log them once a minute", async () => {
    const headers = { "stripe-signature": `t=${Math.floor(Date.now() / 1_000)},v1=${"0".repeat(64)}` }
    for (const _ of times(3, (n) => n)) {
      const refused = await request(backend.url, "POST", "/webhook/stripe", { body: {}, headers })
      assert.strictEqual(refused.body.code, "signature_invalid")
    }
    assert.strictEqual(await valueOf("chat_webhook_deliveries_total", { outcome: "signature_invalid" }), 3)
    assert.lengthOf(linesWith("STRIPE_WEBHOOK_SECRETS"), 1)
    assert.match(linesWith("STRIPE_WEBHOOK_SECRETS")[0] ?? "", / WARN .*requestId=/)
  })

  it("show that the collector of traces is away, and say so once a minute", async () => {
    await until("it is logged", async () => linesWith("does not take traces").length > 0, { seconds: 30 })
    assert.match(linesWith("does not take traces")[0] ?? "", / WARN .*it cannot be reached \(ECONNREFUSED\)/)
    assert.lengthOf(linesWith("does not take traces"), 1)
  })

  it("show calls that Gemini does not answer", async () => {
    const [room, before] = [await person.room(), await valueOf("chat_model_calls_in_progress", { model })]
    const reply = (await person.ask(room, "[[hang]] silence")).body.reply.id
    await until("the call is running", async () => (await valueOf("chat_model_calls_in_progress", { model })) === before + 1)
    await person.call("POST", `/chatroom/${room}/message/${reply}/cancel`)
    await until("the call has ended", async () => (await valueOf("chat_model_calls_in_progress", { model })) === before)
  })

  it("show connections that are held, and the requests that get none", async () => {
    const use = { name: "chat_database_connection_use_seconds", pool: { pool: "chat-backend" } }
    const heldBefore = await valueOf(`${use.name}_sum`, use.pool)
    const locker = new pg.Client({ connectionString: database.url })
    await locker.connect()
    await locker.query("begin; lock table chatrooms in access exclusive mode")
    // Requests may use two of the four connections.
    const asked = times(4, () => person.call("POST", "/chatroom", {}))
    await until("two were refused", async () => (await valueOf("chat_database_connection_timeouts_total")) === 2)
    await locker.query("rollback")
    await locker.end()
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    assert.deepStrictEqual(statuses.toSorted(), [201, 201, 503, 503])
    await until("the use is measured", async () => (await valueOf(`${use.name}_sum`, use.pool)) > heldBefore + 2)
    assert.lengthOf(linesWith("A request got none of the 2 connections"), 1)
    await until("the requests are logged", async () => linesWith("POST /chatroom 503 overloaded").length === 2)
    for (const line of linesWith("POST /chatroom 503 overloaded")) {
      assert.match(line, / WARN /)
      assert.include(line, `userId=${person.userId}`)
    }
  })

  // The last one: the pause holds for all replies of the model.
  it("show a model that Google has paused, and the replies that wait for it", async () => {
    assert.strictEqual(await valueOf("chat_model_pause_seconds", { model }), 0)
    await person.ask(await person.room(), "[[status 429 retry 300]] too much")
    const pause = () => valueOf("chat_model_pause_seconds", { model })
    await until("the model is paused", async () => (await pause()) > 200)
    const waiting = () => valueOf("chat_queue_jobs", { task: "reply", state: "waiting" })
    await until("the reply waits", async () => (await waiting()) === 1)
    assert.strictEqual(await valueOf("chat_queue_oldest_seconds", { priority: "basic" }), 0)
    const lines = linesWith(`Google asks for a pause (429): ${model} is paused until 20`)
    assert.lengthOf(lines, 1)
    assert.match(lines[0] ?? "", / WARN .*replyId=/)
  })
})

describe("a collector that refuses", () => {
  it("is named in the log with its status, and its answer is not", async () => {
    const database = await createDatabase()
    const collector = createServer((_, response) => response.writeHead(401).end("key-of-somewhere"))
    await once(collector.listen(0, "127.0.0.1"), "listening")
    const backend = await startProcess({
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: "http://127.0.0.1:9",
      ROLE: "api",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
    })
    try {
      await backend.started()
      await request(backend.url, "GET", "/user/me")
      await until("it is logged", async () => backend.output().includes("does not take traces: it answers 401"), { seconds: 30 })
      assert.notInclude(backend.output(), "key-of-somewhere")
    } finally {
      await backend.kill("SIGTERM")
      collector.close().closeAllConnections()
      await database.drop()
    }
  })
})
