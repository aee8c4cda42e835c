import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"
import { assertProblem, peopleAt } from "./People.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let people: ReturnType<typeof peopleAt>

beforeAll(async () => {
  database = await createDatabase()
  const settings = { ROLE: "all", PASSWORD_LOGIN: "true", SESSION_MAX_DAYS: "7" }
  backend = await startBackend({ DATABASE_URL: database.url, ...settings })
  people = peopleAt(backend.url, database)
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const countOf = async (table: string, where: string, userId: string) =>
  (await database.query<{ n: number }>(`select count(*)::int as n from ${table} where user_id = $1 and ${where}`, [userId]))[0]?.n
const forget = (table: string) => database.query("select graphile_worker.add_job($1)", [`forget_${table}`])

describe("a user", () => {
  it("has at most 100 sessions: another login ends the oldest", async () => {
    const ada = await people.enter()
    await database.query(
      `insert into sessions (user_id, id, expires_at)
       select $1, ('ffffffff-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, now() + interval '1 day' from generate_series(1, 99) n`,
      [ada.userId]
    )
    assert.strictEqual((await ada.call("GET", "/user/me")).status, 200)
    await people.enter(ada.mobile)
    assertProblem(await ada.call("GET", "/user/me"), 401, "session_revoked")
    assert.strictEqual(await countOf("sessions", "revoked_at is null", ada.userId), 100)
  })

  it("can log in with the password 60 times in an hour", async () => {
    const ada = await people.enter()
    const password = "correct horse battery staple"
    assert.strictEqual((await ada.call("POST", "/auth/change-password", { newPassword: password })).status, 204)
    const login = async () => (await people.post("/auth/login", { mobile: ada.mobile, password })).status
    await people.forget()
    const statuses = []
    for (let n = 0; n < 61; n++) statuses.push(await login())
    assert.deepStrictEqual([...new Set(statuses.slice(0, 60))], [200])
    assert.strictEqual(statuses[60], 429)
  })

  it("can change the profile 60 times in an hour, and ends no other sessions without an event", async () => {
    const ada = await people.enter()
    await people.forget()
    for (let n = 0; n < 60; n++) assert.strictEqual((await ada.call("PATCH", "/user/me", { name: `Ada ${n}` })).status, 200)
    assertProblem(await ada.call("PATCH", "/user/me", { name: "Ada" }), 429, "too_many_attempts")
    for (let n = 0; n < 5; n++) assert.strictEqual((await ada.call("POST", "/auth/logout", { scope: "others" })).status, 204)
    assert.strictEqual(await countOf("auth_events", "true", ada.userId), 61)
  })

  it("keeps the newest 1,000 events of the last 365 days", async () => {
    const [ada, bob] = [await people.enter(), await people.enter()]
    const insert = (userId: string, count: number, at: string) =>
      database.query(
        `insert into auth_events (user_id, id, kind, at) select $1, gen_random_uuid(), 'logout', now() - $3::interval
         from generate_series(1, $2::int)`,
        [userId, count, at]
      )
    await insert(ada.userId, 1_500, "1 day")
    await insert(bob.userId, 5, "366 days")
    await forget("auth_events")
    await until("the sweep", async () => (await countOf("auth_events", "true", ada.userId)) === 1_000)
    await until("the sweep", async () => (await countOf("auth_events", "true", bob.userId)) === 1)
  })

  it("is deleted after a week without proving the number", async () => {
    const ids: Array<string> = []
    for (const mobile of ["+919812300001", "+919812300002"]) {
      ids.push((await people.post("/auth/signup", { mobile })).body.user.id)
    }
    await database.query("update users set pending_since = now() - interval '8 days' where id = $1", [ids[0]])
    await forget("users")
    const left = async () =>
      (await database.query<{ id: string }>("select id from users where id = any ($1)", [ids])).map(({ id }) => id)
    await until("the sweep", async () => (await left()).length === 1)
    assert.deepStrictEqual(await left(), [ids[1]])
  })
})

describe("a session with SESSION_MAX_DAYS", () => {
  it("ends that long after its login, however often it is refreshed", async () => {
    const ada = await people.enter()
    const lifetime = async () =>
      (
        await database.query<{ days: number }>(
          "select extract(epoch from expires_at - created_at)::float8 / 86400 as days from sessions where id = $1",
          [ada.sid]
        )
      )[0]?.days
    assert.closeTo((await lifetime()) ?? 0, 7, 0.01)
    await database.query(
      "update sessions set created_at = created_at - interval '6 days', expires_at = expires_at - interval '6 days' where id = $1",
      [ada.sid]
    )
    assert.strictEqual((await people.post("/auth/refresh", { refreshToken: ada.refreshToken })).status, 200)
    assert.closeTo((await lifetime()) ?? 0, 7, 0.01)
  })
})
