import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, type Person, personAt, type Reply, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, type LoggedIn, peopleAt } from "./People.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let other: typeof backend
let people: ReturnType<typeof peopleAt>

beforeAll(async () => {
  database = await createDatabase()
  const settings = { DATABASE_URL: database.url, ROLE: "api" }
  ;[backend, other] = await Promise.all([startBackend(settings), startBackend(settings)])
  people = peopleAt(backend.url, database)
})
afterAll(async () => {
  await Promise.all([backend.stop(), other.stop()])
  await database.drop()
})

const elsewhere = (person: Person) => personAt(other.url, person)
const statusOf = async (person: Person) => (await person.call("GET", "/user/me")).status
const list = async (person: Person) => (await person.call("GET", "/auth/sessions")).body.data
const nobodysId = "01980000-0000-7000-8000-000000000000"

/** Some sessions of one new user, all of them known to both processes. */
const sessions = async (count: number): Promise<Array<LoggedIn>> => {
  const mobile = freshMobile()
  const made: Array<LoggedIn> = []
  for (const n of times(count, (index) => index)) made.push(await people.enter(mobile, "login", { "user-agent": `client ${n}` }))
  for (const person of made) assert.deepStrictEqual([await statusOf(person), await statusOf(elsewhere(person))], [200, 200])
  return made
}
const assertDead = async (person: LoggedIn) => {
  assertProblem(await person.call("GET", "/user/me"), 401, "session_revoked")
  await until("the session has ended elsewhere", async () => (await statusOf(elsewhere(person))) === 401)
  assertProblem(await people.post("/auth/refresh", { refreshToken: person.refreshToken }), 401, "refresh_invalid")
}
const assertAlive = async (person: LoggedIn) =>
  assert.deepStrictEqual([await statusOf(person), await statusOf(elsewhere(person))], [200, 200])

describe("the list of sessions", () => {
  it("describes each session, newest first, and marks the current one", async () => {
    const [first, second, third] = (await sessions(3)) as [LoggedIn, LoggedIn, LoggedIn]
    const reply = await second.call("GET", "/auth/sessions")
    assert.strictEqual(reply.status, 200)
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    assert.include(Object.keys(reply.body), "data")
    assert.deepStrictEqual(
      reply.body.data.map(({ createdAt, lastUsedAt, ...rest }: Record<string, string>) => {
        for (const time of [createdAt, lastUsedAt]) assert.strictEqual(new Date(time ?? "").toISOString(), time)
        return rest
      }),
      [
        { id: third.sid, userAgent: "client 2", current: false },
        { id: second.sid, userAgent: "client 1", current: true },
        { id: first.sid, userAgent: "client 0", current: false }
      ]
    )
  })

  it("is paged; another user's cursor is refused", async () => {
    const [first, second, third] = (await sessions(3)) as [LoggedIn, LoggedIn, LoggedIn]
    const idsOf = ({ body }: Reply) => body.data.map(({ id }: { id: string }) => id)
    const one = await first.call("GET", "/auth/sessions?limit=2")
    assert.deepStrictEqual([idsOf(one), one.body.hasMore], [[third.sid, second.sid], true])
    const next = `/auth/sessions?limit=2&cursor=${encodeURIComponent(one.body.nextCursor)}`
    assert.strictEqual(one.headers.get("link"), `<${next}>; rel="next"`)
    const two = await first.call("GET", next)
    assert.deepStrictEqual([idsOf(two), two.body.hasMore, two.body.nextCursor], [[first.sid], false, null])
    assert.isNull(two.headers.get("link"))
    const [stranger] = (await sessions(1)) as [LoggedIn]
    assertProblem(await stranger.call("GET", next), 400, "validation_failed")
    for (const query of ["limit=0", "limit=101", "limit=x", "cursor=zzz", `cursor=${one.body.nextCursor}x`]) {
      assertProblem(await first.call("GET", `/auth/sessions?${query}`), 400, "validation_failed")
    }
  })

  it("shows the time of the last refresh", async () => {
    const [ada] = (await sessions(1)) as [LoggedIn]
    const [before] = await list(ada)
    await sleep(5)
    await people.post("/auth/refresh", { refreshToken: ada.refreshToken })
    const [after] = await list(ada)
    assert.isAbove(Date.parse(after.lastUsedAt), Date.parse(before.lastUsedAt))
    assert.strictEqual(after.createdAt, before.createdAt)
  })

  it("omits ended, expired and recovery sessions, and those of other users", async () => {
    const [ada, ended, expired] = (await sessions(3)) as [LoggedIn, LoggedIn, LoggedIn]
    await people.enter(ada.mobile, "reset_password")
    await people.enter()
    await ended.call("POST", "/auth/logout", {})
    await database.query("update sessions set expires_at = now() where id = $1", [expired.sid])
    assert.deepStrictEqual(
      (await list(ada)).map(({ id }: { id: string }) => id),
      [ada.sid]
    )
  })

  it("keeps 300 characters of the client's name, and accepts a client without a name", async () => {
    const mobile = freshMobile()
    const long = await people.enter(mobile, "login", { "user-agent": "é".repeat(1_000) })
    const [row] = await list(long)
    assert.strictEqual(row.userAgent, "é".repeat(300))
  })
})

