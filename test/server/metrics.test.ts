import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

const families = [
  ["process_resident_memory_bytes", "gauge", "Resident memory."],
  ["nodejs_heap_used_bytes", "gauge", "Used heap."],
  ["process_cpu_seconds_total", "counter", "CPU time used."],
  ["process_uptime_seconds", "gauge", "Time since the start."],
  ["chat_requests_in_progress", "gauge", "Requests in progress in this process."],
  ["chat_requests_refused_total", "counter", "Requests refused for being too many."],
  ["chat_notification_waiters", "gauge", "Requests of this process that wait for a change."],
  ["chat_streams_open", "gauge", "Replies being watched in this process."],
  ["chat_stream_text_units", "gauge", "UTF-16 units of running replies in memory."],
  ["chat_citations_dropped_total", "counter", "Citations left out of replies, because their text was not where Google said."],
  ["chat_queue_jobs", "gauge", "Jobs of the fleet's queue."],
  ["chat_queue_oldest_seconds", "gauge", "How long the oldest ready job has been due."],
  [
    "chat_model_calls_unpriced_total",
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
    const running = (await person.ask(await person.room(), "[[latency 60000]] slow")).body.reply.id
    await until(
      "the reply is a job",
      async () => (await scrape()).series.get('chat_queue_jobs{task="reply",state="running",priority="basic"}') === 1
    )
    const { contentType, series, text } = await scrape()
    assert.match(contentType ?? "", /^text\/plain; version=0\.0\.4/)
    for (const [name, type, help] of families) {
      const [before = "", samples = ""] = text.split(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`)
      assert.match(samples, new RegExp(`^${name}[ {]`), name)
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
    for (const state of ["ready", "running", "failed"])
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
