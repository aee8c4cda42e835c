import { request as makeRequest } from "node:http"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { scrape as measured, sumOf } from "../support/prometheus.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"

const families = [
  ["process_resident_memory_bytes", "gauge", "Resident memory."],
  ["nodejs_heap_used_bytes", "gauge", "Used heap."],
  ["process_cpu_seconds_total", "counter", "CPU time used."],
  ["process_uptime_seconds", "gauge", "Time since the start."],
  ["process_start_time_seconds", "gauge", "When the process started, in seconds since 1970."],
  [
    "nodejs_eventloop_active_seconds_total",
    "counter",
    "Time in which the event loop was busy: a rate near 1 is a process at its limit."
  ],
  ["chat_build_info", "gauge", "1, with what runs in this process."],
  [
    "http_server_request_duration_seconds",
    "histogram",
    "Time from a request to the end of its response, by route; `waits` are requests that ask to wait for a reply."
  ],
  ["chat_problems_total", "counter", "Responses that are problems, by code."],
  ["chat_requests_in_progress", "gauge", "Requests in progress in this process."],
  ["chat_requests_refused_total", "counter", "Requests refused for being too many."],
  ["chat_notification_waiters", "gauge", "Requests of this process that wait for a change."],
  ["chat_streams_open", "gauge", "Replies being watched in this process."],
  ["chat_stream_text_units", "gauge", "UTF-16 units of running replies in memory."],
  ["chat_citations_dropped_total", "counter", "Citations left out of replies, because their text was not where Google said."],
  ["chat_queue_jobs", "gauge", "Jobs of the fleet's queue; those that wait are not due yet."],
  ["chat_queue_oldest_seconds", "gauge", "How long the oldest ready job of the priority has been due."],
  ["chat_replies_total", "counter", "Replies that have ended: completed, cancelled, or by the code of the failure."],
  [
    "chat_reply_queue_seconds",
    "histogram",
    "Time from the moment at which a reply could be made until a worker begins, by tier."
  ],
  ["chat_reply_duration_seconds", "histogram", "Time from a question to the end of its reply, by tier."],
  ["chat_model_call_duration_seconds", "histogram", "Time that a call of the model takes, by model and outcome."],
  [
    "chat_model_first_piece_seconds",
    "histogram",
    "Time from a call of the model to the first piece of its answer, text or thoughts."
  ],
  ["chat_model_tokens_total", "counter", "Tokens of calls of the model, by model and kind."],
  ["chat_model_cost_dollars_total", "counter", "US dollars that calls of the model cost, by model and tier."],
  ["chat_database_up", "gauge", "Whether the process could read from Postgres for this scrape."],
  ["chat_database_connections", "gauge", "Connections to Postgres by pool: in use, or open and idle."],
  ["chat_database_connections_max", "gauge", "Connections that a pool may have."],
  ["chat_database_connections_waiting", "gauge", "Statements that wait for a connection."],
  ["chat_database_connection_wait_seconds", "histogram", "Time that a statement or a transaction waits for a connection."],
  ["chat_database_connection_use_seconds", "histogram", "Time for which a statement or a transaction has a connection."],
  [
    "chat_database_connection_timeouts_total",
    "counter",
    "Requests that got no connection in time, and were refused as overloaded."
  ],
  ["chat_model_calls_in_progress", "gauge", "Calls of the model that have not ended, by model."],
  ["chat_model_pause_seconds", "gauge", "How long a model is still paused, because Google asked for it (429)."],
  ["chat_cache_lookups_total", "counter", "Lookups in the caches of this process, by result."],
  [
    "chat_webhook_deliveries_total",
    "counter",
    "Deliveries of Stripe's events: pending or ignored when they are stored, duplicate, or the code of the refusal."
  ],
  ["chat_webhook_lag_seconds", "histogram", "Time from an event at Stripe until it is stored here."],
  ["chat_webhook_events_pending", "gauge", "Stripe's events that are stored and not processed."],
  ["chat_webhook_oldest_pending_seconds", "gauge", "How long the oldest stored event of Stripe has waited to be processed."],
  [
    "chat_model_calls_unpriced",
    "gauge",
    "Calls of the last hour for whose model the server has no price, or the price of the asked model alone."
  ]
] as const

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let other: Awaited<ReturnType<typeof startBackend>>

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  const settings = { DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ADMIN_TOKEN: "operator" }
  backend = await startBackend(settings)
  other = await startBackend({ ...settings, ROLE: "api" })
})
afterAll(async () => {
  await backend.stop()
  await other.stop()
  await gemini.stop()
  await database.drop()
})

/** What a Prometheus server scrapes: the lines, and the value of each series. */
const scrape = async (base = backend.url) => {
  const headers = { authorization: "Bearer operator" }
  const { headers: received, text } = await request(base, "GET", "/metrics", { headers })
  const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
  return {
    text,
    contentType: received.get("content-type"),
    series: new Map(samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]))
  }
}

