import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { logIn, type Person, personAt, type Reply } from "../support/Client.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"
import { atEveryBackend, startBackends, type TestBackends } from "../support/TestBackends.ts"

const list = (person: Person, query = "", headers: Record<string, string> = {}) =>
  person.call("GET", `/chatroom${query}`, undefined, headers)
const from = (reply: Reply) => reply.headers.get("cache-status")
const titles = (reply: Reply): ReadonlyArray<string> => reply.body.data.map(({ title }: { title: string }) => title)

const hit = "chatrooms; hit"
/** A change drops the page twice: at once, and when its notification arrives. After that the page stays cached. */
const kept = (person: Person, query = "") =>
  until("a cache hit", async () => from(await list(person, query)) === hit, { seconds: 10 })
/** By then all notifications have arrived. */
const heard = () => sleep(500)
const miss = "chatrooms; fwd=miss"
const bypass = "chatrooms; fwd=bypass"

describe("the cached list of rooms", () => {
  let backends: TestBackends
  beforeAll(async () => {
    backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000" }, { ROLE: "api", BASIC_DAILY_PROMPTS: "1000" })
    // A backend serves before its listener is up.
    const ada = await backends.newUser()
    for (const person of atEveryBackend(backends, ada)) await until("a cache hit", async () => from(await list(person)) === hit)
  })
  afterAll(() => backends.stop())

  const newUser = async () => {
    const [here, there] = atEveryBackend(backends, await backends.newUser())
    if (here === undefined || there === undefined) throw new Error("two backends listen")
    return { here, there }
  }

  it("is a miss, then a hit with the same bytes, which the client must revalidate", async () => {
    const { here } = await newUser()
    await here.room({ title: "One" })
    const first = await list(here)
    await kept(here)
    const second = await list(here)
    assert.strictEqual(from(first), miss)
    assert.strictEqual(from(second), hit)
    assert.strictEqual(second.text, first.text)
    assert.strictEqual(second.headers.get("content-type"), first.headers.get("content-type"))
    for (const { headers } of [first, second]) {
      assert.strictEqual(headers.get("cache-control"), "private, no-cache")
      assert.match(headers.get("etag") ?? "", /^"[\w-]+"$/)
      assert.strictEqual(headers.get("etag"), first.headers.get("etag"))
    }
  })

  it("is 304 for its ETag alone, in a list, weak, or *; 200 for others", async () => {
    const { here } = await newUser()
    await here.room({ title: "One" })
    await heard()
    const etag = (await list(here)).headers.get("etag") ?? ""
    assert.strictEqual(from(await list(here, "", { "if-none-match": etag })), hit)
    for (const matching of [etag, `W/${etag}`, `"x", ${etag}`, `"x",W/${etag} , "y"`, "*"]) {
      const unchanged = await list(here, "", { "if-none-match": matching })
      assert.strictEqual(unchanged.status, 304, matching)
      assert.strictEqual(unchanged.text, "")
      assert.strictEqual(unchanged.headers.get("etag"), etag)
      assert.strictEqual(unchanged.headers.get("cache-control"), "private, no-cache")
    }
    for (const other of [`"x"`, "x", "", etag.replaceAll('"', ""), `"x", "y"`]) {
      assert.strictEqual((await list(here, "", { "if-none-match": other })).status, 200, other)
    }
    await here.room({ title: "Two" })
    const changed = await list(here, "", { "if-none-match": etag })
    assert.strictEqual(changed.status, 200)
    assert.notStrictEqual(changed.headers.get("etag"), etag)
  })

  it("has an ETag of its bytes: the same on every process and after a reverted change", async () => {
    const { here, there } = await newUser()
    const room = await here.room({ title: "One" })
    const before = await list(here)
    assert.strictEqual((await list(there)).headers.get("etag"), before.headers.get("etag"))
    await here.call("DELETE", `/chatroom/${await here.room({ title: "Two" })}`)
    assert.strictEqual((await list(here)).headers.get("etag"), before.headers.get("etag"))
    await here.call("PATCH", `/chatroom/${room}`, { title: "Renamed" })
    assert.notStrictEqual((await list(here)).headers.get("etag"), before.headers.get("etag"))
  })

  it("caches each page size, and drops all together", async () => {
    const { here } = await newUser()
    for (const title of ["a", "b", "c"]) await here.room({ title })
    await kept(here, "?limit=5")
    await heard()
    for (const [query, length] of [
      ["?limit=1", 1],
      ["?limit=2", 2],
      ["", 3],
      ["?limit=100", 3]
    ] as const) {
      const first = await list(here, query)
      assert.strictEqual(from(first), miss, query)
      assert.strictEqual(first.body.data.length, length)
      const second = await list(here, query)
      assert.strictEqual(from(second), hit, query)
      assert.strictEqual(second.text, first.text)
      assert.strictEqual(second.headers.get("link"), first.headers.get("link"))
      assert.strictEqual(second.body.hasMore, length < 3)
    }
    assert.strictEqual(from(await list(here, "?limit=1")), hit)
    assert.strictEqual(from(await list(here, "?limit=20")), hit, "the default size")
    await here.room({ title: "d" })
    for (const query of ["?limit=1", "?limit=2", "", "?limit=100"]) {
      const again = await list(here, query)
      assert.strictEqual(from(again), miss, query)
      assert.strictEqual(titles(again)[0], "d")
    }
  })

  it("caches several sizes that are requested in parallel", async () => {
    const { here } = await newUser()
    await here.room({ title: "a" })
    const queries = ["?limit=1", "?limit=2", "?limit=3", "?limit=4"]
    await heard()
    await Promise.all(queries.map((query) => list(here, query)))
    for (const query of queries) assert.strictEqual(from(await list(here, query)), hit, query)
  })

  it("does not cache archived rooms, a search or a later page", async () => {
    const { here } = await newUser()
    for (const title of ["a", "b", "c"]) await here.room({ title })
    const first = await list(here, "?limit=1")
    await heard()
    await kept(here)
    for (const query of ["?archived=true", "?q=a", `?limit=1&cursor=${encodeURIComponent(first.body.nextCursor)}`]) {
      for (let round = 0; round < 2; round++) assert.strictEqual(from(await list(here, query)), bypass, query)
    }
    assert.deepStrictEqual(titles(await list(here, "?q=a")), ["a"])
    assert.strictEqual(from(await list(here, "?archived=false")), hit)
  })

  it("shows the user's own change at once, of every kind", async () => {
    const { here } = await newUser()
    const seen = async (what: string, expected: ReadonlyArray<string>) => {
      const reply = await list(here)
      assert.deepStrictEqual(titles(reply), expected, what)
      assert.strictEqual(from(reply), miss, what)
      await kept(here)
      assert.deepStrictEqual(titles(await list(here)), expected, what)
    }
    for (let round = 0; round < 5; round++) {
      const one = await here.room({ title: "one" })
      await seen("create", ["one"])
      const two = await here.room({ title: "two" })
      await seen("create", ["two", "one"])
      await here.call("PATCH", `/chatroom/${one}`, { title: "uno" })
      await seen("rename", ["two", "uno"])
      await here.call("PATCH", `/chatroom/${one}`, { pinned: true })
      await seen("pin", ["uno", "two"])
      await here.call("PATCH", `/chatroom/${one}`, { pinned: false })
      await seen("unpin", ["two", "uno"])
      assert.strictEqual((await here.ask(one, "[[say x]]", { wait: 10 })).status, 201)
      await until("a cache hit", async () => from(await list(here)) === hit)
      assert.deepStrictEqual(titles(await list(here)), ["uno", "two"])
      await here.ask(two, "[[latency 100]] [[say x]]")
      assert.deepStrictEqual(titles(await list(here)), ["two", "uno"], "message")
      await here.call("PATCH", `/chatroom/${one}`, { archived: true })
      assert.deepStrictEqual(titles(await list(here)), ["two"], "archive")
      await here.call("PATCH", `/chatroom/${one}`, { archived: false })
      assert.deepStrictEqual(titles(await list(here)), ["two", "uno"], "unarchive")
      await here.call("DELETE", `/chatroom/${two}`)
      assert.deepStrictEqual(titles(await list(here)), ["uno"], "delete")
      await here.call("DELETE", `/chatroom/${one}`)
      assert.deepStrictEqual(titles(await list(here)), [])
    }
  })

  it("shows a change by another process soon", async () => {
    const { here, there } = await newUser()
    const room = await here.room({ title: "0" })
    const took: Array<number> = []
    for (let round = 1; round <= 30; round++) {
      await until("a cache hit", async () => from(await list(there)) === hit)
      await here.call("PATCH", `/chatroom/${room}`, { title: String(round) })
      const begun = performance.now()
      await until(`the title ${round}`, async () => titles(await list(there))[0] === String(round), { seconds: 10 })
      took.push(performance.now() - begun)
    }
    const other = await there.room({ title: "other" })
    await until("the other title", async () => titles(await list(here))[0] === "other", { seconds: 10 })
    await until("a cache hit", async () => from(await list(there)) === hit)
    await here.ask(room, "[[say x]]")
    const begun = performance.now()
    await until("the other title in second place", async () => titles(await list(there))[1] === "other", { seconds: 10 })
    process.stdout.write(
      `a rename is on another process after ${took.toSorted((a, b) => a - b)[15]?.toFixed(1)} ms (max ${Math.max(...took).toFixed(1)}), a message after ${(performance.now() - begun).toFixed(1)} ms\n`
    )
    await here.call("DELETE", `/chatroom/${other}`)
    await until("a list of one room", async () => titles(await list(there)).length === 1, { seconds: 10 })
  })

  it("never shows another user's rooms", async () => {
    const people = await Promise.all(Array.from({ length: 8 }, () => newUser()))
    await Promise.all(people.map(({ here }, index) => here.room({ title: `room of ${index}` })))
    await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        const person = people[index % people.length]
        assert.isDefined(person)
        const reply = await list(index % 3 === 0 ? person.there : person.here)
        assert.deepStrictEqual(titles(reply), [`room of ${index % people.length}`])
      })
    )
    const [one, other] = people
    assert.isDefined(one)
    assert.isDefined(other)
    const etag = (await list(one.here)).headers.get("etag") ?? ""
    assert.strictEqual((await list(other.here, "", { "if-none-match": etag })).status, 200)
  })

  it("is correct after parallel changes and reads", async () => {
    const { here, there } = await newUser()
    const rooms = await Promise.all(Array.from({ length: 5 }, (_, index) => here.room({ title: `room ${index}` })))
    for (let round = 0; round < 20; round++) {
      await Promise.all([
        ...rooms.map((room, index) =>
          (index % 2 === 0 ? here : there).call("PATCH", `/chatroom/${room}`, {
            title: `${round}.${index}`,
            pinned: (round + index) % 3 === 0
          })
        ),
        ...Array.from({ length: 12 }, (_, index) => list(index % 2 === 0 ? here : there, `?limit=${20 + (index % 3)}`))
      ])
    }
    await heard()
    const truth = titles(await list(here, "?q=19."))
    assert.strictEqual(truth.length, 5)
    for (const person of [here, there])
      for (const limit of [20, 21, 22]) assert.deepStrictEqual(titles(await list(person, `?limit=${limit}`)), truth)
  })

  it("is bypassed while its listener is down, and empty when it is back", async () => {
    const { here } = await newUser()
    const room = await here.room({ title: "before" })
    await heard()
    await kept(here)
    const listeners = await backends.database.query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = current_database() and application_name = 'chat-backend notifications' and query ilike 'listen%'"
    )
    assert.strictEqual(listeners.length, 2)
    for (const { pid } of listeners) await backends.database.query("select pg_terminate_backend($1)", [pid])
    // Directly in the database, without a notification.
    await until("no cache hit", async () => from(await list(here)) !== hit, { seconds: 10 })
    await backends.database.query("update chatrooms set title = 'meanwhile' where id = $1", [room])
    const states: Array<string> = []
    await until("a cache hit", async () => {
      const reply = await list(here)
      assert.deepStrictEqual(titles(reply), ["meanwhile"])
      states.push(from(reply) ?? "")
      return states.at(-1) === hit
    })
    assert.strictEqual(states.at(-2), miss)
    for (const state of states.slice(0, -2)) assert.strictEqual(state, bypass)
  })
})

