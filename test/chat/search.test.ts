import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { snippet } from "../../src/chat/Search.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

let database: TestDatabase
let gemini: GeminiSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let ada: Person
let room: string

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  backend = await startBackend({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    BASIC_DAILY_PROMPTS: "50",
    ADMIN_TOKEN: "an admin's token"
  })
  ada = await logIn(backend.url)
  room = await ada.room({ title: "Fruit" })
  await ada.ask(room, "[[say Pears grow on trees.]] Where do pears grow?", { wait: 10 })
  await ada.ask(room, "[[say No idea.]] And 100% of_plums?", { wait: 10 })
})
afterAll(async () => {
  await backend.stop()
  await gemini.stop()
  await database.drop()
})

describe("GET /search", () => {
  it("finds words in questions and replies, case-insensitively, newest first", async () => {
    const { body } = await ada.call("GET", "/search?q=PEARS")
    assert.deepStrictEqual(
      body.data.map(({ role }: { role: string }) => role),
      ["model", "user"]
    )
    assert.include(body.data[0].snippet, "Pears grow")
    assert.strictEqual(body.hasMore, false)
  })

  it("takes every character literally", async () => {
    assert.strictEqual((await ada.call("GET", `/search?q=${encodeURIComponent("100% of_")}`)).body.data.length, 1)
    assert.strictEqual((await ada.call("GET", `/search?q=${encodeURIComponent("%")}&limit=5`)).body.data.length, 1)
  })

  it("pages by cursor, without gaps or duplicates", async () => {
    const first = (await ada.call("GET", "/search?q=e&limit=2")).body
    assert.strictEqual(first.hasMore, true)
    const second = (await ada.call("GET", `/search?q=e&limit=2&cursor=${first.nextCursor}`)).body
    const ids = [...first.data, ...second.data].map(({ id }: { id: string }) => id)
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.deepStrictEqual(ids, ids.toSorted().toReversed())
    assert.strictEqual((await ada.call("GET", `/search?q=other&cursor=${first.nextCursor}`)).status, 400)
  })

  it("searches only the user's own rooms, and requires words", async () => {
    const eve = await logIn(backend.url)
    assert.deepStrictEqual((await eve.call("GET", "/search?q=pears")).body.data, [])
    assert.strictEqual((await ada.call("GET", "/search")).status, 400)
  })

  it("returns a snippet with the text around the words", () => {
    assert.strictEqual(snippet("short", "or"), "short")
    assert.strictEqual(
      snippet(`${"😀".repeat(40)} needle${"😀".repeat(40)}`, "needle"),
      `…${"😀".repeat(30)} needle${"😀".repeat(30)}…`
    )
    const long = snippet(`${"a".repeat(100)}needle${"b".repeat(100)}`, "NEEDLE")
    assert.strictEqual(long, `…${"a".repeat(60)}needle${"b".repeat(60)}…`)
  })
})

describe("GET /chatroom/:id/export", () => {
  it("returns the room with all its messages, oldest first", async () => {
    const { body, status } = await ada.call("GET", `/chatroom/${room}/export`)
    assert.strictEqual(status, 200)
    assert.strictEqual(body.title, "Fruit")
    assert.deepStrictEqual(
      body.messages.map(({ role }: { role: string }) => role),
      ["user", "model", "user", "model"]
    )
    // Exports have thoughts where they are asked for.
    const { thoughts, ...reply } = (await ada.call("GET", `/chatroom/${room}/message/${body.messages[1].id}`)).body
    assert.isNull(thoughts)
    assert.deepStrictEqual(body.messages[1], reply)
  })

  it("returns Markdown on request", async () => {
    const { headers, text } = await ada.call("GET", `/chatroom/${room}/export?format=markdown`)
    assert.strictEqual(headers.get("content-type"), "text/markdown; charset=utf-8")
    assert.match(text, /^# Fruit\n\n## You, \d{4}-/)
    assert.include(text, "Pears grow on trees.")
  })

  it("is 404 for another user", async () => {
    const eve = await logIn(backend.url)
    assert.strictEqual((await eve.call("GET", `/chatroom/${room}/export`)).status, 404)
    assert.strictEqual((await ada.call("GET", `/chatroom/${room}/export?format=pdf`)).status, 400)
  })
})

describe("the admin routes", () => {
  const admin = { authorization: "Bearer an admin's token" }

  it("return the queue's state and the metrics with the admin token", async () => {
    const { body } = await request(backend.url, "GET", "/admin/queue", { headers: admin })
    assert.hasAllKeys(body, ["ready", "running", "failed", "oldestSeconds", "byTask", "byPriority"])
    const { text } = await request(backend.url, "GET", "/metrics", { headers: admin })
    assert.match(text, /^process_resident_memory_bytes \d+$/m)
    assert.match(text, /^chat_streams_open 0$/m)
  })

  it("are 401 for others, and 404 when no admin token is set", async () => {
    for (const path of ["/admin/queue", "/metrics"]) {
      assert.strictEqual((await request(backend.url, "GET", path)).status, 401)
      assert.strictEqual((await request(backend.url, "GET", path, { token: ada.token })).status, 401)
    }
    const plain = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
    assert.strictEqual((await request(plain.url, "GET", "/metrics", { headers: admin })).status, 404)
    await plain.stop()
  })
})
