import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, type LoggedIn, peopleAt } from "./People.ts"

let database: TestDatabase
let backend: Awaited<ReturnType<typeof startBackend>>
let people: ReturnType<typeof peopleAt>

beforeAll(async () => {
  database = await createDatabase()
  backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api", PASSWORD_LOGIN: "true", LOG_LEVEL: "none" })
  people = peopleAt(backend.url, database)
  await database.query(`create function refuse() returns trigger language plpgsql as $$
    begin
      raise exception 'not this one';
    end $$`)
})
afterAll(async () => {
  await backend.stop()
  await database.drop()
})

const good = "correct horse battery staple"
const better = "another horse, another battery"

/** Where a change can fail: at the password, at its record, at the sessions that end. */
const places: ReadonlyArray<readonly [table: string, event: string]> = [
  ["users", "update"],
  ["auth_events", "insert"],
  ["sessions", "update"]
]

/** Runs while every such statement fails. */
const whileRefused = async <A>([table, event]: readonly [table: string, event: string], work: () => Promise<A>): Promise<A> => {
  await database.query(`create trigger refuse before ${event} on ${table} for each row execute function refuse()`)
  try {
    return await work()
  } finally {
    await database.query(`drop trigger refuse on ${table}`)
  }
}

/** Somebody with the good password, logged in at two places. */
const someone = async () => {
  const ada = await people.enter()
  assert.strictEqual((await ada.call("POST", "/auth/change-password", { newPassword: good })).status, 204)
  return { ada, elsewhere: await people.enter(ada.mobile) }
}

/** All that a new password changes. */
const stateOf = async (person: LoggedIn) => {
  const [row] = await database.query(
    `select u.password_hash, u.updated_at, u.name,
      (select count(*)::int from auth_events e where e.user_id = u.id) as events,
      (select array_agg(s.revoked_at is null order by s.id) from sessions s where s.user_id = u.id) as alive
     from users u where u.id = $1`,
    [person.userId]
  )
  return row
}
const logIn = (mobile: string, password: string) => people.post("/auth/login", { mobile, password })
const statusOf = async (person: LoggedIn) => (await person.call("GET", "/user/me")).status

describe.each(places)("when %s refuses an %s", (...place) => {
  it("a change of the password changes nothing", async () => {
    const { ada, elsewhere } = await someone()
    const before = await stateOf(ada)
    const change = { currentPassword: good, newPassword: better }
    const reply = await whileRefused(place, () => ada.call("POST", "/auth/change-password", change))
    assertProblem(reply, 500, "internal")
    assert.deepStrictEqual(await stateOf(ada), before)
    assert.deepStrictEqual([await statusOf(ada), await statusOf(elsewhere)], [200, 200])
    assertProblem(await logIn(ada.mobile, better), 401, "credentials_invalid")
    // And then it changes everything.
    assert.strictEqual((await ada.call("POST", "/auth/change-password", change)).status, 204)
    assert.deepStrictEqual([await statusOf(ada), await statusOf(elsewhere)], [200, 401])
    assert.strictEqual((await logIn(ada.mobile, better)).status, 200)
  })

  it("a reset of the password changes nothing but that the code is used up", async () => {
    const { ada, elsewhere } = await someone()
    const code = await people.code(ada.mobile, "reset_password")
    const before = await stateOf(ada)
    const reset = { mobile: ada.mobile, ...code, newPassword: better }
    assertProblem(await whileRefused(place, () => people.post("/auth/reset-password", reset)), 500, "internal")
    const after = await stateOf(ada)
    // The code has proved the number, and that is noted before.
    assert.deepStrictEqual({ ...after, updated_at: before?.["updated_at"] }, before)
    assert.deepStrictEqual([await statusOf(ada), await statusOf(elsewhere)], [200, 200])
    assert.strictEqual((await logIn(ada.mobile, good)).status, 200)
    assertProblem(await people.post("/auth/reset-password", reset), 400, "otp_invalid")
    const again = { ...reset, ...(await people.code(ada.mobile, "reset_password")) }
    assert.strictEqual((await people.post("/auth/reset-password", again)).status, 204)
    assert.deepStrictEqual([await statusOf(ada), await statusOf(elsewhere)], [401, 401])
  })
})

describe("when the record refuses an insert", () => {
  it("a change of the profile changes nothing", async () => {
    const { ada } = await someone()
    const before = await stateOf(ada)
    const reply = await whileRefused(["auth_events", "insert"], () => ada.call("PATCH", "/user/me", { name: "Ada" }))
    assertProblem(reply, 500, "internal")
    assert.deepStrictEqual(await stateOf(ada), before)
    assert.strictEqual((await request(backend.url, "GET", "/user/me", { token: ada.token })).body.name, null)
  })
})
