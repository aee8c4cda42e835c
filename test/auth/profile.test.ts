import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator, type StripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { freePort } from "../../dev/freePort.ts"
import { freshMobile, type Person, personAt } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, peopleAt } from "./People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const webhookSecret = "whsec_of_the_profile"

let database: TestDatabase
let gemini: GeminiSimulator
let stripe: StripeSimulator
let backend: Awaited<ReturnType<typeof startBackend>>
let other: typeof backend
let people: ReturnType<typeof peopleAt>

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  const port = String(await freePort())
  stripe = await startStripeSimulator({ webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret: webhookSecret }] })
  const settings = {
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: webhookSecret,
    STRIPE_PRO_PRICE_ID: stripe.priceId,
    STRIPE_API_BASE: stripe.url,
    LOG_LEVEL: "error"
  }
  backend = await startBackend({ ...settings, PORT: port })
  other = await startBackend({ ...settings, ROLE: "api" })
  people = peopleAt(backend.url, database)
})
afterAll(async () => {
  await Promise.all([backend.stop(), other.stop()])
  await Promise.all([stripe.stop(), gemini.stop()])
  await database.drop()
})

const elsewhere = (person: Person) => personAt(other.url, person)
const me = async (person: Person) => (await person.call("GET", "/user/me")).body
const statusOf = async (person: Person) => (await person.call("GET", "/user/me")).status
const patch = (person: Person, body: unknown) => person.call("PATCH", "/user/me", body)
const remove = (person: Person) => person.call("DELETE", "/user/me")
const count = async (table: string, userId: string) =>
  (
    await database.query<{ count: number }>(
      `select count(*)::int from ${table} where ${table === "users" ? "id" : "user_id"} = $1`,
      [userId]
    )
  )[0]?.count

describe("a profile", () => {
  it("accepts a name and an e-mail address, alone or together; null removes one", async () => {
    const ada = await people.enter()
    const both = await patch(ada, { name: "Ada", email: "ada@example.com" })
    assert.strictEqual(both.status, 200)
    assert.deepStrictEqual(both.body, await me(ada))
    assert.deepInclude(both.body, { name: "Ada", email: "ada@example.com" })
    assert.deepInclude((await patch(ada, { name: "Countess" })).body, { name: "Countess", email: "ada@example.com" })
    assert.deepInclude((await patch(ada, { email: null })).body, { name: "Countess", email: null })
    assert.deepInclude((await patch(ada, { name: null, email: "a@b.co" })).body, { name: null, email: "a@b.co" })
    assert.deepInclude((await patch(ada, {})).body, { name: null, email: "a@b.co" })
    assert.deepInclude(await me(ada), { name: null, email: "a@b.co" })
  })

  it("is current at once at every process, even if it was just read there", async () => {
    const ada = await people.enter()
    for (const n of times(5, (index) => index)) {
      await me(elsewhere(ada))
      await patch(n % 2 === 0 ? ada : elsewhere(ada), { name: `Ada ${n}` })
      for (const person of [ada, elsewhere(ada)]) await until("the name", async () => (await me(person)).name === `Ada ${n}`)
    }
  })

  it.each([
    ["/name", { name: "" }],
    ["/name", { name: "x".repeat(101) }],
    ["/name", { name: 7 }],
    ["/name", { name: "a\u0000b" }],
    ["/name", { name: "\ud800" }],
    ["/name", { name: ["Ada"] }],
    ["/email", { email: "" }],
    ["/email", { email: "ada" }],
    ["/email", { email: "ada@example.com\r\nBcc: all@example.com" }],
    ["/email", { email: `${"a".repeat(250)}@b.co` }],
    ["/email", { email: { $ne: null } }]
  ])("refuses what does not fit: %s of %j", async (path, body) => {
    const ada = await people.enter()
    const reply = await patch(ada, { name: "Mallory", email: "m@example.com", ...body })
    assertProblem(reply, 400, "validation_failed")
    assert.deepStrictEqual(
      reply.body.errors.map((error: { path: string }) => error.path),
      [path]
    )
    assert.deepInclude(await me(ada), { name: null, email: null })
  })

  it("takes a name of a hundred characters of any kind", async () => {
    const ada = await people.enter()
    assert.strictEqual((await patch(ada, { name: "😀".repeat(100) })).body.name, "😀".repeat(100))
    assertProblem(await patch(ada, { name: "😀".repeat(101) }), 400, "validation_failed")
  })

  it("ignores all other fields", async () => {
    const ada = await people.enter()
    const before = await me(ada)
    const attempt = {
      id: "01980000-0000-7000-8000-000000000000",
      mobile: freshMobile(),
      tier: "pro",
      proUntil: "2099-01-01T00:00:00.000Z",
      pro_until: "2099-01-01",
      status: "pending",
      hasPassword: true,
      passwordHash: "x",
      quota: { limit: null },
      quotaKey: "x",
      createdAt: "1999-01-01T00:00:00.000Z",
      chatrooms: -5,
      isRecovery: true
    }
    assert.deepStrictEqual((await patch(ada, attempt)).body, before)
    await database.query("select pg_notify('changed', 'sessions:' || $1)", [ada.userId])
    assert.deepStrictEqual(await me(ada), before)
  })
})

