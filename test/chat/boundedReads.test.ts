import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, afterEach, assert, beforeAll, beforeEach, describe, it } from "vitest"
import type { Person, Reply } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { countStatuses, readPages } from "../support/responses.ts"

let backends: TestBackends

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none", ADMIN_TOKEN: "operator" })
})
afterAll(() => backends.stop())

/** Stores messages past the product: questions and replies in turns, or all questions. Returns the ids, oldest first. */
const insert = async (person: Person, room: string, contents: string, count: number, columns = "", values = "") => {
  const rows = await backends.database.query<{ id: string }>(
    `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at ${columns})
      select $1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $2, 'user', ${contents}, 'completed', now(), now() ${values}
      from generate_series(1, $3) n returning id`,
    [person.userId, room, count]
  )
  return rows.map(({ id }) => id)
}

const bytesOf = (messages: ReadonlyArray<{ content: string }>) =>
  messages.reduce((sum, { content }) => sum + Buffer.byteLength(content), 0)

/** Every route that reads a message. */
const readAll = async (person: Person, room: string, message: string, words: string) => {
  const paths = [
    `/chatroom/${room}`,
    `/chatroom/${room}/messages`,
    `/chatroom/${room}/messages?after=01980000-0000-7000-8000-000000000000`,
    `/chatroom/${room}/latest`,
    `/chatroom/${room}/message/${message}`,
    `/chatroom/${room}/message/${message}/context`,
    `/chatroom/${room}/message/${message}/stream`,
    `/chatroom/${room}/export`,
    `/chatroom/${room}/export?branch=all`,
    `/chatroom/${room}/export?format=markdown`,
    `/chatroom/${room}/messages?branch=active`,
    `/search?q=${encodeURIComponent(words)}`,
    "/chatroom",
    "/user/me",
    "/user/me/export",
    "/user/usage",
    "/auth/sessions"
  ]
  const replies: Array<readonly [string, Reply]> = []
  for (const path of paths) replies.push([path, await person.call("GET", path)])
  for (const [path, { status, text }] of replies) assert.strictEqual(status, 200, `${path}: ${text.slice(0, 500)}`)
  return new Map(replies)
}

