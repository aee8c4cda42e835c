import { Context } from "effect"
import { HttpApi } from "effect/http-api"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { AllowsKey } from "../../src/api/Annotations.ts"
import { Api } from "../../src/api/Api.ts"
import { formatKey, parseKey } from "../../src/auth/KeyFormat.ts"
import { newSecret } from "../../src/keys/SealedSecrets.ts"
import { startBackend } from "../support/Backend.ts"
import { request } from "../support/Client.ts"
import { usedToday } from "../support/messages.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { assertProblem, type LoggedIn, peopleAt } from "./People.ts"

let backends: TestBackends
let base: string
let ada: LoggedIn
let people: ReturnType<typeof peopleAt>

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "20", LOG_LEVEL: "none", PASSWORD_LOGIN: "true" })
  base = backends.urls[0] ?? ""
  people = peopleAt(base, backends.database)
  ada = await people.enter()
})
afterAll(() => backends.stop())

const create = (person: LoggedIn, body: object = { name: "Report" }, headers: Record<string, string> = {}) =>
  person.call("POST", "/user/keys", body, headers)
const newKey = async (person: LoggedIn): Promise<{ readonly id: string; readonly key: string }> => (await create(person)).body
const by = (key: string, method: string, path: string, body?: unknown, url = base) =>
  request(url, method, path, { token: key, ...(body === undefined ? {} : { body }) })
const listed = async (person: LoggedIn) => (await person.call("GET", "/user/keys")).body.data

describe("POST /user/keys", () => {
  it("returns a key once, and stores its hash alone", async () => {
    const made = await create(ada, { name: "Nightly", expiresIn: 60 }, { "idempotency-key": "stored" })
    assert.strictEqual(made.status, 201, made.text)
    const { createdAt, expiresAt, id, key, last4 } = made.body
    assert.match(key, /^gcb_[\w-]{49}$/)
    assert.deepEqual(made.body, { id, name: "Nightly", key, last4: key.slice(-4), createdAt, expiresAt })
    assert.strictEqual(Date.parse(expiresAt) - Date.parse(createdAt), 60_000)
    assert.strictEqual(made.headers.get("location"), `/user/keys/${id}`)
    const [row] = await listed(ada)
    assert.deepEqual(row, { id, name: "Nightly", last4, createdAt, expiresAt, lastUsedAt: null })
    const stored = await backends.database.query(
      "select (select json_agg(k) from api_keys k)::text as keys, (select json_agg(i) from idempotency_keys i)::text as responses"
    )
    assert.include(JSON.stringify(stored), id)
    assert.notInclude(JSON.stringify(stored), key.slice(4, 47))
  })

  it("replays its first response to the same idempotency key", async () => {
    const headers = { "idempotency-key": "again" }
    const [first, second] = [await create(ada, { name: "Once" }, headers), await create(ada, { name: "Once" }, headers)]
    assert.deepEqual(second.body, first.body)
    assert.strictEqual(second.headers.get("idempotent-replayed"), "true")
    assert.strictEqual((await by(second.body.key, "GET", "/models")).status, 200)
    assertProblem(await create(ada, { name: "Other" }, headers), 422, "idempotency_key_reused")
  })

  it("refuses names and lifetimes that are not valid, and requests without a token", async () => {
    for (const [path, body] of [
      ["/name", {}],
      ["/name", { name: " " }],
      ["/name", { name: "x".repeat(61) }],
      ["/expiresIn", { name: "x", expiresIn: 0 }],
      ["/expiresIn", { name: "x", expiresIn: 31_536_001 }]
    ] as const) {
      const refused = await create(ada, body)
      assertProblem(refused, 400, "validation_failed")
      assert.strictEqual(refused.body.errors[0].path, path)
    }
    assertProblem(await request(base, "POST", "/user/keys", { body: { name: "x" } }), 401, "unauthenticated")
  })

  it("refuses the 21st key, also of parallel requests, and counts no deleted or expired one", async () => {
    const bob = await people.enter()
    const made = await Promise.all(times(25, () => create(bob)))
    const refused = made.filter(({ status }) => status !== 201)
    assert.lengthOf(refused, 5)
    for (const each of refused) assertProblem(each, 409, "too_many_keys")
    assert.strictEqual(refused[0]?.body.limit, 20)
    const [first, second] = await listed(bob)
    assert.strictEqual((await bob.call("DELETE", `/user/keys/${first.id}`)).status, 204)
    await backends.database.query("update api_keys set expires_at = now() where id = $1", [second.id])
    const again = await Promise.all(times(3, () => create(bob)))
    assert.deepEqual(again.map(({ status }) => status).sort(), [201, 201, 409])
  })
})

