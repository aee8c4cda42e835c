import { get } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import { personAt, request } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { modelsWith } from "../support/Models.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { atEveryBackend, startBackends, type TestBackends } from "../support/TestBackends.ts"
import { countStatuses, faultPaths, isoTime, nextLink, readPages, unknownId, uuidV7 } from "../support/responses.ts"

vi.setConfig({ maxConcurrency: 20 })

/** The longest name of a model. */
const longName = "0.-".repeat(33) + "z"

let backends: TestBackends

beforeAll(async () => {
  // The worker is another process, so everything reaches it through the database.
  backends = await startBackends(
    { ROLE: "api", MODELS: modelsWith("gemini-a", "gemini-b", "g", longName) },
    { ROLE: "api" },
    { ROLE: "worker" }
  )
})
afterAll(() => backends.stop())

const problem = (reply: { status: number; body: { code?: string } }, status: number, code: string) =>
  assert.deepEqual([reply.status, reply.body.code], [status, code])

describe.concurrent("POST /chatroom", () => {
  it("fills in the defaults for an empty body", async () => {
    const ada = await backends.newUser()
    const { body, headers, status } = await ada.call("POST", "/chatroom", {})
    assert.strictEqual(status, 201)
    assert.match(body.id, uuidV7)
    assert.match(body.createdAt, isoTime)
    assert.deepEqual(body, {
      id: body.id,
      title: "New chat",
      titleSource: "default",
      systemPrompt: null,
      model: null,
      temperature: null,
      thinking: { level: null, summaries: false },
      tools: [],
      summary: null,
      headId: null,
      pinned: false,
      archivedAt: null,
      lastMessageAt: null,
      createdAt: body.createdAt,
      updatedAt: body.createdAt
    })
    assert.isBelow(Math.abs(Date.parse(body.createdAt) - Date.now()), 5_000)
    assert.strictEqual(headers.get("location"), `/chatroom/${body.id}`)
    assert.isNull(headers.get("idempotent-replayed"))
    const { messages, ...found } = (await ada.call("GET", headers.get("location") ?? "")).body
    assert.deepEqual(found, body)
    assert.deepEqual(messages, [])
  })

  it("accepts a request without a body", async () => {
    const ada = await backends.newUser()
    assert.strictEqual((await ada.call("POST", "/chatroom")).status, 201)
  })

  it("stores every given setting", async () => {
    const ada = await backends.newUser()
    const settings = {
      title: "Fjord 🌊 " + "é".repeat(3),
      systemPrompt: "Be brief.\nReally.",
      model: "gemini-2.5-flash",
      temperature: 0.25
    }
    const { body } = await ada.call("POST", "/chatroom", settings)
    const found = (await ada.call("GET", `/chatroom/${body.id}`)).body
    for (const shown of [body, found]) {
      const { model, systemPrompt, temperature, title } = shown
      assert.deepEqual({ title, systemPrompt, model, temperature }, settings)
    }
  })

  it("accepts each field at its bounds, counted in code points", async () => {
    const ada = await backends.newUser()
    const good = [
      { title: "x" },
      { title: "🧭".repeat(120) },
      { systemPrompt: "🧭".repeat(8_000) },
      { systemPrompt: "" },
      { systemPrompt: null },
      { model: "g" },
      { model: longName },
      { model: null },
      { temperature: 0 },
      { temperature: 2 },
      { temperature: 1 },
      { temperature: 1.999 },
      { temperature: null }
    ]
    for (const body of good) {
      const created = await ada.call("POST", "/chatroom", body)
      assert.strictEqual(created.status, 201, JSON.stringify(body).slice(0, 80))
      for (const [name, value] of Object.entries(body)) assert.strictEqual(created.body[name], value)
    }
  })

  it("rejects each field past its bounds, and names it", async () => {
    const ada = await backends.newUser()
    const bad: ReadonlyArray<readonly [string, unknown]> = [
      ["title", ""],
      ["title", "x".repeat(121)],
      ["title", "🧭".repeat(121)],
      ["title", null],
      ["title", 7],
      ["title", ["x"]],
      ["title", "a\u0000b"],
      ["title", "a\ud800b"],
      ["title", "\udc00"],
      ["systemPrompt", "x".repeat(8_001)],
      ["systemPrompt", "\u0000"],
      ["systemPrompt", "\udfff"],
      ["systemPrompt", false],
      ["model", ""],
      ["model", "g".repeat(101)],
      ["model", "Gemini"],
      ["model", "models/gemini"],
      ["model", "gemini\n"],
      ["model", "gemini pro"],
      ["model", 3],
      ["model", ".."],
      ["model", "."],
      ["model", "-"],
      ["model", "-gemini"],
      ["model", "gemini..pro"],
      ["model", "gemini-.."],
      ["temperature", -0.01],
      ["temperature", 2.01],
      ["temperature", "1"],
      ["temperature", true]
    ]
    for (const [field, value] of bad) {
      const refused = await ada.call("POST", "/chatroom", { [field]: value })
      problem(refused, 400, "validation_failed")
      assert.deepEqual(faultPaths(refused), [`/${field}`], `${field} ${JSON.stringify(value)}`.slice(0, 80))
      assert.strictEqual(refused.headers.get("content-type"), "application/problem+json")
      assert.strictEqual(refused.body.requestId, refused.headers.get("x-request-id"))
    }
    const infinite = await ada.call("POST", "/chatroom", '{"temperature":1e999}')
    assert.deepEqual(faultPaths(infinite), ["/temperature"])
    for (const body of ["[]", "7", '"room"', "null"]) problem(await ada.call("POST", "/chatroom", body), 400, "validation_failed")
    problem(await ada.call("POST", "/chatroom", "{"), 400, "bad_json")
    assert.deepEqual((await ada.call("GET", "/chatroom")).body.data, [])
  })

  it("ignores unknown fields and does not store them", async () => {
    const ada = await backends.newUser()
    const bob = await backends.newUser()
    const strange = {
      id: unknownId,
      userId: bob.userId,
      user_id: bob.userId,
      pinned: true,
      archivedAt: "2020-01-01T00:00:00.000Z",
      evil: "mallory"
    }
    const created = await ada.call("POST", "/chatroom", { title: "Plain", ...strange }, { "idempotency-key": "strange" })
    assert.strictEqual(created.status, 201)
    assert.notInclude(created.text, "mallory")
    assert.notStrictEqual(created.body.id, unknownId)
    assert.deepEqual([created.body.pinned, created.body.archivedAt], [false, null])
    const [row] = await backends.database.query<{ stored: string }>(
      "select (select jsonb_agg(c)::text from chatrooms c where user_id = $1) || (select jsonb_agg(k)::text from idempotency_keys k where user_id = $1) as stored",
      [ada.userId]
    )
    assert.notInclude(row?.stored, "mallory")
    assert.notInclude(row?.stored, bob.userId)
    assert.deepEqual((await bob.call("GET", "/chatroom")).body.data, [])
  })

  it("answers 401 without a token, on every route", async () => {
    const routes = [
      ["POST", ""],
      ["GET", ""],
      ["GET", `/${unknownId}`],
      ["PATCH", `/${unknownId}`],
      ["DELETE", `/${unknownId}`],
      ["GET", `/${unknownId}/messages`],
      ["POST", `/${unknownId}/message`],
      ["GET", `/${unknownId}/latest`],
      ["GET", `/${unknownId}/message/${unknownId}`]
    ] as const
    for (const [method, path] of routes) {
      const refused = await request(backends.urls[0] ?? "", method, `/chatroom${path}`)
      problem(refused, 401, "unauthenticated")
      assert.include(refused.headers.get("www-authenticate"), "Bearer")
    }
  })
})

