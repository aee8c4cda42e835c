import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import type { Person } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { quickest } from "../support/measure.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { atEveryBackend, startBackends, type TestBackends } from "../support/TestBackends.ts"
import { countStatuses, faultPaths, isPresent, isoTime, nextLink, readPages, unknownId, uuidV7 } from "../support/responses.ts"

// Most of these tests mainly wait, so they run together; those that measure time run alone.
vi.setConfig({ maxConcurrency: 20 })

let backends: TestBackends

beforeAll(async () => {
  // The first process has no worker: its waiting clients are woken by the other process.
  backends = await startBackends({ ROLE: "api" }, {})
})
afterAll(() => backends.stop())

const slow = "[[chunks 100 delay 100]]"

const problem = (reply: { status: number; text: string; body: { code?: string } }, status: number, code: string) =>
  assert.deepEqual([reply.status, reply.body?.code], [status, code], reply.text)

/** Everything of this user that a rejected request must not change. */
const stored = async ({ userId }: Person) =>
  (
    await backends.database.query(
      `select (select count(*)::int from messages where user_id = u.id) as messages,
         (select count(*)::int from idempotency_keys where user_id = u.id) as keys,
         (select coalesce(sum(used), 0)::int from usage_daily d where d.quota_key = u.quota_key) as used,
         (select coalesce(sum(prompts), 0)::int from usage_daily d where d.quota_key = u.quota_key) as prompts,
         (select coalesce(sum(unfinished), 0)::int from chatrooms c where c.user_id = u.id) as unfinished
       from users u where u.id = $1`,
      [userId]
    )
  )[0]

/** The fields of a Message in the contract. */
const members = [
  "id",
  "chatroomId",
  "role",
  "content",
  "status",
  "replyTo",
  "attempt",
  "finishReason",
  "truncated",
  "error",
  "model",
  "usage",
  "createdAt",
  "completedAt"
]
const named = (message: Record<string, unknown>) => Object.fromEntries(members.map((name) => [name, message[name]]))

const nextMidnight = () => new Date((Math.floor(Date.now() / 86_400_000) + 1) * 86_400_000)

