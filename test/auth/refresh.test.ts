import { createHmac } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { type Person, personAt, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, type LoggedIn, peopleAt, sidOf } from "./People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const keyOf = (text: string) => Buffer.from(text.padEnd(32, "-").slice(0, 32)).toString("base64")
const [key, oldKey, newKey] = [
  keyOf("0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
  keyOf("the-one-before/9c8d7e6f5a4b3c2d1"),
  keyOf("the-one-to-come/1a2b3c4d5e6f7a8b")
]

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let other: typeof backend
let people: ReturnType<typeof peopleAt>
const settings = () => ({ DATABASE_URL: database.url, ROLE: "api", JWT_KEYS: `now:${key}` })

beforeAll(async () => {
  database = await createDatabase()
  ;[backend, other] = await Promise.all([startBackend(settings()), startBackend(settings())])
  people = peopleAt(backend.url, database)
})
afterAll(async () => {
  await Promise.all([backend.stop(), other.stop()])
  await database.drop()
})

const refreshAt = (base: string, refreshToken: unknown) => request(base, "POST", "/auth/refresh", { body: { refreshToken } })
const refresh = (refreshToken: unknown) => refreshAt(backend.url, refreshToken)
const elsewhere = (person: Person) => personAt(other.url, person)
const statusOf = async (person: Person) => (await person.call("GET", "/user/me")).status

/** User, session and counter, which a refresh token names in the open. */
const bodyOf = (token: string) => Buffer.from(token.split(".")[0] ?? "", "base64url").toString()
const counterOf = (token: string) => Number(bodyOf(token).split(".")[2])
const forge = (body: string, secret: string, label = "refresh") =>
  `${Buffer.from(body).toString("base64url")}.${createHmac("sha256", Buffer.from(secret, "base64")).update(`${label}\u0000${body}`).digest("base64url")}`
const stored = async (person: LoggedIn) =>
  (
    await database.query<{ counter: number; revoked_at: Date | null }>("select counter, revoked_at from sessions where id = $1", [
      person.sid
    ])
  )[0]
/** Moves the last exchanges into the past. */
const age = (person: LoggedIn, interval: string) =>
  database.query(
    "update sessions set rotated_at = rotated_at - $2::interval, exchanged_at = exchanged_at - $2::interval where id = $1",
    [person.sid, interval]
  )
/** The time for which the previous token works is over. */
const later = (person: LoggedIn) => age(person, "3601 seconds")

const assertDead = async (person: LoggedIn, successor: string) => {
  assertProblem(await person.call("GET", "/user/me"), 401, "session_revoked")
  await until("the session has ended elsewhere", async () => (await statusOf(elsewhere(person))) === 401)
  assertProblem(await refresh(successor), 401, "refresh_invalid")
  assertProblem(await refreshAt(other.url, successor), 401, "refresh_invalid")
}

describe("a refresh token", () => {
  it("is exchanged for new tokens of the same session, which work at every process", async () => {
    const ada = await people.enter()
    const reply = await refresh(ada.refreshToken)
    assert.strictEqual(reply.status, 200)
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    assert.deepStrictEqual(Object.keys(reply.body).sort(), ["expiresIn", "refreshToken", "token", "tokenType"])
    assert.deepInclude(reply.body, { tokenType: "Bearer", expiresIn: 3600 })
    assert.notStrictEqual(reply.body.token, ada.token)
    assert.notStrictEqual(reply.body.refreshToken, ada.refreshToken)
    assert.strictEqual(sidOf(reply.body.token), ada.sid)
    for (const base of [backend.url, other.url]) {
      assert.strictEqual(await statusOf(personAt(base, { ...ada, token: reply.body.token })), 200)
      // The old access token lives until it expires: its session goes on.
      assert.strictEqual(await statusOf(personAt(base, ada)), 200)
    }
  })

  it("can be exchanged again and again, at any process", async () => {
    const ada = await people.enter()
    let token = ada.refreshToken
    for (const n of times(12, (index) => index)) {
      const reply = await refreshAt(n % 2 === 0 ? backend.url : other.url, token)
      assert.strictEqual(reply.status, 200, reply.text)
      assert.strictEqual(counterOf(reply.body.refreshToken), n + 1)
      token = reply.body.refreshToken
    }
  })

  it("returns the same successor for ten seconds", async () => {
    const ada = await people.enter()
    const first = await refresh(ada.refreshToken)
    await database.query("update sessions set rotated_at = rotated_at - interval '8 seconds' where id = $1", [ada.sid])
    const again = await refreshAt(other.url, ada.refreshToken)
    assert.deepStrictEqual([first.status, again.status], [200, 200])
    assert.strictEqual(again.body.refreshToken, first.body.refreshToken)
    assert.deepInclude(await stored(ada), { counter: 1, revoked_at: null })
  })

  it("returns a new successor within an hour while the first one is unused, and voids the first one", async () => {
    const ada = await people.enter()
    const lost = await refresh(ada.refreshToken)
    await age(ada, "11 seconds")
    const retried = await refreshAt(other.url, ada.refreshToken)
    assert.deepStrictEqual([lost.status, retried.status], [200, 200])
    assert.notStrictEqual(retried.body.refreshToken, lost.body.refreshToken)
    // The second answer is lost, too.
    await age(ada, "50 minutes")
    const again = await refresh(ada.refreshToken)
    assert.strictEqual(again.status, 200)
    const next = await refresh(again.body.refreshToken)
    assert.strictEqual(next.status, 200)
    assert.strictEqual(await statusOf(ada), 200)
    assert.deepInclude(await stored(ada), { revoked_at: null })
    // The successor was used now: the old token is reused.
    assertProblem(await refresh(ada.refreshToken), 401, "refresh_reused")
    await assertDead(ada, next.body.refreshToken)
  })

  it("ends the session when a voided successor is used: two clients hold the token", async () => {
    const ada = await people.enter()
    const first = await refresh(ada.refreshToken)
    await age(ada, "11 seconds")
    const second = await refresh(ada.refreshToken)
    assert.strictEqual(second.status, 200)
    assertProblem(await refreshAt(other.url, first.body.refreshToken), 401, "refresh_reused")
    await assertDead(ada, second.body.refreshToken)
  })

  it("has one successor when many retry it at once after a lost answer", async () => {
    const ada = await people.enter()
    await refresh(ada.refreshToken)
    await age(ada, "11 seconds")
    const replies = await Promise.all(times(60, (n) => refreshAt(n % 2 === 0 ? backend.url : other.url, ada.refreshToken)))
    assert.deepStrictEqual([...new Set(replies.map(({ status }) => status))], [200])
    assert.deepStrictEqual([...new Set(replies.map(({ body }) => counterOf(body.refreshToken)))], [2])
    assert.strictEqual((await refresh(replies[0]?.body.refreshToken)).status, 200)
  })

  it("ends the session at every process when it is reused later", async () => {
    const ada = await people.enter()
    const first = await refresh(ada.refreshToken)
    await later(ada)
    for (const person of [ada, elsewhere(ada)]) assert.strictEqual(await statusOf(person), 200)
    assertProblem(await refresh(ada.refreshToken), 401, "refresh_reused")
    await assertDead(ada, first.body.refreshToken)
    const events = await database.query<{ kind: string; session_id: string }>(
      "select kind, session_id from auth_events where user_id = $1 order by id",
      [ada.userId]
    )
    assert.deepStrictEqual(events, [
      { kind: "login", session_id: ada.sid },
      { kind: "refresh_reused", session_id: ada.sid }
    ])
  })

  it("ends the session when it is two exchanges old, at any time", async () => {
    const ada = await people.enter()
    const second = await refresh((await refresh(ada.refreshToken)).body.refreshToken)
    assertProblem(await refreshAt(other.url, ada.refreshToken), 401, "refresh_reused")
    await assertDead(ada, second.body.refreshToken)
    // Once dead, it is just no good any more.
    assertProblem(await refresh(ada.refreshToken), 401, "refresh_invalid")
  })

  it("ends no other session of its user when it is reused", async () => {
    const ada = await people.enter()
    const second = await people.enter(ada.mobile)
    await refresh(ada.refreshToken)
    await later(ada)
    assertProblem(await refresh(ada.refreshToken), 401, "refresh_reused")
    assert.strictEqual(await statusOf(second), 200)
    assert.strictEqual((await refresh(second.refreshToken)).status, 200)
  })

  it("has one successor when two hundred requests exchange it at once at two processes", async () => {
    const ada = await people.enter()
    const replies = await Promise.all(times(200, (n) => refreshAt(n % 2 === 0 ? backend.url : other.url, ada.refreshToken)))
    assert.deepStrictEqual([...new Set(replies.map(({ status }) => status))], [200])
    assert.deepStrictEqual([...new Set(replies.map(({ body }) => counterOf(body.refreshToken)))], [1])
    assert.deepInclude(await stored(ada), { counter: 1, revoked_at: null })
    assert.strictEqual((await refresh(replies[0]?.body.refreshToken)).status, 200)
  })
})

describe("an invalid refresh token", () => {
  it("is one that was changed at any place", async () => {
    const [ada, bob] = [await people.enter(), await people.enter()]
    const body = bodyOf(ada.refreshToken)
    const [encoded = "", mac = ""] = ada.refreshToken.split(".")
    const flip = (text: string, at: number) => `${text.slice(0, at)}${text[at] === "A" ? "B" : "A"}${text.slice(at + 1)}`
    const encode = (text: string) => Buffer.from(text).toString("base64url")
    const tokens = [
      `${encode(body.replace(/\d+$/, "1"))}.${mac}`,
      `${encode(body.replace(ada.userId, bob.userId))}.${mac}`,
      `${encode(body.replace(ada.sid, bob.sid))}.${mac}`,
      `${encode(`${body}0`)}.${mac}`,
      `${encode(`${body}\n`)}.${mac}`,
      `${encoded}.${bob.refreshToken.split(".")[1]}`,
      `${flip(encoded, 3)}.${mac}`,
      `${encoded}.${flip(mac, 0)}`,
      `${encoded}.${flip(mac, mac.length - 1)}`,
      `${encoded}.${mac.slice(0, -1)}`,
      `${encoded}.${mac}A`,
      // Another spelling of the same bytes.
      `${encoded}.${mac}.`,
      `${encoded}.${mac}.x`,
      `${encoded}=.${mac}`,
      `!${encoded}.${mac}`,
      ` ${ada.refreshToken}`,
      `${ada.refreshToken}\n`,
      `${encoded}.`,
      `.${mac}`,
      encoded,
      ada.refreshToken.toUpperCase()
    ]
    for (const token of tokens) assertProblem(await refresh(token), 401, "refresh_invalid")
    assert.deepInclude(await stored(ada), { counter: 0, revoked_at: null })
    assert.strictEqual((await refresh(ada.refreshToken)).status, 200)
  })

  it("is one signed with another key, or for another purpose", async () => {
    const ada = await people.enter()
    const body = bodyOf(ada.refreshToken)
    assert.strictEqual(forge(body, key), ada.refreshToken)
    for (const token of [
      forge(body, oldKey),
      forge(body, newKey),
      forge(body, key, "cursor:chatrooms"),
      forge(body, key, "otp"),
      forge(body, key, "")
    ]) {
      assertProblem(await refresh(token), 401, "refresh_invalid")
    }
  })

  it("is one that names an unknown session", async () => {
    const ada = await people.enter()
    const bob = await people.enter()
    const nobody = "01980000-0000-7000-8000-000000000000"
    const bodies = [
      `${ada.userId}.${nobody}.0`,
      `${nobody}.${ada.sid}.0`,
      `${bob.userId}.${ada.sid}.0`,
      `${ada.userId}.${ada.sid}.1`,
      `${ada.userId}.${ada.sid}.999999999`,
      `${ada.userId}.${ada.sid}.-1`,
      `${ada.userId}.${ada.sid}`,
      `${ada.userId}.${ada.sid}.0.0`,
      "",
      "null"
    ]
    for (const body of bodies) assertProblem(await refresh(forge(body, key)), 401, "refresh_invalid")
    assert.strictEqual((await refresh(ada.refreshToken)).status, 200)
  })

  it.each([
    "x",
    "",
    ".",
    "..",
    "null",
    " ",
    "💥",
    "a".repeat(1_001),
    "a.b".repeat(50_000),
    `${"A".repeat(100_000)}.${"B".repeat(100_000)}`
  ])("is any other text, of any length: %#", async (token) => assertProblem(await refresh(token), 401, "refresh_invalid"))

  it("is an access token; a refresh token is no access token either", async () => {
    const ada = await people.enter()
    assertProblem(await refresh(ada.token), 401, "refresh_invalid")
    assertProblem(await request(backend.url, "GET", "/user/me", { token: ada.refreshToken }), 401, "token_invalid")
  })

  it.each([7, null, true, [], {}, undefined])("is a value other than a string: %j", async (token) => {
    assertProblem(await refresh(token), 400, "validation_failed")
  })
})

describe("an ended session", () => {
  const cases: ReadonlyArray<readonly [string, (person: LoggedIn) => Promise<unknown>]> = [
    ["logged out", (person) => person.call("POST", "/auth/logout", {})],
    ["deleted by its owner", (person) => person.call("DELETE", `/auth/sessions/${person.sid}`)],
    ["expired", (person) => database.query("update sessions set expires_at = now() where id = $1", [person.sid])],
    ["of a user who is gone", (person) => person.call("DELETE", "/user/me")]
  ]
  it.each(cases)("cannot be refreshed: %s", async (_, end) => {
    const ada = await people.enter()
    await end(ada)
    assertProblem(await refresh(ada.refreshToken), 401, "refresh_invalid")
  })

  it("cannot be refreshed when it is a recovery session, and stays valid after the attempt", async () => {
    const ada = await people.enter(undefined, "reset_password")
    assertProblem(await refresh(ada.refreshToken), 401, "refresh_invalid")
    assert.strictEqual(await statusOf(ada), 403)
  })

  it("is extended by a refresh: it expires thirty days after its last use", async () => {
    const ada = await people.enter()
    await database.query("update sessions set expires_at = now() + interval '1 day' where id = $1", [ada.sid])
    assert.strictEqual((await refresh(ada.refreshToken)).status, 200)
    const [row] = await database.query<{ days: number }>(
      "select extract(epoch from expires_at - now())::float8 / 86400 as days from sessions where id = $1",
      [ada.sid]
    )
    assert.approximately(row?.days ?? 0, 30, 0.01)
  })
})

describe("a change of keys", () => {
  it("accepts tokens of the old key until that key is removed, and signs with the new one", async () => {
    const ada = await people.enter()
    const both = await startBackend({ ...settings(), JWT_KEYS: `next:${newKey},now:${key}` })
    const after = await startBackend({ ...settings(), JWT_KEYS: `next:${newKey}` })
    try {
      const reply: Reply = await refreshAt(both.url, ada.refreshToken)
      assert.strictEqual(reply.status, 200, reply.text)
      assert.strictEqual(reply.body.refreshToken, forge(`${ada.userId}.${ada.sid}.1`, newKey))
      assert.strictEqual(await statusOf(personAt(both.url, ada)), 200)
      assert.strictEqual(await statusOf(personAt(after.url, { ...ada, token: reply.body.token })), 200)
      assertProblem(await refreshAt(after.url, ada.refreshToken), 401, "refresh_invalid")
      assertProblem(await personAt(after.url, ada).call("GET", "/user/me"), 401, "token_invalid")
      assertProblem(await refreshAt(backend.url, reply.body.refreshToken), 401, "refresh_invalid")
      assert.strictEqual((await refreshAt(after.url, reply.body.refreshToken)).status, 200)
    } finally {
      await Promise.all([both.stop(), after.stop()])
    }
  })
})