describe("an API key", () => {
  it("asks questions as its user: rooms, quota and tier are the user's", async () => {
    const bob = await people.enter()
    const { key } = await newKey(bob)
    const room = await by(key, "POST", "/chatroom", { title: "Mine" })
    assert.strictEqual(room.status, 201, room.text)
    const asked = await by(key, "POST", `/chatroom/${room.body.id}/message?wait=20`, { content: "[[say By key.]]" })
    assert.strictEqual(asked.body.reply.content, "By key.")
    assert.strictEqual(asked.body.quota.used, 1)
    assert.strictEqual(await usedToday(bob), 1)
    assert.strictEqual((await bob.call("GET", `/chatroom/${room.body.id}`)).body.messages.length, 2)
    const own = await ada.room()
    assertProblem(await by(key, "GET", `/chatroom/${own}`), 404, "chatroom_not_found")
    // A key counts as its user: the day's prompts are shared with the user's sessions.
    await backends.database.query(
      "update usage_daily set used = 20 where quota_key = (select quota_key from users where id = $1)",
      [bob.userId]
    )
    assertProblem(await by(key, "POST", `/chatroom/${room.body.id}/message`, { content: "more?" }), 429, "quota_exceeded")
  })

  it("shares the limit of streams with its user's sessions and other keys", async () => {
    const bob = await people.enter()
    const keys = [bob.token, (await newKey(bob)).key, (await newKey(bob)).key]
    const room = await bob.room()
    const { body } = await bob.ask(room, "[[latency 60000]] slow?")
    const abort = new AbortController()
    const open = (token: string) =>
      fetch(`${base}/chatroom/${room}/message/${body.reply.id}/stream`, {
        headers: { authorization: `Bearer ${token}` },
        signal: abort.signal
      })
    const streams = []
    for (const index of times(6, (each) => each)) streams.push(await open(keys[index % 3] ?? ""))
    assert.deepEqual(
      streams.map(({ status }) => status),
      [200, 200, 200, 200, 200, 429]
    )
    abort.abort()
    await bob.call("POST", `/chatroom/${room}/message/${body.reply.id}/cancel`)
  })

  it("shows the hour of its last use", async () => {
    const bob = await people.enter()
    const { id, key } = await newKey(bob)
    const before = Date.now()
    await by(key, "GET", "/models")
    const used = async () => (await listed(bob)).find((each: { readonly id: string }) => each.id === id).lastUsedAt
    const hour = (time: number) => new Date(Math.floor(time / 3_600_000) * 3_600_000).toISOString()
    assert.include([hour(before), hour(Date.now())], await used())
    // A use in the same hour writes nothing.
    const version = async () =>
      (await backends.database.query<{ xmin: string }>("select xmin::text from api_keys where id = $1", [id]))[0]?.xmin
    const stored = await version()
    for (const _ of times(5, () => 0)) await by(key, "GET", "/models")
    if (hour(before) === hour(Date.now())) assert.strictEqual(await version(), stored)
  })

  it("is 401 when it is unknown, mistyped, of another spelling, expired or deleted", async () => {
    const { id, key } = await newKey(ada)
    const changed = `${key.slice(0, 10)}${key[10] === "A" ? "B" : "A"}${key.slice(11)}`
    for (const wrong of [changed, formatKey(newSecret()), `${key}A`, key.slice(0, -1), "gcb_", key.toUpperCase()]) {
      assertProblem(await by(wrong, "GET", "/models"), 401, "token_invalid")
    }
    assert.strictEqual((await by(key, "GET", "/models")).status, 200)
    const expiring = await newKey(ada)
    assert.strictEqual((await by(expiring.key, "GET", "/models")).status, 200)
    await backends.database.query("update api_keys set expires_at = now() where id = $1", [expiring.id])
    await backends.database.query("select pg_notify('changed', 'sessions:' || $1)", [ada.userId])
    await until("the expired key to be refused", async () => (await by(expiring.key, "GET", "/models")).status === 401)
    assert.strictEqual((await ada.call("DELETE", `/user/keys/${id}`)).status, 204)
    assertProblem(await by(key, "GET", "/models"), 401, "token_invalid")
  })

  it("expires by itself while it is in memory", async () => {
    const made = await create(ada, { name: "Short", expiresIn: 8 })
    assert.strictEqual((await by(made.body.key, "GET", "/models")).status, 200)
    await until("the end", async () => (await by(made.body.key, "GET", "/models")).status === 401)
    assert.isAtLeast(Date.now(), Date.parse(made.body.expiresAt))
  })

  it("can be deleted by its user alone, once", async () => {
    const mallory = await people.enter()
    const { id, key } = await newKey(ada)
    assertProblem(await mallory.call("DELETE", `/user/keys/${id}`), 404, "key_not_found")
    assert.strictEqual((await by(key, "GET", "/models")).status, 200)
    assert.strictEqual((await ada.call("DELETE", `/user/keys/${id}`)).status, 204)
    assertProblem(await ada.call("DELETE", `/user/keys/${id}`), 404, "key_not_found")
  })

  it("ends with a password reset and with a password that a recovery session sets, not with a logout or a change", async () => {
    const bob = await people.enter()
    const { key } = await newKey(bob)
    const works = async () => (await by(key, "GET", "/models")).status === 200
    const password = "a loom that weaves numbers"
    assert.strictEqual((await bob.call("POST", "/auth/change-password", { newPassword: password })).status, 204)
    assert.strictEqual((await bob.call("POST", "/auth/logout", { scope: "global" })).status, 204)
    assert.isTrue(await works())
    const code = await people.code(bob.mobile, "reset_password")
    const reset = await people.post("/auth/reset-password", { mobile: bob.mobile, ...code, newPassword: `${password} again` })
    assert.strictEqual(reset.status, 204, reset.text)
    assert.isFalse(await works())
    const back = await people.enter(bob.mobile)
    const next = await newKey(back)
    const recovery = await people.enter(bob.mobile, "reset_password")
    assert.strictEqual((await by(next.key, "GET", "/models")).status, 200)
    const set = await recovery.call("POST", "/auth/change-password", { newPassword: `${password} at last` })
    assert.strictEqual(set.status, 204, set.text)
    assertProblem(await by(next.key, "GET", "/models"), 401, "token_invalid")
  })

  it("is in the account's export, and ends with the account", async () => {
    const bob = await people.enter()
    const { id, key } = await newKey(bob)
    const exported = await bob.call("GET", "/user/me/export")
    const [kept] = exported.body.apiKeys
    assert.deepEqual([kept.id, kept.name, kept.last4, kept.lastUsedAt], [id, "Report", key.slice(-4), null])
    assert.notInclude(exported.text, key)
    assert.strictEqual((await by(key, "GET", "/models")).status, 200)
    assert.strictEqual((await bob.call("DELETE", "/user/me")).status, 204)
    assertProblem(await by(key, "GET", "/models"), 401, "token_invalid")
  })

  it("gets tickets for streams and exports of its rooms", async () => {
    const { key } = await newKey(ada)
    const room = await ada.room()
    const ticket = await by(key, "POST", `/chatroom/${room}/export-ticket`)
    assert.strictEqual(ticket.status, 201, ticket.text)
    assert.strictEqual((await request(base, "GET", ticket.body.url)).status, 200)
  })
})