describe.concurrent("sending a question", () => {
  it("returns 202 with the question, its queued reply and the quota", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const { body, headers, status } = await ada.ask(room, `${slow} What is a fjord?`)
    assert.strictEqual(status, 202)
    const unanswered = {
      chatroomId: room,
      attempt: 0,
      finishReason: null,
      truncated: false,
      error: null,
      model: null,
      usage: null
    }
    assert.deepEqual(
      { ...body, message: named(body.message), reply: named(body.reply) },
      {
        message: {
          ...unanswered,
          id: body.message.id,
          role: "user",
          content: `${slow} What is a fjord?`,
          status: "completed",
          replyTo: null,
          createdAt: body.message.createdAt,
          completedAt: body.message.createdAt
        },
        reply: {
          ...unanswered,
          id: body.reply.id,
          role: "model",
          content: "",
          status: "queued",
          replyTo: body.message.id,
          createdAt: body.message.createdAt,
          completedAt: null
        },
        quota: { limit: 5, used: 1, remaining: 4, resetsAt: nextMidnight().toISOString(), budget: null }
      }
    )
    assert.match(body.message.id, uuidV7)
    assert.match(body.reply.id, uuidV7)
    assert.isTrue(body.message.id < body.reply.id)
    assert.match(body.message.createdAt, isoTime)
    assert.strictEqual(headers.get("location"), `/chatroom/${room}/message/${body.reply.id}`)
    assert.strictEqual(headers.get("retry-after"), "1")
    assert.isNull(headers.get("idempotent-replayed"))
    assert.strictEqual(headers.get("ratelimit-policy"), '"daily";q=5;w=86400')
    const [, left, seconds] = /^"daily";r=(\d+);t=(\d+)$/.exec(headers.get("ratelimit") ?? "") ?? []
    assert.strictEqual(left, "4")
    assert.approximately(Number(seconds), (nextMidnight().getTime() - Date.now()) / 1000, 3)
    assert.strictEqual(await usedToday(ada), 1)
    const found = await ada.call("GET", headers.get("location") ?? "")
    assert.deepEqual([found.status, found.body.id], [200, body.reply.id])
  })

  it("takes from the day's quota, across all rooms", async () => {
    const ada = await backends.newUser()
    const rooms = [await ada.room(), await ada.room()]
    for (const used of [1, 2, 3, 4, 5]) {
      const sent = await ada.ask(rooms[used % 2] ?? "", `question ${used}`, { wait: 10 })
      assert.deepEqual(sent.body.quota, {
        limit: 5,
        used,
        remaining: 5 - used,
        resetsAt: nextMidnight().toISOString(),
        budget: null
      })
      assert.match(sent.headers.get("ratelimit") ?? "", new RegExp(`^"daily";r=${5 - used};t=`))
    }
  })

  it("updates the room's activity and stores the content unchanged", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const content = "  \u200b«Zażółć» 🌊👩‍👩‍👧 \r\n\t日本 \u202egnirts\u202c <b>&amp;</b> \\u0000 ${x} %00 '; --  "
    const sent = await ada.ask(room, content, { wait: 10 })
    assert.strictEqual(sent.body.message.content, content)
    const found = (await ada.call("GET", `/chatroom/${room}`)).body
    assert.strictEqual(found.messages[0].content, content)
    assert.isAtLeast(Date.parse(found.lastMessageAt), Date.parse(sent.body.message.createdAt))
    assert.deepEqual(turnsOf(callsAbout(backends, "Zażółć")[0]), [`user: ${content}`])
  })

  it("accepts 1 to 32,000 characters, counted in code points", async () => {
    const ada = await backends.newUser()
    await backends.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [ada.userId])
    const room = await ada.room()
    for (const content of ["x", "🌊".repeat(32_000), "x".repeat(32_000), "\u0001", "字".repeat(32_000)]) {
      const sent = await ada.ask(room, content, { wait: 10 })
      assert.strictEqual(sent.status, 201, content.slice(0, 5))
      assert.strictEqual(sent.body.message.content, content)
      assert.strictEqual(sent.body.quota.limit, 1000)
    }
  })

  it("rejects empty, blank, too long and ill-formed content, and stores nothing", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const before = await stored(ada)
    const bad: ReadonlyArray<unknown> = [
      "",
      " ",
      " \n\t\r ",
      "\u00a0\u2003\ufeff",
      "x".repeat(32_001),
      "🌊".repeat(32_001),
      "a\u0000b",
      "\ud800",
      "a\udc00b",
      null,
      7,
      {},
      ["x"],
      true
    ]
    for (const content of bad) {
      const refused = await ada.call("POST", `/chatroom/${room}/message`, { content }, { "idempotency-key": "bad" })
      problem(refused, 400, "validation_failed")
      assert.deepEqual(faultPaths(refused), ["/content"])
    }
    assert.deepEqual(faultPaths(await ada.call("POST", `/chatroom/${room}/message`, {})), ["/content"])
    problem(await ada.call("POST", `/chatroom/${room}/message`, '{"content":'), 400, "bad_json")
    problem(await ada.call("POST", `/chatroom/${room}/message`, { content: "x".repeat(256 * 1024) }), 413, "payload_too_large")
    problem(await ada.ask(unknownId, "hello", { key: "bad" }), 404, "chatroom_not_found")
    assert.deepEqual(await stored(ada), before)
    const good = await ada.ask(room, "hello", { key: "bad" })
    assert.deepEqual([good.status, good.headers.get("idempotent-replayed")], [202, null])
  })

  it("ignores unknown fields and does not store them", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const sent = await ada.call("POST", `/chatroom/${room}/message`, {
      content: "hi",
      role: "model",
      status: "failed",
      id: unknownId,
      evil: "mallory"
    })
    assert.deepEqual([sent.status, sent.body.message.role, sent.body.message.status], [202, "user", "completed"])
    assert.notStrictEqual(sent.body.message.id, unknownId)
    const [row] = await backends.database.query<{ all: string }>(
      "select jsonb_agg(m)::text as all from messages m where user_id = $1",
      [ada.userId]
    )
    assert.notInclude(row?.all, "mallory")
  })
})