describe.concurrent("the idempotency key of POST /chatroom", () => {
  const roomsOf = async (userId: string) =>
    (
      await backends.database.query<{ count: number }>("select count(*)::int as count from chatrooms where user_id = $1", [
        userId
      ])
    )[0]?.count

  it("stores no copy of the body, and replays a prompt of 8,000 characters from the request", async () => {
    const ada = await backends.newUser()
    const body = { title: "Long", systemPrompt: "€".repeat(8_000), temperature: 0.1 }
    const open = () => ada.call("POST", "/chatroom", body, { "idempotency-key": "long" })
    const [first, second] = [await open(), await open()]
    assert.deepEqual([second.status, second.body], [201, first.body])
    const [row] = await backends.database.query<{ bytes: number }>(
      "select pg_column_size(k.*)::int as bytes from idempotency_keys k where user_id = $1",
      [ada.userId]
    )
    assert.isAtMost(row?.bytes ?? Infinity, 400)
  })

  it("replays status, body and Location, even after the room has changed", async () => {
    const ada = await backends.newUser()
    const open = () => ada.call("POST", "/chatroom", { title: "Once", temperature: 1.5 }, { "idempotency-key": "a key" })
    const first = await open()
    await ada.call("PATCH", `/chatroom/${first.body.id}`, { title: "Renamed" })
    const second = await open()
    assert.deepEqual([first.status, second.status], [201, 201])
    assert.strictEqual(second.text, first.text)
    assert.strictEqual(second.headers.get("location"), first.headers.get("location"))
    assert.deepEqual([first.headers.get("idempotent-replayed"), second.headers.get("idempotent-replayed")], [null, "true"])
    assert.strictEqual(await roomsOf(ada.userId), 1)
  })

  it("is rejected with another body, and no room is created", async () => {
    const ada = await backends.newUser()
    await ada.call("POST", "/chatroom", { title: "One" }, { "idempotency-key": "k" })
    for (const body of [{ title: "Two" }, {}, { title: "One", temperature: 0 }]) {
      problem(await ada.call("POST", "/chatroom", body, { "idempotency-key": "k" }), 422, "idempotency_key_reused")
    }
    assert.strictEqual(await roomsOf(ada.userId), 1)
  })

  it("creates one room for fifty parallel requests to two processes", async () => {
    const ada = await backends.newUser()
    const [here, there] = atEveryBackend(backends, ada)
    const replies = await Promise.all(
      times(
        50,
        (index) =>
          (index % 2 === 0 ? here : there)?.call("POST", "/chatroom", { title: "Race" }, { "idempotency-key": "race" }) ??
          Promise.reject()
      )
    )
    assert.deepEqual(countStatuses(replies), { 201: 50 })
    assert.strictEqual(new Set(replies.map(({ text }) => text)).size, 1)
    assert.strictEqual(replies.filter(({ headers }) => headers.get("idempotent-replayed") === "true").length, 49)
    assert.strictEqual(await roomsOf(ada.userId), 1)
  })

  it("is not stored by a rejected request", async () => {
    const ada = await backends.newUser()
    const open = (title: unknown) => ada.call("POST", "/chatroom", { title }, { "idempotency-key": "retry" })
    problem(await open(""), 400, "validation_failed")
    await backends.database.query("update users set chatrooms = 1000 where id = $1", [ada.userId])
    problem(await open("Full"), 409, "too_many_chatrooms")
    await backends.database.query("update users set chatrooms = 0 where id = $1", [ada.userId])
    const opened = await open("Other")
    assert.strictEqual(opened.status, 201)
    assert.isNull(opened.headers.get("idempotent-replayed"))
  })

  it("is separate by user and by route", async () => {
    const ada = await backends.newUser()
    const bob = await backends.newUser()
    const [adas, bobs] = await Promise.all(
      [ada, bob].map((person) => person.call("POST", "/chatroom", { title: "Mine" }, { "idempotency-key": "same" }))
    )
    assert.deepEqual([adas?.status, bobs?.status], [201, 201])
    assert.notStrictEqual(adas?.body.id, bobs?.body.id)
    assert.isNull(bobs?.headers.get("idempotent-replayed"))
    const replays = await Promise.all(
      [ada, bob].map((person) => person.call("POST", "/chatroom", { title: "Mine" }, { "idempotency-key": "same" }))
    )
    assert.deepEqual(
      replays.map(({ text }) => text),
      [adas?.text, bobs?.text]
    )
    const sent = await ada.ask(adas?.body.id, "hello", { key: "same" })
    assert.deepEqual([sent.status, sent.headers.get("idempotent-replayed")], [202, null])
  })

  it("expires after 24 hours, and may have 255 characters", async () => {
    const ada = await backends.newUser()
    const key = "k".repeat(255)
    const open = (headers: Record<string, string>) => ada.call("POST", "/chatroom", { title: "Day" }, headers)
    const first = await open({ "idempotency-key": key })
    await backends.database.query(
      "update idempotency_keys set created_at = created_at - interval '23 hours 59 minutes' where user_id = $1",
      [ada.userId]
    )
    assert.strictEqual((await open({ "idempotency-key": key })).body.id, first.body.id)
    await backends.database.query(
      "update idempotency_keys set created_at = created_at - interval '2 minutes' where user_id = $1",
      [ada.userId]
    )
    const next = await open({ "idempotency-key": key })
    assert.strictEqual(next.status, 201)
    assert.notStrictEqual(next.body.id, first.body.id)
    assert.strictEqual((await open({ "idempotency-key": key })).body.id, next.body.id)
    const tooLong = await open({ "idempotency-key": `${key}k` })
    assert.deepEqual(faultPaths(tooLong), ["headers.idempotency-key"])
  })
})