describe("a stored row", () => {
  it.each([
    ["50 MB of ASCII", "repeat('x', 52428800)", "xxx"],
    ["50 MB of characters of four bytes", "repeat('🌊', 13107200)", "🌊🌊"],
    ["16 MB that do not compress", "(select string_agg(md5(i::text), '') from generate_series(1, 524288) i)", "0"]
  ])("with a text of %s is readable by every route, cut", { timeout: 120_000 }, async (_, content, words) => {
    const person = await backends.newUser()
    const room = await person.room()
    const [question] = await insert(person, room, "'What is long?'", 1)
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, attempt, created_at, completed_at, quota_state)
        values ($1, '01980000-0000-7000-8000-0000000000ff', $2, 'model', ${content}, 'completed', $3, 1, now(), now(), 'spent')`,
      [person.userId, room, question]
    )
    const replies = await readAll(person, room, "01980000-0000-7000-8000-0000000000ff", words)
    const { body } = replies.get(`/chatroom/${room}/message/01980000-0000-7000-8000-0000000000ff`) ?? assert.fail()
    assert.strictEqual([...body.content].length, 1_048_576)
    const next = await person.ask(room, "[[say Fine.]] And now?", { wait: 20 })
    assert.deepStrictEqual([next.status, next.body.reply.content], [201, "Fine."])
  })

  it("with the largest value of every column is readable by every route", async () => {
    const person = await backends.newUser()
    const wave = (count: number) => "🌊".repeat(count)
    const name = wave(100)
    assert.strictEqual((await person.call("PATCH", "/user/me", { name })).status, 200, "name")
    const room = await person.room({ title: wave(120), systemPrompt: wave(8_000), temperature: 2 })
    await backends.database.query("update chatrooms set model = repeat('a', 100) where id = $1", [room])
    const sent = await person.ask(room, `${wave(31_980)} [[say ok]]`, { wait: 20 })
    assert.strictEqual(sent.status, 201)
    await backends.database.query(
      `update messages set content = repeat('🌊', 262144), finish_reason = repeat('F', 200), error_message = repeat('e', 200),
        model = repeat('m', 200), prompt_tokens = 2147483647, reply_tokens = 2147483647, thought_tokens = 2147483647,
        cached_tokens = 2147483647, tool_tokens = 2147483647, cost_micros = 9007199254740991, context_system_prompt = repeat('🌊', 8000),
        context_ids = array(select gen_random_uuid() from generate_series(1, 401)) where id = $1`,
      [sent.body.reply.id]
    )
    await backends.database.query(
      "update usage_daily set prompt_tokens = 9007199254740991, reply_tokens = 9007199254740991 where used = 1"
    )
    await backends.database.query("update sessions set user_agent = repeat('🌊', 300) where user_id = $1", [person.userId])
    const replies = await readAll(person, room, sent.body.reply.id, "🌊")
    assert.strictEqual(replies.get(`/chatroom/${room}/message/${sent.body.reply.id}`)?.body.content, wave(262_144))
  })

  it("with negative counts of tokens is readable by every route, the counts as 0", async () => {
    const person = await backends.newUser()
    const room = await person.room()
    const sent = await person.ask(room, "[[say ok]] How many tokens?", { wait: 20 })
    await backends.database.query(
      "update messages set prompt_tokens = -1, reply_tokens = -2147483648, thought_tokens = -7, cached_tokens = null where id = $1",
      [sent.body.reply.id]
    )
    await backends.database.query(
      `update usage_daily set prompt_tokens = -5, reply_tokens = -5 where quota_key = (select quota_key from users where id = $1)`,
      [person.userId]
    )
    const replies = await readAll(person, room, sent.body.reply.id, "tokens")
    const usage = { promptTokens: 0, replyTokens: 0, thoughtTokens: 0, cachedTokens: 0, toolTokens: 0 }
    assert.deepStrictEqual(replies.get(`/chatroom/${room}/message/${sent.body.reply.id}`)?.body.usage, usage)
    const day = replies.get("/user/usage")?.body.data[0]
    assert.deepStrictEqual([day.promptTokens, day.replyTokens], [0, 0])
    assert.strictEqual(replies.get(`/chatroom/${room}/message/${sent.body.reply.id}/context`)?.body.promptTokens, 0)
  })
})

describe("a page of messages", () => {
  it("ends after 1 MiB of text, and the next cursor goes on, in both directions", async () => {
    const person = await backends.newUser()
    const room = await person.room()
    const ids = await insert(person, room, "left(repeat(md5(n::text), 1000), 32000)", 100)
    for (const [path, order] of [
      ["?limit=100", ids.toReversed()],
      ["?limit=100&after=01980000-0000-7000-8000-000000000000", ids]
    ] as const) {
      const pages = await readPages<{ id: string; content: string }>(person, `/chatroom/${room}/messages${path}`)
      assert.deepStrictEqual(
        pages.flat().map(({ id }) => id),
        order
      )
      for (const page of pages) assert.isBelow(bytesOf(page), 1_048_576 + 32_000)
      assert.strictEqual(pages.length, 4)
    }
    const { messages } = (await person.call("GET", `/chatroom/${room}`)).body
    assert.deepStrictEqual(
      messages.map(({ id }: { id: string }) => id),
      ids.slice(-33)
    )
    assert.strictEqual((await person.call("GET", `/chatroom/${room}/export?branch=all`)).body.messages.length, 100)
  })
})

describe("GET /search", () => {
  it("reads 8 MiB of text at a time, and the next cursor goes on", async () => {
    const person = await backends.newUser()
    const room = await person.room()
    const [oldest] = await insert(
      person,
      room,
      "case n when 1 then 'A Needle.' else 'a' || left(repeat(md5(n::text), 1000), 31999) end",
      300
    )
    const first = await person.call("GET", "/search?q=needle")
    assert.deepStrictEqual([first.body.data, first.body.hasMore], [[], true])
    const pages = await readPages<{ id: string }>(person, "/search?q=needle")
    assert.deepStrictEqual(
      pages.flat().map(({ id }) => id),
      [oldest]
    )
    const common = await readPages<{ id: string; content: string }>(person, "/search?q=a&limit=100")
    assert.strictEqual(common.flat().length, 300)
    for (const page of common) assert.isBelow(bytesOf(page), 1_048_576 + 32_000)
  })

  it("reads 10,000 messages at a time", async () => {
    const person = await backends.newUser()
    const room = await person.room()
    const [oldest] = await insert(person, room, "case n when 1 then 'A Needle.' else 'hay' end", 10_002)
    const pages = await readPages<{ id: string }>(person, "/search?q=needle")
    assert.deepStrictEqual(
      pages.map((page) => page.map(({ id }) => id)),
      [[], [oldest]]
    )
  })

  it("matches both spellings of a word, composed and decomposed, in texts and titles", async () => {
    const person = await backends.newUser()
    for (const form of ["NFC", "NFD"]) {
      const room = await person.room({ title: `Crème brûlée ${form}`.normalize(form) })
      await insert(person, room, "''", 0)
      await person.ask(room, `[[say Nothing.]] Where is the Café ÉTOILE? ${form}`.normalize(form), { wait: 20 })
    }
    // As some keyboards write it: neither composed nor decomposed.
    await person.ask(await person.room(), "[[say Nothing.]] Vi\u00ea\u0323t Nam", { wait: 20 })
    assert.strictEqual((await person.call("GET", `/search?q=${encodeURIComponent("vi\u1ec7t")}`)).body.data.length, 1)
    for (const form of ["NFC", "NFD"]) {
      const found = await person.call("GET", `/search?q=${encodeURIComponent("café étoile".normalize(form))}`)
      assert.strictEqual(found.body.data.length, 2, form)
      for (const { snippet } of found.body.data) assert.include(snippet.normalize("NFC"), "Café ÉTOILE?")
      const rooms = await person.call("GET", `/chatroom?q=${encodeURIComponent("CRÈME BRÛLÉE".normalize(form))}`)
      assert.strictEqual(rooms.body.data.length, 2, form)
    }
  })
})

describe("a room's title", () => {
  it.each([
    [" "],
    ["\t \n"],
    ["\u200b"],
    ["\u00a0\u2003\u3000"],
    ["\ufeff\u2060\u200d"],
    ["\u00ad"],
    ["\u3164"],
    ["\u2800"],
    ["\u0301"]
  ])("that shows nothing is refused: %j", async (title) => {
    const person = await backends.newUser()
    const refused = await person.call("POST", "/chatroom", { title })
    assert.deepStrictEqual([refused.status, refused.body.errors?.[0]?.path], [400, "/title"])
    const room = await person.room()
    assert.strictEqual((await person.call("PATCH", `/chatroom/${room}`, { title })).status, 400)
  })

  it.each([["."], ["字"], ["👩‍👩‍👧"], [" x "], ["नि"], ["e\u0301"]])("that shows something is taken: %j", async (title) => {
    const person = await backends.newUser()
    assert.strictEqual((await person.call("POST", "/chatroom", { title })).status, 201)
  })
})

describe("the cached list of rooms", () => {
  it("keeps 1 MiB of a user's pages at most, so that no user evicts the others", async () => {
    const person = await backends.newUser()
    await times(40, () => person.room({ systemPrompt: "🌊".repeat(8_000) })).reduce(async (before, room) => {
      await before
      await room
    }, Promise.resolve())
    const from = async (limit: number) =>
      (await person.call("GET", `/chatroom?limit=${limit}`)).headers.get("cache-status")?.replace("chatrooms; ", "")
    assert.deepStrictEqual([await from(20), await from(20)], ["fwd=miss", "hit"])
    assert.deepStrictEqual([await from(40), await from(40)], ["fwd=miss", "fwd=miss"])
    assert.deepStrictEqual(
      [await from(10), await from(10), await from(19), await from(10)],
      ["fwd=miss", "hit", "fwd=miss", "hit"]
    )
    assert.strictEqual(await from(20), "fwd=miss")
  })
})

describe("a user's heavy reads", () => {
  let locker: pg.Client
  beforeEach(async () => {
    locker = new pg.Client({ connectionString: backends.database.url })
    await locker.connect()
  })
  afterEach(() => locker.end())

  /** Blocks every statement that reads the table until the returned function is called. */
  const lock = async (table: string) => {
    await locker.query("begin")
    await locker.query(`lock table ${table} in access exclusive mode`)
    return () => locker.query("rollback")
  }
  /** Statements of heavy reads that wait for the lock. The process's own sweeps wait, too. */
  const blocked = async () => {
    const [row] = await backends.database.query<{ count: number }>(
      `select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
        and (query like '%octet_length%' or query like '%array_to_string(m.context_ids%')`
    )
    return row?.count ?? 0
  }
  const metric = async (name: string) => {
    const { text } = await backends
      .newUser()
      .then((person) => person.call("GET", "/metrics", undefined, { authorization: "Bearer operator" }))
    return Number(new RegExp(`^${name.replaceAll(/[{}]/g, "\\$&")} (\\d+)`, "m").exec(text)?.[1])
  }
  const inARoom = async () => {
    const person = await backends.newUser()
    const room = await person.room()
    const sent = await person.ask(room, "[[say ok]] How many at once?", { wait: 20 })
    return { person, room, reply: sent.body.reply.id }
  }

  it.each([
    ["two searches", 2, () => "/search?q=once"],
    ["one context", 1, (room: string, reply: string) => `/chatroom/${room}/message/${reply}/context`],
    ["one export of a room", 1, (room: string) => `/chatroom/${room}/export?branch=all`]
  ])("run %s at once; the rest wait without a slot, then get 429", async (_, atOnce, path) => {
    const { person, reply, room } = await inARoom()
    const letGo = await lock("messages")
    const answers = times(30, () => person.call("GET", path(room, reply)))
    await until(`${atOnce} statements`, async () => (await blocked()) === atOnce)
    await until("waiting requests", async () => (await metric('chat_requests_in_progress{activity="waiting"}')) > 0)
    assert.isAtMost(await metric('chat_requests_in_progress{activity="working"}'), atOnce)
    const refused = (await Promise.all(answers.map((answer) => Promise.race([answer, sleep(4_500)])))).flatMap(
      (answer) => answer ?? []
    )
    assert.strictEqual(await blocked(), atOnce)
    assert.deepStrictEqual(countStatuses(refused), { 429: 30 - atOnce })
    for (const { body, headers } of refused) {
      assert.deepStrictEqual([body.code, headers.get("retry-after")], ["too_many_requests", "1"])
    }
    await letGo()
    assert.deepStrictEqual(countStatuses(await Promise.all(answers)), { 200: atOnce, 429: 30 - atOnce })
    assert.deepStrictEqual(countStatuses(await Promise.all(times(4, () => person.call("GET", path(room, reply))))), { 200: 4 })
  })

  it.each([
    ["search", () => "/search?q=once"],
    ["context", (room: string, reply: string) => `/chatroom/${room}/message/${reply}/context`]
  ])("end when their client has gone: %s", async (_, path) => {
    const { person, reply, room } = await inARoom()
    const letGo = await lock("messages")
    const signal = AbortSignal.timeout(500)
    const url = `${backends.urls[0]}${path(room, reply)}`
    const gone = fetch(url, { signal, headers: { authorization: `Bearer ${person.token}` } }).catch(() => "gone")
    await until("a statement", async () => (await blocked()) === 1)
    assert.strictEqual(await gone, "gone")
    // The lock is still held: only an interrupted statement has ended.
    await until("its end", async () => (await blocked()) === 0, { seconds: 5 })
    await letGo()
    assert.strictEqual((await person.call("GET", path(room, reply))).status, 200)
  })

  it("give an export's turn back when its client has gone, and for HEAD", async () => {
    const { person, room } = await inARoom()
    await insert(person, room, "left(repeat(md5(n::text), 1000), 32000)", 1500)
    for (const path of [`/chatroom/${room}/export?branch=all`, "/user/me/export"]) {
      // Not compressed, so that the rest does not fit into the buffers on the way.
      const headers = { authorization: `Bearer ${person.token}`, "accept-encoding": "identity" }
      const response = await fetch(`${backends.urls[0]}${path}`, { headers })
      assert.strictEqual(response.status, 200)
      const reader = response.body?.getReader()
      await reader?.read()
      assert.strictEqual((await person.call("GET", path)).status, 429, path)
      await reader?.cancel()
      assert.strictEqual((await person.call("HEAD", path)).status, 200)
      assert.strictEqual((await person.call("GET", path)).status, 200)
    }
  })

  it("stream the head of an account's export, with every event of the account", async () => {
    const { person } = await inARoom()
    await backends.database.query(
      "insert into auth_events (user_id, id, kind) select $1, gen_random_uuid(), 'logout' from generate_series(1, 2500)",
      [person.userId]
    )
    const letGo = await lock("auth_events")
    const response = await fetch(`${backends.urls[0]}/user/me/export`, { headers: { authorization: `Bearer ${person.token}` } })
    const reader = response.body?.getReader()
    const first = new TextDecoder().decode((await reader?.read())?.value)
    assert.match(first, /^\{"user":\{"id":/)
    await letGo()
    await reader?.cancel()
    const { body } = await person.call("GET", "/user/me/export")
    const kinds = body.authEvents.map(({ kind }: { kind: string }) => kind)
    assert.deepStrictEqual([kinds.length, kinds.filter((kind: string) => kind === "logout").length], [2_501, 2_500])
    assert.deepStrictEqual(Object.keys(body), [
      "user",
      "sessions",
      "apiKeys",
      "authEvents",
      "shares",
      "subscriptions",
      "usage",
      "files",
      "summaries",
      "chatrooms"
    ])
    assert.deepStrictEqual(Object.keys(body.authEvents[0]), ["kind", "sessionId", "address", "userAgent", "at"])
  })
})