describe("waiting for the reply", () => {
  it("returns 201 with the ended reply promptly, on any process", async () => {
    for (const index of backends.urls.keys()) {
      const ada = await backends.newUser()
      const person = atEveryBackend(backends, ada)[index] ?? assert.fail()
      const room = await ada.room()
      const path = `/chatroom/${room}/message`
      const took = await quickest(async () => {
        const sent = await person.call("POST", `${path}?wait=20`, { content: `[[latency 300]] [[say Done ${index}.]] now` })
        assert.deepEqual([sent.status, sent.body.reply.status, sent.body.reply.content], [201, "completed", `Done ${index}.`])
        assert.isNull(sent.headers.get("retry-after"))
        assert.strictEqual(sent.headers.get("location"), `${path}/${sent.body.reply.id}`)
        assert.deepEqual((await ada.call("GET", `${path}/${sent.body.reply.id}`)).body, sent.body.reply)
      })
      assert.isAtLeast(took, 300)
      assert.isBelow(took, 1_500)
      const preferred = await person.call("POST", path, { content: "[[say Again.]] again" }, { prefer: "respond-async, wait=10" })
      assert.deepEqual([preferred.status, preferred.body.reply.content], [201, "Again."])
    }
  })

  it("returns 202 on timeout, without delay", async () => {
    const ada = await backends.newUser()
    const waits = [
      ["?wait=1", {}],
      ["", { prefer: "wait=1" }]
    ] as const
    await Promise.all(
      waits.map(async ([query, headers]) => {
        const room = await ada.room()
        const began = Date.now()
        const sent = await ada.call("POST", `/chatroom/${room}/message${query}`, { content: `${slow} patience` }, headers)
        const took = Date.now() - began
        assert.deepEqual([sent.status, sent.headers.get("retry-after")], [202, "1"])
        assert.isAtLeast(took, 1_000)
        assert.isBelow(took, 8_000)
        await ada.call("DELETE", `/chatroom/${room}`)
      })
    )
    const room = await ada.room()
    const began = Date.now()
    for (const [query, prefer] of [
      ["?wait=0", "wait=9"],
      ["", "wait=soon"],
      ["", "handling=strict"]
    ] as const) {
      assert.strictEqual(
        (await ada.call("POST", `/chatroom/${room}/message${query}`, { content: `${slow} hasty` }, { prefer })).status,
        202
      )
    }
    assert.isBelow(Date.now() - began, 8_000)
    await ada.call("DELETE", `/chatroom/${room}`)
  })

  it("accepts at most 30 whole seconds", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const wait of ["31", "-1", "1.5", "soon", "NaN"]) {
      const refused = await ada.call("POST", `/chatroom/${room}/message?wait=${wait}`, { content: "hello" })
      assert.deepEqual([refused.status, ...faultPaths(refused)], [400, "query.wait"], wait)
      for (const path of ["latest", `message/${unknownId}`]) {
        assert.deepEqual(faultPaths(await ada.call("GET", `/chatroom/${room}/${path}?wait=${wait}`)), ["query.wait"])
      }
    }
    assert.strictEqual(await usedToday(ada), 0)
    assert.strictEqual((await ada.ask(room, "hello", { wait: 30 })).status, 201)
    assert.strictEqual(
      (await ada.call("POST", `/chatroom/${room}/message`, { content: "hello" }, { prefer: "wait=9999" })).status,
      201
    )
  })

  it("ends promptly when the reply fails", async () => {
    const ada = await backends.newUser()
    const took = await quickest(async () => {
      const sent = await ada.ask(await ada.room(), "[[latency 200]] [[blocked]] never", { wait: 20 })
      assert.deepEqual([sent.status, sent.body.reply.status, sent.body.reply.error.code], [201, "failed", "blocked"])
    })
    assert.isBelow(took, 1_500)
  })
})