describe("ending a session by its id", () => {
  it("is 204, and its token is refused at once in every process", async () => {
    const [own, second, third] = (await sessions(3)) as [LoggedIn, LoggedIn, LoggedIn]
    const reply = await own.call("DELETE", `/auth/sessions/${second.sid.toUpperCase()}`)
    assert.strictEqual(`${reply.status}${reply.text}`, "204")
    await assertDead(second)
    await assertAlive(own)
    await assertAlive(third)
  })

  it("can end the current session", async () => {
    const [own, second] = (await sessions(2)) as [LoggedIn, LoggedIn]
    assert.strictEqual((await own.call("DELETE", `/auth/sessions/${own.sid}`)).status, 204)
    await assertDead(own)
    await assertAlive(second)
  })

  it("is 404 for another user's, an unknown and an ended session, and changes nothing", async () => {
    const [ada, second] = (await sessions(2)) as [LoggedIn, LoggedIn]
    const [bob] = (await sessions(1)) as [LoggedIn]
    assertProblem(await bob.call("DELETE", `/auth/sessions/${ada.sid}`), 404, "session_not_found")
    assertProblem(await bob.call("DELETE", `/auth/sessions/${nobodysId}`), 404, "session_not_found")
    assert.strictEqual((await ada.call("DELETE", `/auth/sessions/${second.sid}`)).status, 204)
    assertProblem(await ada.call("DELETE", `/auth/sessions/${second.sid}`), 404, "session_not_found")
    assertProblem(await ada.call("DELETE", "/auth/sessions/current"), 400, "validation_failed")
    await assertAlive(ada)
    await assertAlive(bob)
    const events = await database.query("select 1 from auth_events where user_id = $1 and kind = 'session_revoked'", [bob.userId])
    assert.lengthOf(events, 0)
  })

  it("succeeds once among parallel requests", async () => {
    const [own, second] = (await sessions(2)) as [LoggedIn, LoggedIn]
    const replies = await Promise.all(
      times(20, (n) => personAt(n % 2 === 0 ? backend.url : other.url, own).call("DELETE", `/auth/sessions/${second.sid}`))
    )
    assert.deepStrictEqual(replies.map(({ status }) => status).sort(), [204, ...times(19, () => 404)])
  })
})