describe.concurrent("GET /chatroom", () => {
  it("lists pinned rooms first, then by latest activity", async () => {
    const ada = await backends.newUser()
    const [old, middle, young] = [
      await ada.room({ title: "old" }),
      await ada.room({ title: "middle" }),
      await ada.room({ title: "young" })
    ]
    const titles = async () => (await ada.call("GET", "/chatroom")).body.data.map(({ title }: { title: string }) => title)
    assert.deepEqual(await titles(), ["young", "middle", "old"])
    await ada.ask(old, "up", { wait: 10 })
    assert.deepEqual(await titles(), ["old", "young", "middle"])
    await ada.call("PATCH", `/chatroom/${middle}`, { pinned: true })
    assert.deepEqual(await titles(), ["middle", "old", "young"])
    await ada.call("PATCH", `/chatroom/${middle}`, { pinned: false })
    await ada.call("PATCH", `/chatroom/${young}`, { title: "renamed" })
    assert.deepEqual(await titles(), ["old", "renamed", "middle"])
    const listed = (await ada.call("GET", "/chatroom")).body.data[0]
    assert.match(listed.lastMessageAt, isoTime)
    assert.deepEqual(Object.keys(listed).toSorted(), [
      "archivedAt",
      "createdAt",
      "headId",
      "id",
      "lastMessageAt",
      "model",
      "pinned",
      "summary",
      "systemPrompt",
      "temperature",
      "thinking",
      "title",
      "titleSource",
      "tools",
      "updatedAt"
    ])
  })

  it("pages by cursor without gaps or duplicates, over ties, pins and new rooms", async () => {
    const ada = await backends.newUser()
    await Promise.all(times(57, (index) => ada.room({ title: `room ${index}` })))
    // Rooms of the same moment are ordered by their ids.
    await backends.database.query(
      "update chatrooms set created_at = date_trunc('second', created_at), pinned = right(id::text, 1) < '3' where user_id = $1",
      [ada.userId]
    )
    const whole = (await ada.call("GET", "/chatroom?limit=100")).body
    assert.deepEqual([whole.data.length, whole.hasMore, whole.nextCursor], [57, false, null])
    const ids = (rooms: ReadonlyArray<{ id: string }>) => rooms.map(({ id }) => id)
    const pages = await readPages<{ id: string }>(ada, "/chatroom?limit=10")
    assert.deepEqual(
      pages.map(({ length }) => length),
      [10, 10, 10, 10, 10, 7]
    )
    assert.deepEqual(ids(pages.flat()), ids(whole.data))

    const linked: Array<string> = []
    let next: string | undefined = "/chatroom?limit=19&archived=false"
    while (next !== undefined) {
      const page = await ada.call("GET", next)
      linked.push(...ids(page.body.data))
      next = nextLink(page)
      assert.strictEqual(next !== undefined, page.body.hasMore)
      if (next !== undefined) assert.include(next, "limit=19")
      await ada.room({ title: "created meanwhile" })
    }
    assert.deepEqual(linked, ids(whole.data))
  })

  it("has twenty rooms a page by default", async () => {
    const ada = await backends.newUser()
    await Promise.all(times(21, () => ada.room()))
    const first = await ada.call("GET", "/chatroom")
    assert.deepEqual([first.body.data.length, first.body.hasMore], [20, true])
    assert.strictEqual((await ada.call("GET", "/chatroom?limit=1")).body.data.length, 1)
    assert.isNull((await ada.call("GET", "/chatroom?limit=100")).headers.get("link"))
    for (const limit of ["0", "101", "-1", "1.5", "ten", "", "NaN", "Infinity"]) {
      const refused = await ada.call("GET", `/chatroom?limit=${limit}`)
      assert.deepEqual([refused.status, ...faultPaths(refused)], [400, "query.limit"], limit)
    }
  })

  it("rejects a forged, altered or foreign cursor", async () => {
    const ada = await backends.newUser()
    const bob = await backends.newUser()
    await Promise.all([ada, ada, ada, bob, bob].map((person) => person.room({ title: "a" })))
    const { nextCursor } = (await ada.call("GET", "/chatroom?limit=1")).body
    const bobs = (await bob.call("GET", "/chatroom?limit=1")).body.nextCursor
    const searched = (await ada.call("GET", "/chatroom?limit=1&q=a")).body.nextCursor
    const [body = "", mac = ""] = nextCursor.split(".")
    const forged = Buffer.from(JSON.stringify({ pinned: true, activeAt: "2999-01-01T00:00:00.000Z", id: unknownId })).toString(
      "base64url"
    )
    const bad = [
      bobs,
      searched,
      forged,
      `${forged}.${mac}`,
      `${body}.`,
      `${body}.${"A".repeat(mac.length)}`,
      body,
      `.${mac}`,
      `${nextCursor.slice(0, -1)}`,
      `x${nextCursor}`,
      "null",
      "'; drop table chatrooms; --",
      "x".repeat(501),
      ""
    ]
    for (const cursor of bad) {
      const refused = await ada.call("GET", `/chatroom?limit=1&cursor=${encodeURIComponent(cursor)}`)
      problem(refused, 400, "validation_failed")
      assert.deepEqual(faultPaths(refused), ["query.cursor"], cursor)
    }
    problem(await ada.call("GET", `/chatroom?limit=1&archived=true&cursor=${nextCursor}`), 400, "validation_failed")
    assert.strictEqual((await ada.call("GET", `/chatroom?limit=1&cursor=${nextCursor}`)).status, 200)
    const [, elsewhere] = atEveryBackend(backends, ada)
    assert.strictEqual((await elsewhere?.call("GET", `/chatroom?limit=1&cursor=${nextCursor}`))?.status, 200)
  })

  it("links to the next page by path, without the request's Host", async () => {
    const ada = await backends.newUser()
    await Promise.all([ada.room(), ada.room()])
    const link = await new Promise<string>((resolve, reject) => {
      const headers = { host: "evil.example:8080", authorization: `Bearer ${ada.token}` }
      get(`${backends.urls[0]}/chatroom?limit=1`, { headers }, (response) => {
        response.resume()
        resolve(String(response.headers["link"]))
      }).on("error", reject)
    })
    assert.match(link, /^<\/chatroom\?limit=1&cursor=[\w.%-]+>; rel="next"$/)
  })

  it("lists archived rooms only on request", async () => {
    const ada = await backends.newUser()
    const [kept, shelved] = [await ada.room({ title: "kept" }), await ada.room({ title: "shelved" })]
    await ada.call("PATCH", `/chatroom/${shelved}`, { archived: true })
    const ids = async (query: string) =>
      (await ada.call("GET", `/chatroom${query}`)).body.data.map(({ id }: { id: string }) => id)
    assert.deepEqual(await ids(""), [kept])
    assert.deepEqual(await ids("?archived=false"), [kept])
    assert.deepEqual(await ids("?archived=true"), [shelved])
    assert.deepEqual(faultPaths(await ada.call("GET", "/chatroom?archived=maybe")), ["query.archived"])
    await ada.call("PATCH", `/chatroom/${shelved}`, { archived: false })
    assert.deepEqual(await ids(""), [shelved, kept])
  })

  it("searches for a part of the title, case-insensitively and literally", async () => {
    const ada = await backends.newUser()
    const bob = await backends.newUser()
    await bob.room({ title: "100% Blue" })
    for (const title of ["100% Blue", "1000 blues", "snake_case", "snakeXcase", "Ünïcode 🌊"]) await ada.room({ title })
    const found = async (q: string, rest = "") =>
      (await ada.call("GET", `/chatroom?q=${encodeURIComponent(q)}${rest}`)).body.data.map(
        ({ title }: { title: string }) => title
      )
    assert.deepEqual(await found("BLUE"), ["1000 blues", "100% Blue"])
    assert.deepEqual(await found("100%"), ["100% Blue"])
    assert.deepEqual(await found("e_c"), ["snake_case"])
    assert.deepEqual(await found("ÜNÏ"), ["Ünïcode 🌊"])
    assert.deepEqual(await found("🌊"), ["Ünïcode 🌊"])
    assert.deepEqual(await found("' or 1=1 --"), [])
    const pages = await readPages<{ title: string }>(ada, "/chatroom?q=blue&limit=1")
    assert.deepEqual(
      pages.flat().map(({ title }) => title),
      ["1000 blues", "100% Blue"]
    )
    assert.strictEqual((await ada.call("GET", `/chatroom?q=${"x".repeat(121)}`)).status, 400)
    assert.strictEqual((await ada.call("GET", "/chatroom?q=%00")).status, 400)
  })
})