describe.concurrent("the daily quota", () => {
  it("rejects the sixth prompt with 429, when it resets, and where to upgrade", async () => {
    const ada = await backends.newUser()
    for (const index of [1, 2, 3, 4, 5]) await ada.ask(await ada.room(), `question ${index}`)
    const before = await stored(ada)
    const refused = await ada.ask(await ada.room(), "one more", { key: "sixth" })
    problem(refused, 429, "quota_exceeded")
    const { requestId, upgradeUrl } = refused.body
    const seconds = Number(refused.headers.get("retry-after"))
    const { detail, retryAfter: _, title, type, ...rest } = refused.body
    assert.deepEqual(rest, {
      status: 429,
      code: "quota_exceeded",
      requestId,
      limit: 5,
      resetsAt: nextMidnight().toISOString(),
      upgradeUrl
    })
    for (const text of [detail, title, type]) assert.isNotEmpty(text)
    assert.strictEqual(requestId, refused.headers.get("x-request-id"))
    assert.match(upgradeUrl, /^http.+\/subscribe\/pro$/)
    assert.strictEqual(refused.headers.get("content-type"), "application/problem+json")
    assert.approximately(seconds, (nextMidnight().getTime() - Date.now()) / 1000, 3)
    assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/)
    assert.strictEqual(refused.headers.get("ratelimit-policy"), '"daily";q=5;w=86400')
    assert.match(refused.headers.get("ratelimit") ?? "", /^"daily";r=0;t=\d+$/)
    assert.deepEqual({ ...(await stored(ada)), unfinished: 0 }, { ...before, unfinished: 0 })
    assert.strictEqual(await usedToday(ada), 5)
  })

  it("accepts exactly five of two hundred parallel sends to two processes", async () => {
    const ada = await backends.newUser()
    const rooms = await Promise.all(times(50, () => ada.room()))
    const people = atEveryBackend(backends, ada)
    const replies = await Promise.all(
      times(200, (index) => (people[index % 2] ?? ada).ask(rooms[index % 50] ?? "", `crowd ${index}`))
    )
    assert.deepEqual(countStatuses(replies), { 202: 5, 429: 195 })
    assert.deepEqual(
      replies
        .filter(({ status }) => status === 202)
        .map(({ body }) => body.quota.used)
        .toSorted(),
      [1, 2, 3, 4, 5]
    )
    const { messages, prompts, used } = (await stored(ada)) ?? {}
    assert.deepEqual([messages, prompts, used], [10, 5, 5])
    await Promise.all(replies.filter(({ status }) => status === 202).map((sent) => awaitEnd(ada, sent)))
    assert.deepEqual(await stored(ada), { messages: 10, keys: 0, used: 5, prompts: 5, unfinished: 0 })
  })

  it("resets at midnight UTC", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const index of [1, 2, 3, 4, 5]) await ada.ask(room, `question ${index}`, { wait: 10 })
    problem(await ada.ask(room, "too many"), 429, "quota_exceeded")
    await backends.database.query(
      "update usage_daily set day = day - 1 where quota_key = (select quota_key from users where id = $1)",
      [ada.userId]
    )
    const sent = await ada.ask(room, "a new day", { wait: 10 })
    assert.deepEqual([sent.status, sent.body.quota.used, sent.body.quota.remaining], [201, 1, 4])
    assert.strictEqual(await usedToday(ada), 1)
  })

  it("is a thousand for Pro, and five again when Pro ends", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const pro = (interval: string) =>
      backends.database.query("update users set pro_until = now() + $2::interval where id = $1", [ada.userId, interval])
    await pro("1 hour")
    for (const index of times(6, (index) => index)) {
      const sent = await ada.ask(room, `question ${index}`, { wait: 10 })
      assert.deepEqual([sent.status, sent.body.quota.limit, sent.body.quota.remaining], [201, 1000, 999 - index])
    }
    await pro("-1 second")
    const refused = await ada.ask(room, "as Basic")
    assert.deepEqual([refused.status, refused.body.limit], [429, 5])
    assert.strictEqual(await usedToday(ada), 6)
  })
})