describe("deleting an account", () => {
  it("is 204, deletes all data, and ends every token at once at every process", async () => {
    const [ada, bob] = [await people.enter(), await people.enter()]
    const phone = await people.enter(ada.mobile)
    const room = await ada.room({ title: "Sky" })
    assert.strictEqual((await ada.ask(room, "[[say blue]] What colour?", { wait: 10, key: "k" })).status, 201)
    await ada.call("POST", "/chatroom", { title: "Keyed" }, { "idempotency-key": "k" })
    const bobsRoom = await bob.room()
    for (const person of [ada, phone])
      assert.deepStrictEqual([await statusOf(person), await statusOf(elsewhere(person))], [200, 200])
    const done = await remove(ada)
    assert.strictEqual(`${done.status}${done.text}`, "204")
    for (const person of [ada, phone]) {
      assertProblem(await person.call("GET", "/user/me"), 401, "session_revoked")
      await until("the end is known elsewhere", async () => (await statusOf(elsewhere(person))) === 401)
      assertProblem(await people.post("/auth/refresh", { refreshToken: person.refreshToken }), 401, "refresh_invalid")
    }
    for (const table of ["users", "sessions", "auth_events", "chatrooms", "messages", "idempotency_keys"]) {
      assert.strictEqual(await count(table, ada.userId), 0, table)
    }
    assert.strictEqual((await bob.call("GET", `/chatroom/${bobsRoom}`)).status, 200)
  })

  it("lets the number sign up again with a new id and no old data; today's quota stays used", async () => {
    const ada = await people.enter()
    await patch(ada, { name: "Ada" })
    for (const n of times(3, (index) => index)) await ada.ask(await ada.room(), `[[say ${n}]] ?`, { wait: 10 })
    assert.deepInclude((await me(ada)).quota, { used: 3, remaining: 2 })
    await remove(ada)
    const again = await people.enter(ada.mobile)
    assert.strictEqual(again.isNewUser, true)
    assert.notStrictEqual(again.userId, ada.userId)
    const profile = await me(again)
    assert.deepInclude(profile, { name: null, hasPassword: false, mobile: ada.mobile, tier: "basic" })
    assert.deepInclude(profile.quota, { used: 3, remaining: 2 })
    assert.lengthOf((await again.call("GET", "/chatroom")).body.data, 0)
    const room = await again.room()
    for (const status of [201, 201, 429]) assert.strictEqual((await again.ask(room, "[[say y]] ?", { wait: 10 })).status, status)
    assertProblem(await ada.call("GET", "/user/me"), 401, "session_revoked")
  })

  it("soon stops a reply in progress, at any process", async () => {
    const ada = await people.enter()
    const room = await ada.room()
    const mark = `mark ${ada.userId}`
    await ada.ask(room, `[[length 8000]] [[chunks 400 delay 100]] ${mark}`)
    const call = () => gemini.log(mark).find(({ method }) => method === "streamGenerateContent")
    await until("Gemini is asked", async () => call() !== undefined)
    assert.strictEqual((await remove(elsewhere(ada))).status, 204)
    await until("Gemini is hung up on", async () => (call() as { aborted?: boolean } | undefined)?.aborted === true)
    assert.strictEqual(await count("messages", ada.userId), 0)
  })

  it("does not harm parallel requests", async () => {
    for (const _ of times(8, (n) => n)) {
      const ada = await people.enter()
      const there = elsewhere(ada)
      const room = await ada.room()
      const replies = await Promise.all([
        patch(ada, { name: "late" }),
        there.call("POST", "/chatroom", { title: "late" }),
        remove(ada),
        ada.ask(room, "[[say late]]"),
        patch(there, { email: "a@b.co" }),
        there.call("POST", "/auth/logout", { scope: "others" }),
        remove(there),
        ada.call("POST", "/chatroom", {}, { "idempotency-key": "late" }),
        people.post("/auth/refresh", { refreshToken: ada.refreshToken }),
        ada.call("DELETE", `/auth/sessions/${ada.sid}`),
        there.call("GET", "/user/me/export")
      ])
      for (const reply of replies) assert.isBelow(reply.status, 500, reply.text)
      for (const table of ["users", "sessions", "chatrooms", "messages"])
        assert.strictEqual(await count(table, ada.userId), 0, table)
    }
  })
})