describe("the cached list of rooms without a listener", () => {
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

  it("reads from the database, and serves nothing cached or filled before the listener is back", async () => {
    const there = await logIn(other.url)
    const here = personAt(cutOff.url, there)
    const room = await there.room({ title: "0" })
    await until("a cache hit", async () => from(await list(here)) === hit)
    proxy.cut()
    await until("the list to bypass the cache", async () => from(await list(here)) === bypass, { seconds: 10 })
    for (let round = 1; round <= 20; round++) {
      await there.call("PATCH", `/chatroom/${room}`, { title: String(round) })
      const reply = await list(here)
      assert.deepStrictEqual(titles(reply), [String(round)])
      assert.strictEqual(from(reply), bypass)
      assert.strictEqual((await list(here, "", { "if-none-match": reply.headers.get("etag") ?? "" })).status, 304)
    }
    assert.isAbove(proxy.refused(), 0)
    // Reads that are in progress when the listener returns.
    let over = false
    const reading = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!over) await list(here)
      })
    )
    await there.call("PATCH", `/chatroom/${room}`, { title: "last" })
    proxy.restore()
    await until("a cache hit", async () => from(await list(here)) === hit)
    over = true
    await reading
    assert.deepStrictEqual(titles(await list(here)), ["last"])
    await there.call("PATCH", `/chatroom/${room}`, { title: "heard" })
    await until("the title heard", async () => titles(await list(here))[0] === "heard", { seconds: 10 })
  })
})