describe.concurrent("the idempotency key of a question", () => {
  it("asks once for fifty parallel requests to two processes, and replays the others", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const people = atEveryBackend(backends, ada)
    const replies = await Promise.all(times(50, (index) => (people[index % 2] ?? ada).ask(room, "ask me once", { key: "fifty" })))
    assert.deepEqual(countStatuses(replies), { 202: 50 })
    assert.strictEqual(new Set(replies.map(({ text }) => text)).size, 1)
    assert.strictEqual(new Set(replies.map(({ headers }) => headers.get("location"))).size, 1)
    assert.strictEqual(replies.filter(({ headers }) => headers.get("idempotent-replayed") === "true").length, 49)
    for (const { headers } of replies)
      assert.deepEqual([headers.get("retry-after"), headers.get("ratelimit-policy")], ["1", '"daily";q=5;w=86400'])
    const [first] = replies
    assert.isDefined(first)
    await awaitEnd(ada, first)
    assert.deepEqual(await stored(ada), { messages: 2, keys: 1, used: 1, prompts: 1, unfinished: 0 })
    assert.strictEqual(callsAbout(backends, "ask me once").length, 1)
  })

  it("replays the first response: the ended reply after 201, the queued one after 202", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const finished = () => ada.ask(room, "wait for it", { wait: 10, key: "finished" })
    const first = await finished()
    const again = await finished()
    assert.deepEqual([first.status, again.status], [201, 201])
    assert.strictEqual(again.text, first.text)
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    assert.isNull(again.headers.get("retry-after"))
    const accepted = await ada.ask(room, "do not wait", { key: "accepted" })
    await awaitEnd(ada, accepted)
    const late = await ada.ask(room, "do not wait", { key: "accepted", wait: 10 })
    assert.deepEqual([late.status, late.text], [202, accepted.text])
  })

  it("is rejected with other content or in another room, and stores nothing", async () => {
    const ada = await backends.newUser()
    const [room, other] = [await ada.room(), await ada.room()]
    await ada.ask(room, "one", { wait: 10, key: "k" })
    const before = await stored(ada)
    problem(await ada.ask(room, "two", { key: "k" }), 422, "idempotency_key_reused")
    problem(await ada.ask(room, "one ", { key: "k" }), 422, "idempotency_key_reused")
    problem(await ada.ask(other, "one", { key: "k" }), 422, "idempotency_key_reused")
    assert.deepEqual(await stored(ada), before)
  })

  it("asks in one room when two rooms use it in parallel", async () => {
    const ada = await backends.newUser()
    const rooms = [await ada.room(), await ada.room()]
    const people = atEveryBackend(backends, ada)
    for (const round of [1, 2, 3, 4, 5]) {
      const replies = await Promise.all(
        times(12, (index) => (people[index % 2] ?? ada).ask(rooms[(index >> 1) % 2] ?? "", "either", { key: `k${round}` }))
      )
      assert.deepEqual(countStatuses(replies), { 202: 6, 422: 6 })
      assert.strictEqual(replies.filter(({ headers }) => headers.get("idempotent-replayed") === "true").length, 5)
      assert.strictEqual(await usedToday(ada), round)
      for (const sent of replies) if (sent.status === 202) await awaitEnd(ada, sent)
    }
  })

  it("is separate by user", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const [adas, bobs] = await Promise.all(
      [ada, bob].map(async (person) => person.ask(await person.room(), "same", { key: "shared" }))
    )
    assert.deepEqual([adas?.status, bobs?.status], [202, 202])
    assert.notStrictEqual(adas?.body.reply.id, bobs?.body.reply.id)
    assert.deepEqual(
      [adas, bobs].filter(isPresent).map(({ headers }) => headers.get("idempotent-replayed")),
      [null, null]
    )
    assert.deepEqual([await usedToday(ada), await usedToday(bob)], [1, 1])
  })

  it("replays also when the quota is used up or the room is busy", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const first = await ada.ask(room, `${slow} keyed`, { key: "first" })
    for (const index of [2, 3, 4]) await ada.ask(room, `question ${index}`)
    problem(await ada.ask(room, "fifth", { key: "fifth" }), 409, "room_busy")
    const replayed = await ada.ask(room, `${slow} keyed`, { key: "first" })
    assert.deepEqual([replayed.status, replayed.text], [202, first.text])
    await ada.ask(await ada.room(), "the last of the day")
    problem(await ada.ask(await ada.room(), "sixth", { key: "sixth" }), 429, "quota_exceeded")
    const again = await ada.ask(room, `${slow} keyed`, { key: "first" })
    assert.deepEqual([again.status, again.text, again.headers.get("idempotent-replayed")], [202, first.text, "true"])
    const [keys] = await backends.database.query<{ count: number }>(
      "select count(*)::int from idempotency_keys where user_id = $1",
      [ada.userId]
    )
    assert.strictEqual(keys?.count, 1)
    assert.strictEqual(await usedToday(ada), 5)
    await ada.call("DELETE", `/chatroom/${room}`)
  })

  it("expires after 24 hours, and must have 1 to 255 characters", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const key = "k".repeat(255)
    const first = await ada.ask(room, "daily", { wait: 10, key })
    await backends.database.query(
      "update idempotency_keys set created_at = created_at - interval '24 hours 1 second' where user_id = $1",
      [ada.userId]
    )
    const second = await ada.ask(room, "another content", { key })
    assert.deepEqual([second.status, second.headers.get("idempotent-replayed")], [202, null])
    assert.notStrictEqual(second.body.reply.id, first.body.reply.id)
    assert.strictEqual((await ada.ask(room, "another content", { key })).text, second.text)
    assert.deepEqual(faultPaths(await ada.ask(room, "x", { key: `${key}k` })), ["headers.idempotency-key"])
  })
})