describe("GET /metrics", () => {
  it("declares every family once, before its samples", async () => {
    const person = await logIn(backend.url)
    assert.strictEqual((await person.ask(await person.room(), "[[say First.]]", { wait: 20 })).status, 201)
    const running = (await person.ask(await person.room(), "[[latency 60000]] slow")).body.reply.id
    await until(
      "the reply is a job",
      async () => (await scrape()).series.get('chat_queue_jobs{task="reply",state="running",priority="basic"}') === 1
    )
    const { contentType, series, text } = await scrape()
    assert.match(contentType ?? "", /^text\/plain; version=0\.0\.4/)
    for (const [name, type, help] of families) {
      const [before = "", samples = ""] = text.split(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)
      assert.match(samples, new RegExp(`^${name}${type === "histogram" ? "_bucket" : ""}[ {]`), name)
      assert.notInclude(before, `\n${name}`, name)
    }
    assert.lengthOf(text.match(/^# TYPE /gm) ?? [], families.length)
    assert.lengthOf(text.match(/^# HELP /gm) ?? [], families.length)
    assert.isTrue(text.endsWith("\n"))
    assert.isAbove(series.get("process_resident_memory_bytes") ?? 0, 1e7)
    assert.isAbove(series.get("process_cpu_seconds_total") ?? 0, 0.1)
    assert.isAbove(series.get("process_uptime_seconds") ?? 0, 0)
    for (const activity of ["working", "operating", "webhook", "receiving", "waiting"])
      assert.isTrue(series.has(`chat_requests_in_progress{activity="${activity}"}`), activity)
    assert.strictEqual(series.get(`chat_requests_in_progress{activity="operating"}`), 1)
    for (const state of ["ready", "running", "failed", "waiting"])
      assert.isTrue(series.has(`chat_queue_jobs{task="reply",state="${state}",priority="basic"}`))
    const rooms = (await person.call("GET", "/chatroom")).body.data
    await person.call("POST", `/chatroom/${rooms[0].id}/message/${running}/cancel`)
  })

  it("counts a task without jobs as zero", async () => {
    await until(
      "the job is done",
      async () => (await scrape()).series.get('chat_queue_jobs{task="reply",state="running",priority="basic"}') === 0
    )
  })

  it("has the figures of its own process only", async () => {
    const person = await logIn(backend.url)
    const room = await person.room()
    const id = (await person.ask(room, "[[latency 60000]] slow")).body.reply.id
    const abort = new AbortController()
    const stream = await fetch(`${backend.url}/chatroom/${room}/message/${id}/stream`, {
      headers: { authorization: `Bearer ${person.token}` },
      signal: abort.signal
    })
    assert.strictEqual(stream.status, 200)
    assert.strictEqual((await scrape()).series.get("chat_streams_open"), 1)
    assert.strictEqual((await scrape(other.url)).series.get("chat_streams_open"), 0)
    abort.abort()
    await until("the stream is closed", async () => (await scrape()).series.get("chat_streams_open") === 0)
    await person.call("POST", `/chatroom/${room}/message/${id}/cancel`)
  })

  it("holds no text of replies that have ended, streamed or not", async () => {
    const person = await logIn(backend.url)
    const units = async () => (await scrape()).series.get("chat_stream_text_units") ?? -1
    let most = 0
    for (const _ of [1, 2, 3]) {
      const room = await person.room()
      const id = (await person.ask(room, "[[length 20000]] [[chunks 40 delay 5]] long")).body.reply.id
      const stream = await fetch(`${backend.url}/chatroom/${room}/message/${id}/stream`, {
        headers: { authorization: `Bearer ${person.token}` }
      })
      const read = stream.text()
      await until("text in memory", async () => (most = Math.max(most, await units())) > 0)
      assert.include(await read, "event: completed")
    }
    await person.ask(await person.room(), "[[length 20000]] not streamed", { wait: 10 })
    await until("no text in memory", async () => (await units()) === 0, { seconds: 4 })
  })
})

describe("the metrics of requests", () => {
  const http = "http_server_request_duration_seconds"
  const labelled =
    (labels: Readonly<Record<string, string>>) =>
    async (name = `${http}_count`) =>
      sumOf((await measured(backend.url, "operator")).samples, name, labels)

  it("count a request by the template of its route, its method and its status", async () => {
    const person = await logIn(backend.url)
    const count = labelled({ route: "/chatroom/:id", method: "GET", status: "404", waits: "false" })
    const before = await count()
    assert.strictEqual((await person.call("GET", "/chatroom/01a1fd20-ccfb-73cc-ac7f-c7ff006d3fdb")).status, 404)
    await until("the request is counted", async () => (await count()) === before + 1)
  })

  it("count cached lists, which no route answers", async () => {
    const person = await logIn(backend.url)
    await person.room()
    const count = labelled({ route: "/chatroom", method: "GET", status: "200" })
    const before = await count()
    for (const _ of Array.from({ length: 20 })) assert.strictEqual((await person.call("GET", "/chatroom")).status, 200)
    await until("the requests are counted", async () => (await count()) === before + 20)
    const hits = labelled({ cache: "chatrooms", result: "hit" })
    assert.isAtLeast(await hits("chat_cache_lookups_total"), 19)
  })

  it("measure from the request to the end of the response, and label waits", async () => {
    const person = await logIn(backend.url)
    const of = { route: "/chatroom/:id/message", method: "POST", status: "201", waits: "true" }
    const [count, sum] = [labelled(of), labelled(of)]
    const before = { count: await count(), sum: await sum(`${http}_sum`) }
    await person.ask(await person.room(), "[[latency 300]] [[say Waited.]]", { wait: 20 })
    await until("the request is counted", async () => (await count()) === before.count + 1)
    assert.isAbove(await sum(`${http}_sum`), before.sum + 0.25)
  })

  it("give no label to what a client makes up", async () => {
    const { hostname, port } = new URL(backend.url)
    const count = labelled({ route: "unknown", method: "_OTHER" })
    const before = await count()
    await new Promise<void>((resolve, reject) => {
      const made = makeRequest({ hostname, port, method: "PROPFIND", path: "/made-up/secret-path?made=up" }, (response) =>
        response.resume().on("end", resolve)
      )
      made.on("error", reject).end()
    })
    await until("the request is counted", async () => (await count()) === before + 1)
    const { samples, text } = await measured(backend.url, "operator")
    for (const word of ["PROPFIND", "made-up", "secret-path", "made=up"]) assert.notInclude(text, word)
    const routes = new Set(samples.filter(({ name }) => name.startsWith(http)).map(({ labels }) => labels["route"]))
    for (const route of routes) assert.match(route ?? "", /^(?:unknown|\/[\w:./-]*)$/)
  })

  it("count problems by their code", async () => {
    const count = labelled({ code: "unauthenticated" })
    const before = await count("chat_problems_total")
    assert.strictEqual((await request(backend.url, "GET", "/user/me")).status, 401)
    assert.strictEqual(await count("chat_problems_total"), before + 1)
  })
})

describe("the metrics of replies", () => {
  it("count outcomes, tokens and money, and the time to the first piece", async () => {
    const person = await logIn(backend.url)
    const read = async () => {
      const { samples } = await measured(backend.url, "operator")
      const model = "gemini-3.8-flash"
      return {
        completed: sumOf(samples, "chat_replies_total", { outcome: "completed" }),
        calls: sumOf(samples, "chat_model_call_duration_seconds_count", { model, outcome: "ended" }),
        refused: sumOf(samples, "chat_model_call_duration_seconds_count", { model, outcome: "misconfigured" }),
        failed: sumOf(samples, "chat_replies_total", { outcome: "model_misconfigured" }),
        pieces: sumOf(samples, "chat_model_first_piece_seconds_count", { model }),
        tokens: sumOf(samples, "chat_model_tokens_total", { model, kind: "reply" }),
        dollars: sumOf(samples, "chat_model_cost_dollars_total", { model, tier: "basic" }),
        queued: sumOf(samples, "chat_reply_queue_seconds_count", { tier: "basic" }),
        ended: sumOf(samples, "chat_reply_duration_seconds_count", { tier: "basic" })
      }
    }
    const before = await read()
    const answered = await person.ask(await person.room(), "[[say Counted.]]", { wait: 20 })
    assert.strictEqual(answered.body.reply.status, "completed")
    const after = await read()
    for (const name of ["completed", "calls", "pieces", "queued", "ended"] as const)
      assert.strictEqual(after[name], before[name] + 1, name)
    assert.strictEqual(after.tokens, before.tokens + answered.body.reply.usage.replyTokens)
    assert.isAbove(after.dollars, before.dollars)
    await person.ask(await person.room(), "[[status 403]]", { wait: 20 })
    const last = await read()
    assert.deepStrictEqual([last.refused, last.failed], [before.refused + 1, before.failed + 1])
  })
})

describe("the metrics of Postgres", () => {
  it("show each pool, and that Postgres is there", async () => {
    const { samples } = await measured(backend.url, "operator")
    assert.strictEqual(sumOf(samples, "chat_database_up"), 1)
    const pools = samples.filter(({ name }) => name === "chat_database_connections_max").map(({ labels }) => labels["pool"])
    assert.sameMembers(pools, ["chat-backend", "chat-backend reads", "reply worker", "background worker"])
    for (const pool of pools) {
      const used = sumOf(samples, "chat_database_connections", { pool: pool ?? "" })
      assert.isAtLeast(used, 1, pool)
      assert.isAtMost(used, sumOf(samples, "chat_database_connections_max", { pool: pool ?? "" }), pool)
    }
  })
})

describe("the metrics while Postgres is away", () => {
  it("still come, and say so", async () => {
    const proxy = await TcpProxy.start(database.url)
    const cut = await startBackend({
      DATABASE_URL: proxy.through(database.url),
      GEMINI_BASE_URL: gemini.url,
      ADMIN_TOKEN: "operator",
      ROLE: "api",
      LOG_LEVEL: "none"
    })
    const isUp = async () => sumOf((await measured(cut.url, "operator")).samples, "chat_database_up")
    try {
      assert.strictEqual(await isUp(), 1)
      proxy.cut()
      await until("the database is said to be away", async () => (await isUp()) === 0, { seconds: 30 })
    } finally {
      await cut.stop()
      await proxy.stop()
    }
  })
})