describe("deleting a subscriber's account", () => {
  const subscriber = async () => {
    const ada = await people.enter()
    const opened = await ada.call("POST", "/subscribe/pro")
    assert.strictEqual(opened.status, 201, opened.text)
    stripe.checkout({ session: opened.body.sessionId, action: "pay" })
    await until("Pro", async () => (await me(ada)).tier === "pro")
    return ada
  }
  const subscriptionOf = async (userId: string) => {
    const [row] = await database.query<{ customer_id: string }>("select customer_id from billing_customers where user_id = $1", [
      userId
    ])
    return Object.values(stripe.snapshot().state.objects.subscription ?? {}).find(
      (each) => "customer" in each && each.customer === row?.customer_id
    ) as { status: string } | undefined
  }

  it("ends the subscription at Stripe first", async () => {
    const ada = await subscriber()
    assert.strictEqual((await subscriptionOf(ada.userId))?.status, "active")
    const done = await remove(ada)
    assert.strictEqual(done.status, 204, done.text)
    assert.strictEqual((await subscriptionOf(ada.userId))?.status, "canceled")
    assert.strictEqual(await count("users", ada.userId), 0)
    const again = await people.enter(ada.mobile)
    assert.strictEqual((await me(again)).tier, "basic")
  })

  it("is 503 and deletes nothing while Stripe is down, and works again afterwards", async () => {
    const ada = await subscriber()
    const room = await ada.room()
    stripe.addFault({ kind: "status", status: 503, times: 100 })
    try {
      assertProblem(await remove(ada), 503, "billing_unavailable")
    } finally {
      stripe.clearFaults()
    }
    assert.strictEqual((await subscriptionOf(ada.userId))?.status, "active")
    assert.deepInclude(await me(ada), { tier: "pro" })
    assert.strictEqual((await elsewhere(ada).call("GET", `/chatroom/${room}`)).status, 200)
    assert.strictEqual((await remove(ada)).status, 204)
    assert.strictEqual((await subscriptionOf(ada.userId))?.status, "canceled")
  })
})