describe.concurrent("a room with unanswered questions", () => {
  it("accepts four of them, and rejects a fifth as room_busy", async () => {
    const ada = await backends.newUser()
    await backends.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [ada.userId])
    const room = await ada.room()
    const people = atEveryBackend(backends, ada)
    const replies = await Promise.all(times(20, (index) => (people[index % 2] ?? ada).ask(room, `${slow} busy ${index}`)))
    assert.deepEqual(countStatuses(replies), { 202: 4, 409: 16 })
    const refused = replies.find(({ status }) => status === 409)
    assert.deepEqual([refused?.body.code, refused?.headers.get("content-type")], ["room_busy", "application/problem+json"])
    assert.deepEqual(await stored(ada), { messages: 8, keys: 0, used: 4, prompts: 4, unfinished: 4 })
    assert.strictEqual((await ada.ask(await ada.room(), "another room", { wait: 10 })).status, 201)
    await ada.call("DELETE", `/chatroom/${room}`)
  })

  it("accepts the next one as soon as one has ended", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const head = await ada.ask(room, "[[latency 60000]] first")
    await Promise.all([2, 3, 4].map((index) => ada.ask(room, `[[latency 60000]] question ${index}`)))
    problem(await ada.ask(room, "too early"), 409, "room_busy")
    await ada.call("POST", `/chatroom/${room}/message/${head.body.reply.id}/cancel`)
    await awaitEnd(ada, head)
    assert.strictEqual((await ada.ask(room, "in time")).status, 202)
    await ada.call("DELETE", `/chatroom/${room}`)
  })

  it("answers them one at a time, in order, each with the history before it", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const people = atEveryBackend(backends, ada)
    const sent = []
    for (const index of [0, 1, 2, 3])
      sent.push(
        await (people[index % 2] ?? ada).ask(room, `[[latency ${250 - index * 50}]] [[say Answer ${index}.]] ordered ${index}`)
      )
    assert.deepEqual(
      sent.map(({ body }) => body.reply.status),
      ["queued", "queued", "queued", "queued"]
    )
    for (const reply of sent) assert.strictEqual((await awaitEnd(ada, reply)).body.status, "completed")
    const calls = callsAbout(backends, "ordered").toSorted((one, other) => one.at - other.at)
    assert.deepEqual(
      calls.map((call) => turnsOf(call).at(-1)?.slice(-9)),
      ["ordered 0", "ordered 1", "ordered 2", "ordered 3"]
    )
    assert.deepEqual(
      calls.map((call) => turnsOf(call).length),
      [1, 3, 5, 7]
    )
    for (const [index, call] of calls.entries()) assert.isAtLeast(call.at, calls[index - 1]?.endedAt ?? 0)
    const { messages } = (await ada.call("GET", `/chatroom/${room}`)).body
    const byQuestion = sent.map(
      ({ body }) => messages.find(({ replyTo }: { replyTo: string }) => replyTo === body.message.id).content
    )
    assert.deepEqual(byQuestion, ["Answer 0.", "Answer 1.", "Answer 2.", "Answer 3."])
  })

  it("continues after a failed reply", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const sent = [
      await ada.ask(room, "[[latency 100]] [[status 400]] fails"),
      await ada.ask(room, "[[blocked]] fails too"),
      await ada.ask(room, "works")
    ]
    const replies = []
    for (const reply of sent) replies.push((await awaitEnd(ada, reply)).body.status)
    assert.deepEqual(replies, ["failed", "failed", "completed"])
  })

  it("does not delay other rooms", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const sent = await Promise.all(
      [ada, ada, bob].map(async (person) => person.ask(await person.room(), "[[latency 5000]] side by side"))
    )
    await Promise.all(sent.map((reply, index) => awaitEnd(index === 2 ? bob : ada, reply)))
    const calls = callsAbout(backends, "side by side")
    const firstEnd = Math.min(...calls.map(({ endedAt }) => endedAt ?? 0))
    assert.strictEqual(calls.length, 3)
    for (const { at } of calls) assert.isBelow(at, firstEnd)
  })
})