describe("a logout", () => {
  it.each([
    ["without a body", undefined],
    ["with an empty object", {}],
    ["with nothing at all as JSON", ""],
    ["named local", { scope: "local" }],
    ["with words we do not know", { all: true }]
  ])("%s ends this session and no other", async (_, body) => {
    const [own, second] = (await sessions(2)) as [LoggedIn, LoggedIn]
    const reply = await own.call("POST", "/auth/logout", body)
    assert.strictEqual(`${reply.status}${reply.text}`, "204")
    await assertDead(own)
    await assertAlive(second)
  })

  it("with scope `others` keeps the current session", async () => {
    const [own, second, third] = (await sessions(3)) as [LoggedIn, LoggedIn, LoggedIn]
    assert.strictEqual((await own.call("POST", "/auth/logout", { scope: "others" })).status, 204)
    for (const person of [second, third]) await assertDead(person)
    await assertAlive(own)
    assert.lengthOf(await list(own), 1)
  })

  it("with scope `global` ends all sessions of the user, and no others", async () => {
    const all = await sessions(3)
    const [bob] = (await sessions(1)) as [LoggedIn]
    assert.strictEqual((await (all[1] as LoggedIn).call("POST", "/auth/logout", { scope: "global" })).status, 204)
    for (const person of all) await assertDead(person)
    await assertAlive(bob)
  })

  it.each([{ scope: "all" }, { scope: null }, { scope: ["local"] }, { scope: "" }, []])(
    "is refused when it says %j, and ends nothing",
    async (body) => {
      const [own] = (await sessions(1)) as [LoggedIn]
      assertProblem(await own.call("POST", "/auth/logout", body), 400, "validation_failed")
      await assertAlive(own)
    }
  )
})

describe("the history of an account", () => {
  it("records each event with its session and client", async () => {
    const agent = { "user-agent": "Ada's phone" }
    const mobile = freshMobile()
    const [own, second] = [await people.enter(mobile, "login", agent), await people.enter(mobile, "login", agent)]
    await own.call("PATCH", "/user/me", { name: "Ada" }, agent)
    await own.call("DELETE", `/auth/sessions/${second.sid}`, undefined, agent)
    await own.call("POST", "/auth/change-password", { newPassword: "correct horse battery" }, agent)
    const third = await people.enter(mobile, "login", agent)
    await own.call("POST", "/auth/logout", { scope: "others" }, agent)
    // Ends no session, and so is no event.
    await own.call("POST", "/auth/logout", { scope: "others" }, agent)
    const recovery = await people.enter(mobile, "reset_password", agent)
    const rows = await database.query(
      "select kind, session_id, user_agent, address from auth_events where user_id = $1 order by at, id",
      [own.userId]
    )
    const by = { user_agent: "Ada's phone", address: "127.0.0.1" }
    assert.deepStrictEqual(rows, [
      { kind: "login", session_id: own.sid, ...by },
      { kind: "login", session_id: second.sid, ...by },
      { kind: "profile_changed", session_id: own.sid, ...by },
      { kind: "session_revoked", session_id: second.sid, ...by },
      { kind: "password_changed", session_id: null, ...by },
      { kind: "login", session_id: third.sid, ...by },
      { kind: "logout", session_id: own.sid, ...by },
      { kind: "recovery", session_id: recovery.sid, ...by }
    ])
  })

  it("only grows, and never changes", async () => {
    const [ada] = (await sessions(1)) as [LoggedIn]
    let refusal = ""
    await database
      .query("update auth_events set kind = 'logout' where user_id = $1", [ada.userId])
      .catch((error: Error) => (refusal = error.message))
    assert.match(refusal, /append-only/)
    assert.deepStrictEqual(await database.query("select kind from auth_events where user_id = $1", [ada.userId]), [
      { kind: "login" }
    ])
  })

  it("records no refused requests", async () => {
    const [ada] = (await sessions(1)) as [LoggedIn]
    await request(backend.url, "POST", "/auth/verify-otp", { body: { mobile: ada.mobile, otp: "000000" } })
    await ada.call("POST", "/auth/change-password", { newPassword: "short" })
    await ada.call("PATCH", "/user/me", { email: "none" })
    assert.lengthOf(await database.query("select 1 from auth_events where user_id = $1", [ada.userId]), 1)
  })
})