describe("an export", () => {
  it("has all stored data of the user, and no other user's", async () => {
    const [ada, bob] = [await people.enter(), await people.enter()]
    await patch(ada, { name: 'Ada "quoted" \\ \u2028 😀', email: "ada@example.com" })
    await ada.call("POST", "/auth/change-password", { newPassword: "correct horse battery" })
    await patch(bob, { name: "Bobs name" })
    await bob.ask(await bob.room({ title: "Bobs room" }), "[[say Bobs answer]] Bobs question", { wait: 10 })
    const [long, archived, empty] = [
      await ada.room({ title: "Long", systemPrompt: 'Be "brief"' }),
      await ada.room({ title: "Archived" }),
      await ada.room({ title: "Empty" })
    ]
    const asked = await ada.ask(archived, "[[say Kept.]] Keep this", { wait: 10 })
    assert.strictEqual(asked.status, 201)
    await ada.call("PATCH", `/chatroom/${archived}`, { archived: true })
    await database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
        select $1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $2, case when n % 2 = 0 then 'user' else 'model' end,
          'line ' || n || ' with "quotes" and \\ and ' || chr(8232), 'completed', now(), now() from generate_series(0, 249) n`,
      [ada.userId, long]
    )
    const reply = await elsewhere(ada).call("GET", "/user/me/export")
    assert.strictEqual(reply.status, 200)
    assert.match(reply.headers.get("content-type") ?? "", /^application\/json/)
    assert.match(reply.headers.get("content-disposition") ?? "", /^attachment/)
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    const { authEvents, chatrooms, sessions, usage, user } = reply.body
    assert.deepInclude(user, { id: ada.userId, mobile: ada.mobile, name: 'Ada "quoted" \\ \u2028 😀', email: "ada@example.com" })
    const byId = new Map<
      string,
      { messages: Array<{ content: string }>; archivedAt: string | null; systemPrompt: string | null }
    >(chatrooms.map((room: { id: string }) => [room.id, room]))
    assert.deepStrictEqual([...byId.keys()].sort(), [long, archived, empty].sort())
    assert.deepStrictEqual(
      byId.get(long)?.messages.map(({ content }) => content),
      times(250, (n) => `line ${n} with "quotes" and \\ and \u2028`)
    )
    assert.strictEqual(byId.get(long)?.systemPrompt, 'Be "brief"')
    assert.deepStrictEqual(
      byId.get(archived)?.messages.map(({ content }) => content),
      ["[[say Kept.]] Keep this", "Kept."]
    )
    assert.isString(byId.get(archived)?.archivedAt)
    assert.deepStrictEqual(byId.get(empty)?.messages, [])
    assert.deepStrictEqual(
      sessions.map(({ id }: { id: string }) => id),
      [ada.sid]
    )
    assert.deepStrictEqual(
      authEvents.map(({ kind }: { kind: string }) => kind),
      ["login", "profile_changed", "password_changed"]
    )
    assert.strictEqual(usage[0].prompts, 1)
    for (const word of ["Bob", bob.userId, bob.mobile, "argon2", "hash", "quotaKey", "counter", ada.refreshToken, ada.token])
      assert.notInclude(reply.text, word)
    const [secret] = await database.query<{ key: string }>("select quota_key as key from users where id = $1", [ada.userId])
    assert.notInclude(reply.text, secret?.key ?? "quota")
  })

  it("is complete for a new user, and for a user with many rooms", async () => {
    const ada = await people.enter()
    assert.deepStrictEqual((await ada.call("GET", "/user/me/export")).body.chatrooms, [])
    await database.query(
      `insert into chatrooms (user_id, id, title, archived_at) select $1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'room ' || n,
        case when n % 3 = 0 then now() end from generate_series(1, 230) n`,
      [ada.userId]
    )
    const titles = (await ada.call("GET", "/user/me/export")).body.chatrooms.map(({ title }: { title: string }) => title)
    assert.deepStrictEqual(titles.sort(), times(230, (n) => `room ${n + 1}`).sort())
  })
})

describe("usage", () => {
  it("lists the user's days of three months with their tokens, newest first", async () => {
    const [ada, bob] = [await people.enter(), await people.enter()]
    assert.deepStrictEqual((await ada.call("GET", "/user/usage")).body, { data: [] })
    await bob.ask(await bob.room(), "[[say no]] ?", { wait: 10 })
    const room = await ada.room()
    const replies = [
      await ada.ask(room, "[[say one two]] first", { wait: 10 }),
      await ada.ask(room, "[[say three four]] second", { wait: 10 })
    ]
    const sum = (field: "promptTokens" | "replyTokens") => replies.reduce((total, { body }) => total + body.reply.usage[field], 0)
    await database.query(
      `insert into usage_daily (quota_key, day, used, prompts, prompt_tokens, reply_tokens)
        select quota_key, (now() at time zone 'utc')::date - n, 4, 4, 3000000000, 7 from users, unnest(array[1, 91, 93]) n where id = $1`,
      [ada.userId]
    )
    const reply = await ada.call("GET", "/user/usage")
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    const day = (back: number) => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10)
    const none = { thoughtTokens: 0, cachedTokens: 0, toolTokens: 0, searches: 0, costMicros: 0 }
    const old = { prompts: 4, promptTokens: 3_000_000_000, replyTokens: 7, ...none }
    const [today, ...rest] = reply.body.data
    assert.deepStrictEqual(rest, [
      { day: day(1), ...old },
      { day: day(91), ...old }
    ])
    assert.deepInclude(today, { day: day(0), prompts: 2, promptTokens: sum("promptTokens") })
    assert.isAtLeast(today.replyTokens, sum("replyTokens"))
    assert.sameMembers(Object.keys(today), ["day", ...Object.keys(old)])
    assert.strictEqual(
      today.costMicros,
      replies.reduce((total, { body }) => total + body.reply.costMicros, 0)
    )
  })
})