describe("GET /chatroom/:id/latest", () => {
  it("has nulls for an empty room", async () => {
    const ada = await backends.newUser()
    const latest = await ada.call("GET", `/chatroom/${await ada.room()}/latest?wait=5`)
    assert.deepEqual([latest.status, latest.body], [200, { message: null, reply: null }])
    assert.isNull(latest.headers.get("retry-after"))
  })

  it("has the newest question and its reply, with Retry-After until the reply ends", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ada.ask(room, "the first", { wait: 10 })
    const sent = await ada.ask(room, "[[latency 1500]] [[say Here.]] the second")
    const early = await ada.call("GET", `/chatroom/${room}/latest`)
    assert.deepEqual([early.status, early.headers.get("retry-after")], [200, "1"])
    assert.deepEqual(early.body.message, sent.body.message)
    assert.deepEqual([early.body.reply.id, early.body.reply.content], [sent.body.reply.id, ""])
    const began = Date.now()
    const settled = await ada.call("GET", `/chatroom/${room}/latest?wait=10`)
    assert.isBelow(Date.now() - began, 9_000)
    assert.deepEqual([settled.body.reply.status, settled.body.reply.content], ["completed", "Here."])
    assert.isNull(settled.headers.get("retry-after"))
    assert.match(settled.body.reply.completedAt, isoTime)
    assert.deepEqual((await ada.call("GET", `/chatroom/${room}/latest`)).text, settled.text)
  })

  it("has the last question when several are held", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ada.ask(room, `${slow} head`)
    const held = await ada.ask(room, "held")
    const latest = await ada.call("GET", `/chatroom/${room}/latest`)
    assert.deepEqual(latest.body, { message: held.body.message, reply: held.body.reply })
    await ada.call("DELETE", `/chatroom/${room}`)
  })
})

describe("GET /chatroom/:id/message/:mid", () => {
  it("returns a message by id, and waits for an unfinished reply", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const sent = await ada.ask(room, `[[latency 1500]] [[say Later.]] slow`)
    const path = `/chatroom/${room}/message/${sent.body.reply.id}`
    const question = await ada.call("GET", `/chatroom/${room}/message/${sent.body.message.id}?wait=5`)
    assert.deepEqual([question.status, question.body], [200, sent.body.message])
    assert.isNull(question.headers.get("retry-after"))
    const early = await until("the status processing", async () => {
      const found = await ada.call("GET", path)
      return found.body.status === "processing" ? found : undefined
    })
    assert.deepEqual([early.headers.get("retry-after"), early.body.attempt, early.body.completedAt], ["1", 1, null])
    const began = Date.now()
    const settled = await ada.call("GET", `${path}?wait=10`)
    assert.isBelow(Date.now() - began, 9_000)
    assert.deepEqual([settled.body.status, settled.body.content, settled.body.attempt], ["completed", "Later.", 1])
    assert.isNull(settled.headers.get("retry-after"))
  })

  it("returns the current state on timeout", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const sent = await ada.ask(room, `${slow} endless`)
    const began = Date.now()
    const found = await ada.call("GET", `/chatroom/${room}/message/${sent.body.reply.id}?wait=1`)
    const took = Date.now() - began
    assert.isAtLeast(took, 1_000)
    assert.isBelow(took, 8_000)
    assert.deepEqual([found.status, found.body.status, found.headers.get("retry-after")], [200, "processing", "1"])
    await ada.call("DELETE", `/chatroom/${room}`)
  })
})