describe.concurrent("a chatroom", () => {
  it("has its last fifty messages, oldest first", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const ids = times(60, (index) => uuid({ msecs: 1_800_000_000_000 + index }))
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
       select $1, id, $2, 'user', 'message ' || n, 'completed', now(), now() from unnest($3::uuid[]) with ordinality as m (id, n)`,
      [ada.userId, room, ids]
    )
    const { messages } = (await ada.call("GET", `/chatroom/${room}`)).body
    assert.deepEqual(
      messages.map(({ id }: { id: string }) => id),
      ids.slice(10)
    )
    assert.strictEqual(messages[0].content, "message 11")
    assert.strictEqual(messages[0].chatroomId, room)
  })

  it("keeps the fields that a patch omits", async () => {
    const ada = await backends.newUser()
    const before = (await ada.call("POST", "/chatroom", { title: "A", systemPrompt: "S", model: "gemini-a", temperature: 1 }))
      .body
    const path = `/chatroom/${before.id}`
    let expected = before
    const changes = [
      { title: "B" },
      { systemPrompt: "T" },
      { model: "gemini-b" },
      { temperature: 0 },
      { pinned: true },
      { title: "C", temperature: 0.5, pinned: false },
      { systemPrompt: null },
      { model: null },
      { temperature: null },
      {}
    ]
    for (const change of changes) {
      const patched = await ada.call("PATCH", path, change)
      assert.strictEqual(patched.status, 200)
      expected = { ...expected, ...change, updatedAt: patched.body.updatedAt }
      assert.deepEqual(patched.body, expected)
      const { messages: _, ...found } = (await ada.call("GET", path)).body
      assert.deepEqual(found, expected)
    }
    assert.isAbove(Date.parse(expected.updatedAt), Date.parse(before.createdAt))
    const ignored = await ada.call("PATCH", path, {
      id: unknownId,
      createdAt: "2000-01-01T00:00:00.000Z",
      lastMessageAt: null,
      evil: 1
    })
    assert.deepEqual({ ...ignored.body, updatedAt: null }, { ...expected, updatedAt: null })
  })

  it("rejects a patch past the bounds and stays unchanged", async () => {
    const ada = await backends.newUser()
    const before = (await ada.call("POST", "/chatroom", { title: "A" })).body
    const bad = [
      ["title", ""],
      ["title", 7],
      ["title", "🧭".repeat(121)],
      ["title", "\u0000"],
      ["systemPrompt", "x".repeat(8_001)],
      ["model", "A"],
      ["model", ".."],
      ["temperature", 3],
      ["pinned", null],
      ["pinned", "true"],
      ["archived", 1],
      ["archived", null]
    ] as const
    for (const [field, value] of bad) {
      const refused = await ada.call("PATCH", `/chatroom/${before.id}`, { title: "B", [field]: value })
      assert.deepEqual([refused.status, ...faultPaths(refused)], [400, `/${field}`])
    }
    const { messages: _, ...after } = (await ada.call("GET", `/chatroom/${before.id}`)).body
    assert.deepEqual(after, before)
  })

  it("keeps its first archivedAt, stays usable, and can be unarchived", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const archived = (await ada.call("PATCH", `/chatroom/${room}`, { archived: true })).body
    assert.match(archived.archivedAt, isoTime)
    await sleep(5)
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${room}`, { archived: true })).body.archivedAt, archived.archivedAt)
    assert.strictEqual((await ada.call("GET", `/chatroom/${room}`)).body.archivedAt, archived.archivedAt)
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${room}`, { pinned: true })).body.archivedAt, archived.archivedAt)
    assert.isNull((await ada.call("PATCH", `/chatroom/${room}`, { archived: false })).body.archivedAt)
  })

  it("is deleted with all its messages", async () => {
    const ada = await backends.newUser()
    const [room, other] = [await ada.room(), await ada.room()]
    const sent = await ada.ask(room, "hello", { wait: 10 })
    const deleted = await ada.call("DELETE", `/chatroom/${room}`)
    assert.deepEqual([deleted.status, deleted.text], [204, ""])
    const paths = [
      ["GET", ""],
      ["PATCH", "", {}],
      ["DELETE", ""],
      ["GET", "/messages"],
      ["GET", "/latest"],
      ["POST", "/message", { content: "x" }],
      ["GET", `/message/${sent.body.reply.id}`]
    ] as const
    for (const [method, path, body] of paths)
      problem(await ada.call(method, `/chatroom/${room}${path}`, body), 404, "chatroom_not_found")
    assert.deepEqual(
      (await ada.call("GET", "/chatroom")).body.data.map(({ id }: { id: string }) => id),
      [other]
    )
    const left = await backends.database.query("select 1 from messages where user_id = $1", [ada.userId])
    assert.deepEqual(left, [])
    assert.strictEqual(await usedToday(ada), 1)
  })

  it("is deleted once by parallel requests, and is counted down once", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ada.room()
    const replies = await Promise.all(
      atEveryBackend(backends, ada).flatMap((person) => times(5, () => person.call("DELETE", `/chatroom/${room}`)))
    )
    assert.deepEqual(countStatuses(replies), { 204: 1, 404: 9 })
    const [user] = await backends.database.query<{ chatrooms: number }>("select chatrooms from users where id = $1", [ada.userId])
    assert.strictEqual(user?.chatrooms, 1)
  })

  it("stops the model call at once when it is deleted, and no other room's", async () => {
    const ada = await backends.newUser()
    const [doomed, other] = [await ada.room(), await ada.room()]
    const slow = "[[chunks 100 delay 100]]"
    const [, held, kept] = [
      await ada.ask(doomed, `${slow} doomed question`),
      await ada.ask(doomed, "doomed and held"),
      await ada.ask(other, "[[chunks 20 delay 100]] kept question")
    ]
    assert.deepEqual([held.status, kept.status], [202, 202])
    await until("the first call for the doomed question", () => callsAbout(backends, "doomed question")[0]?.chunksSent)
    await until("the first call for the kept question", () => callsAbout(backends, "kept question")[0]?.chunksSent)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${doomed}`)).status, 204)
    const deletedAt = Date.now()
    const stopped = await until("the end of the call for the doomed question", () =>
      callsAbout(backends, "doomed question").find(({ inFlight }) => !inFlight)
    )
    assert.isTrue(stopped.aborted)
    // Sooner than by the next renewal of the lease, which happens every eight seconds.
    assert.isBelow((stopped.endedAt ?? Infinity) - deletedAt, 5_000)
    const whole = await awaitEnd(ada, kept)
    assert.strictEqual(whole.body.status, "completed")
    assert.isFalse(callsAbout(backends, "kept question")[0]?.aborted)
    assert.deepEqual(callsAbout(backends, "doomed and held"), [])
    assert.strictEqual(callsAbout(backends, "doomed question").length, 1)
    assert.strictEqual(await usedToday(ada), 3)
  })

  it("ends the wait for its reply when it is deleted", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const waiting = ada.ask(room, "[[chunks 100 delay 100]] waited for", { wait: 20 })
    await until("the call for the question that is waited for", () => callsAbout(backends, "waited for")[0]?.chunksSent)
    const began = Date.now()
    await ada.call("DELETE", `/chatroom/${room}`)
    assert.strictEqual((await waiting).status, 202)
    assert.isBelow(Date.now() - began, 8_000)
  })

  it("is 404 for another user, on every route", async () => {
    const ada = await backends.newUser()
    const eve = await backends.newUser()
    const room = await ada.room({ title: "Private" })
    const { message, reply } = (await ada.ask(room, "secret", { wait: 10 })).body
    const before = (await ada.call("GET", `/chatroom/${room}`)).text
    const paths = [
      ["GET", ""],
      ["PATCH", "", { title: "Hers" }],
      ["DELETE", ""],
      ["GET", "/messages"],
      ["GET", `/messages?before=${reply.id}`],
      ["POST", "/message", { content: "x" }],
      ["GET", "/latest"],
      ["GET", "/latest?wait=1"],
      ["GET", `/message/${reply.id}`],
      ["GET", `/message/${message.id}?wait=1`]
    ] as const
    for (const [method, path, body] of paths) {
      const refused = await eve.call(method, `/chatroom/${room}${path}`, body)
      problem(refused, 404, "chatroom_not_found")
      assert.notInclude(refused.text, "secret")
    }
    assert.strictEqual((await ada.call("GET", `/chatroom/${room}`)).text, before)
    assert.strictEqual(await usedToday(eve), 0)
    assert.deepEqual((await eve.call("GET", "/chatroom")).body.data, [])
  })

  it("has no message of another room, even of the same user", async () => {
    const ada = await backends.newUser()
    const eve = await backends.newUser()
    const [one, two, hers] = [await ada.room(), await ada.room(), await eve.room()]
    const { reply } = (await ada.ask(one, "hello", { wait: 10 })).body
    problem(await ada.call("GET", `/chatroom/${two}/message/${reply.id}`), 404, "message_not_found")
    problem(await eve.call("GET", `/chatroom/${hers}/message/${reply.id}`), 404, "message_not_found")
    problem(await ada.call("GET", `/chatroom/${one}/message/${unknownId}`), 404, "message_not_found")
  })

  it("is 400 for an id that is not a UUID, and 404 for an unknown id", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const paths = [
      ["GET", ""],
      ["PATCH", "", {}],
      ["DELETE", ""],
      ["GET", "/messages"],
      ["POST", "/message", { content: "x" }],
      ["GET", "/latest"],
      ["GET", `/message/${unknownId}`]
    ] as const
    for (const [method, path, body] of paths) {
      problem(await ada.call(method, `/chatroom/${unknownId}${path}`, body), 404, "chatroom_not_found")
      for (const id of ["1", "not-a-uuid", `${unknownId}0`, "%27", "null"]) {
        const refused = await ada.call(method, `/chatroom/${id}${path}`, body)
        assert.deepEqual([refused.status, ...faultPaths(refused)], [400, "params.id"], `${method} ${id}${path}`)
      }
    }
    assert.deepEqual(faultPaths(await ada.call("GET", `/chatroom/${room}/message/1`)), ["params.mid"])
    assert.deepEqual(faultPaths(await ada.call("GET", `/chatroom/${room}/messages?before=1`)), ["query.before"])
  })

  it("accepts its id in upper case", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const upper = `/chatroom/${room.toUpperCase()}`
    assert.strictEqual((await ada.call("GET", upper)).body.id, room)
    const sent = await ada.call("POST", `${upper}/message`, { content: "hello" })
    assert.strictEqual(sent.body.reply.chatroomId, room)
    assert.include(sent.headers.get("location"), room)
  })
})

describe.concurrent("the limit of chatrooms", () => {
  it("is exactly a thousand, also under parallel requests", async () => {
    const ada = await backends.newUser()
    await backends.database.query("update users set chatrooms = 995 where id = $1", [ada.userId])
    const people = atEveryBackend(backends, ada)
    const replies = await Promise.all(times(30, (index) => (people[index % 2] ?? ada).call("POST", "/chatroom", {})))
    assert.deepEqual(countStatuses(replies), { 201: 5, 409: 25 })
    const refused = replies.find(({ status }) => status === 409)
    assert.deepEqual([refused?.body.code, refused?.body.limit], ["too_many_chatrooms", 1000])
    const [opened] = replies.filter(({ status }) => status === 201)
    await ada.call("DELETE", `/chatroom/${opened?.body.id}`)
    assert.deepEqual(countStatuses([await ada.call("POST", "/chatroom", {}), await ada.call("POST", "/chatroom", {})]), {
      201: 1,
      409: 1
    })
    assert.strictEqual((await personAt(backends.urls[1] ?? "", ada).call("GET", "/chatroom?limit=100")).body.data.length, 5)
  })
})