describe("endpoints", () => {
  const endpoints: Array<{ readonly method: string; readonly path: string; readonly allowsKey: boolean }> = []
  HttpApi.reflect(Api, {
    onGroup: () => {},
    onEndpoint: ({ endpoint, mergedAnnotations, middleware }) => {
      if (![...middleware].some(({ key }) => key === "chat-backend/auth/Authorization")) return
      endpoints.push({ method: endpoint.method, path: endpoint.path, allowsKey: Context.get(mergedAnnotations, AllowsKey) })
    }
  })

  it("take keys on rooms, the AI SDK, OpenAI's routes, files, search and models, except to delete", () => {
    for (const { allowsKey, method, path } of endpoints) {
      const isExpected = /^\/(chatroom|ai|v1|files|search|models)(\/|$)/.test(path) && method !== "DELETE"
      assert.strictEqual(allowsKey, isExpected, `${method} ${path}`)
    }
    assert.isAbove(endpoints.filter(({ allowsKey }) => !allowsKey).length, 15)
  })

  it.each(endpoints)("answer a key as the annotation says: $method $path", async ({ allowsKey, method, path }) => {
    const { key } = await newKey(ada)
    const unknown = "01980000-0000-7000-8000-000000000000"
    const reply = await by(
      key,
      method,
      path.replaceAll(/:\w+/g, unknown),
      method === "GET" || method === "DELETE" ? undefined : {}
    )
    if (allowsKey) assert.notInclude([401, 403], reply.status, reply.text)
    else assertProblem(reply, 403, "key_not_allowed")
    for (const each of await listed(ada)) await ada.call("DELETE", `/user/keys/${each.id}`)
  })
})

describe("the format", () => {
  it("has a checksum that finds every changed character", () => {
    const secret = newSecret()
    const key = formatKey(secret)
    assert.strictEqual(parseKey(key), secret)
    for (const index of times(key.length, (each) => each)) {
      const other = key[index] === "x" ? "y" : "x"
      assert.isUndefined(parseKey(key.slice(0, index) + other + key.slice(index + 1)), String(index))
    }
  })
})

describe("without a listener", () => {
  it("a key is read each time: one that was deleted without a notification is refused at once", async () => {
    const proxy = await TcpProxy.start(backends.database.url)
    const cutOff = await startBackend({
      DATABASE_URL: backends.database.url,
      DATABASE_DIRECT_URL: proxy.through(backends.database.url),
      ROLE: "api",
      LOG_LEVEL: "none"
    })
    try {
      const { id, key } = await newKey(ada)
      const list = () => by(key, "GET", "/chatroom", undefined, cutOff.url)
      await until("a cache hit", async () => (await list()).headers.get("cache-status") === "chatrooms; hit")
      proxy.cut()
      await until("the cache to be bypassed", async () => (await list()).headers.get("cache-status") === "chatrooms; fwd=bypass")
      await backends.database.query("delete from api_keys where id = $1", [id])
      assertProblem(await list(), 401, "token_invalid")
    } finally {
      await cutOff.stop()
      await proxy.stop()
    }
  })
})