describe.concurrent("GET /chatroom/:id/messages", () => {
  const written = async (count: number) => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const ids = times(count, (index) => uuid({ msecs: 1_800_000_000_000 + index }))
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
       select $1, id, $2, 'user', 'message ' || n, 'completed', now(), now() from unnest($3::uuid[]) with ordinality as m (id, n)`,
      [ada.userId, room, ids]
    )
    const path = `/chatroom/${room}/messages`
    const page = async (query: string): Promise<Array<string>> =>
      (await ada.call("GET", path + query)).body.data.map(({ id }: { id: string }) => id)
    return { ada, room, ids, path, page }
  }

  it("lists newest first, twenty a page, before or after a message", async () => {
    const { ada, ids, page, path } = await written(30)
    const newest = ids.toReversed()
    assert.deepEqual(await page(""), newest.slice(0, 20))
    assert.deepEqual(await page("?limit=100"), newest)
    assert.deepEqual(await page(`?before=${ids[10]}`), newest.slice(20))
    assert.deepEqual(await page(`?before=${ids[10]}&limit=3`), newest.slice(20, 23))
    assert.deepEqual(await page(`?after=${ids[10]}&limit=3`), ids.slice(11, 14))
    assert.deepEqual(await page(`?after=${ids[27]}`), ids.slice(28))
    assert.deepEqual(await page(`?after=${ids[29]}`), [])
    assert.deepEqual(await page(`?before=${ids[0]}`), [])
    for (const limit of ["0", "101", "x"])
      assert.deepEqual(faultPaths(await ada.call("GET", `${path}?limit=${limit}`)), ["query.limit"])
    for (const name of ["before", "after"])
      assert.deepEqual(faultPaths(await ada.call("GET", `${path}?${name}=1`)), [`query.${name}`])
  })

  it("pages by cursor in both directions, without gaps or duplicates", async () => {
    const { ada, ids, path } = await written(57)
    const flat = (pages: Array<Array<{ id: string }>>) => pages.flat().map(({ id }) => id)
    const back = await readPages<{ id: string }>(ada, `${path}?limit=10`)
    assert.deepEqual(
      back.map(({ length }) => length),
      [10, 10, 10, 10, 10, 7]
    )
    assert.deepEqual(flat(back), ids.toReversed())
    assert.deepEqual(flat(await readPages(ada, `${path}?limit=10&after=${ids[6]}`)), ids.slice(7))
    assert.deepEqual(flat(await readPages(ada, `${path}?limit=10&before=${ids[50]}`)), ids.slice(0, 50).toReversed())
    assert.deepEqual(flat(await readPages(ada, `${path}?limit=7&after=${ids[6]}&before=${ids[40]}`)), ids.slice(7, 40))
    const first = await ada.call("GET", `${path}?limit=50`)
    const next = await ada.call("GET", nextLink(first) ?? "")
    assert.deepEqual(flat([first.body.data, next.body.data]), ids.toReversed())
    assert.isUndefined(nextLink(next))
  })

  it("rejects a cursor of another room or user, or a forged one", async () => {
    const mine = await written(3)
    const hers = await written(3)
    const other = await mine.ada.room()
    const cursor = async ({ ada, path }: typeof mine) => (await ada.call("GET", `${path}?limit=1`)).body.nextCursor
    const own = await cursor(mine)
    const [body, mac = ""] = own.split(".")
    const bad = [await cursor(hers), `${body}x.${mac}`, `${body}.${mac.slice(1)}`, "x", ""]
    for (const value of bad) {
      const refused = await mine.ada.call("GET", `${mine.path}?cursor=${value}`)
      assert.deepEqual([refused.status, ...faultPaths(refused)], [400, "query.cursor"], value)
    }
    assert.strictEqual((await mine.ada.call("GET", `/chatroom/${other}/messages?cursor=${own}`)).status, 400)
    assert.strictEqual((await mine.ada.call("GET", `/chatroom?cursor=${own}`)).status, 400)
    assert.strictEqual((await mine.ada.call("GET", `${mine.path}?cursor=${own}`)).status, 200)
  })

  it("has an empty page for an empty room", async () => {
    const ada = await backends.newUser()
    const page = await ada.call("GET", `/chatroom/${await ada.room()}/messages`)
    assert.deepEqual([page.status, page.body], [200, { data: [], hasMore: false, nextCursor: null }])
  })
})
