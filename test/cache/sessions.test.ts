import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, personAt } from "../support/Client.ts"
import { createDatabase, forgetThrottles, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { atEveryBackend, startBackends, type TestBackends } from "../support/TestBackends.ts"

const me = (person: Person) => person.call("GET", "/user/me")

/** As the product's writers do: the change and its notification in one transaction. */
const revoke = (database: Pick<TestDatabase, "query">, person: Person) =>
  database.query(
    "with gone as (update sessions set revoked_at = now() where user_id = $1 returning user_id) select pg_notify('changed', 'sessions:' || user_id) from gone",
    [person.userId]
  )
/** Without a word to anybody. */
const revokeSilently = (database: Pick<TestDatabase, "query">, person: Person) =>
  database.query("update sessions set revoked_at = now() where user_id = $1", [person.userId])

const refused = async (person: Person) => {
  const reply = await me(person)
  return reply.status === 401 && reply.body.code === "session_revoked"
}

describe("the session cache", () => {
  let backends: TestBackends
  beforeAll(async () => {
    backends = await startBackends({ ROLE: "api" }, { ROLE: "api" })
    // A backend serves before its listener is up.
    const ada = await backends.newUser()
    for (const person of atEveryBackend(backends, ada)) {
      await until(
        "a cache hit",
        async () => (await person.call("GET", "/chatroom")).headers.get("cache-status") === "chatrooms; hit"
      )
    }
  })
  afterAll(() => backends.stop())

  it("serves a session from memory until a notification drops it", async () => {
    const processes = atEveryBackend(backends, await backends.newUser())
    for (const person of processes) assert.strictEqual((await me(person)).status, 200)
    for (const person of processes.slice(0, 1)) await revokeSilently(backends.database, person)
    for (const person of processes) assert.strictEqual((await me(person)).status, 200)
  })

  it("drops a revoked session in every process within moments", async () => {
    const took: Array<number> = []
    for (let round = 0; round < 20; round++) {
      const processes = atEveryBackend(backends, await backends.newUser())
      for (const person of processes) assert.strictEqual((await me(person)).status, 200)
      const [first] = processes
      assert.isDefined(first)
      await revoke(backends.database, first)
      const begun = performance.now()
      await Promise.all(processes.map((person) => until("the session to be refused", () => refused(person))))
      took.push(performance.now() - begun)
      for (const person of processes) assert.isTrue(await refused(person))
    }
    const median = took.toSorted((a, b) => a - b)[10] ?? Infinity
    process.stdout.write(
      `a revoked session is refused everywhere after ${median.toFixed(1)} ms (max ${Math.max(...took).toFixed(1)})\n`
    )
    assert.isBelow(median, 500)
  })

  it("does not keep a session that is revoked while it is read", async () => {
    for (let round = 0; round < 10; round++) {
      const processes = atEveryBackend(backends, await backends.newUser())
      const [first] = processes
      assert.isDefined(first)
      // Fills under way on both processes when the change comes, and others right after it.
      const reading = Promise.all(
        processes.flatMap((person) =>
          Array.from({ length: 8 }, async (_, index) => {
            await sleep(index * 2)
            return me(person)
          })
        )
      )
      await sleep(round)
      await revoke(backends.database, first)
      await reading
      for (const person of processes) await until("the session to be refused", () => refused(person))
      for (const person of processes) assert.isTrue(await refused(person), `round ${round}`)
    }
  })

  it("keeps other users' sessions, and does not cache refusals", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    await me(bob)
    await revoke(backends.database, ada)
    await until("the session to be refused", () => refused(ada))
    assert.strictEqual((await me(bob)).status, 200)
    // Past the product and silently: what was refused is looked at again.
    await backends.database.query("update sessions set revoked_at = null where user_id = $1", [ada.userId])
    assert.strictEqual((await me(ada)).status, 200)
  })

  it("refuses a revoked session while another session of its user is read", async () => {
    const ada = await backends.newUser()
    await forgetThrottles(backends.database)
    const again = await logIn(backends.urls[0] ?? "", ada.mobile)
    assert.strictEqual(again.userId, ada.userId)
    assert.strictEqual((await me(ada)).status, 200)
    const [row] = await backends.database.query<{ id: string }>(
      "select id from sessions where user_id = $1 order by id limit 1",
      [ada.userId]
    )
    const reading = Promise.all(Array.from({ length: 20 }, () => me(again)))
    await backends.database.query(
      "with gone as (update sessions set revoked_at = now() where user_id = $1 and id = $2 returning user_id) select pg_notify('changed', 'sessions:' || user_id) from gone",
      [ada.userId, row?.id]
    )
    await reading
    await until("the session to be refused", () => refused(ada))
    await Promise.all(Array.from({ length: 20 }, () => me(again)))
    assert.isTrue(await refused(ada))
    assert.strictEqual((await me(again)).status, 200)
  })
})

describe("the session cache without a listener", () => {
  let database: TestDatabase
  let proxy: TcpProxy
  let cutOff: Awaited<ReturnType<typeof startBackend>>
  let other: Awaited<ReturnType<typeof startBackend>>
  beforeAll(async () => {
    database = await createDatabase()
    proxy = await TcpProxy.start(database.url)
    cutOff = await startBackend({
      DATABASE_URL: database.url,
      DATABASE_DIRECT_URL: proxy.through(database.url),
      ROLE: "api",
      LOG_LEVEL: "none"
    })
    other = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
  })
  afterAll(async () => {
    await Promise.all([cutOff.stop(), other.stop()])
    await proxy.stop()
    await database.drop()
  })
  const listState = async (person: Person) => (await person.call("GET", "/chatroom")).headers.get("cache-status")

  it("is bypassed: a revocation counts at once, also one without a notification", async () => {
    const ada = personAt(cutOff.url, await logIn(other.url))
    const bob = personAt(cutOff.url, await logIn(other.url))
    await until("a cache hit", async () => (await listState(ada)) === "chatrooms; hit")
    for (const person of [ada, bob]) assert.strictEqual((await me(person)).status, 200)
    proxy.cut()
    await until("the list to bypass the cache", async () => (await listState(bob)) === "chatrooms; fwd=bypass")
    assert.strictEqual((await me(ada)).status, 200)
    await revokeSilently(database, ada)
    assert.isTrue(await refused(ada))
    // What was read while it was down is not what is served when it is back.
    assert.strictEqual((await me(bob)).status, 200)
    await revoke(database, bob)
    proxy.restore()
    for (let look = 0; look < 50; look++) {
      assert.isTrue(await refused(bob))
      assert.isTrue(await refused(ada))
      await sleep(20)
    }
    const carol = personAt(cutOff.url, await logIn(other.url))
    await until("a cache hit", async () => (await listState(carol)) === "chatrooms; hit")
  })
})
