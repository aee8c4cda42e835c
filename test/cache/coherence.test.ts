import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { until } from "../support/wait.ts"
import { atEveryBackend, startBackends, type TestBackends } from "../support/TestBackends.ts"
import { spread } from "../support/measure.ts"

const changes = Number(process.env["COHERENCE_CHANGES"] ?? 300)

/** A generator with the same numbers in every run. */
const makeRandom = (seed: number) => {
  let state = seed
  return (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const startPair = async (): Promise<TestBackends> => {
  const settings = { BASIC_DAILY_PROMPTS: "1000000", LOG_LEVEL: "none" }
  const backends = await startBackends(settings, { ROLE: "api", ...settings })
  const ada = await backends.newUser()
  for (const person of atEveryBackend(backends, ada)) {
    await until(
      "a cache hit",
      async () => (await person.call("GET", "/chatroom")).headers.get("cache-status") === "chatrooms; hit"
    )
  }
  return backends
}

/** The list as it is in the database. */
const truth = async (backends: TestBackends, person: Person) => {
  const rows = await backends.database.query<{ id: string; title: string; pinned: boolean }>(
    `select id, title, pinned from chatrooms where user_id = $1 and archived_at is null
     order by pinned desc, active_at desc, id desc limit 20`,
    [person.userId]
  )
  return rows.map(({ id, pinned, title }) => `${id} ${title} ${pinned}`).join("\n")
}

const read = async (person: Person) => {
  const reply = await person.call("GET", "/chatroom")
  assert.strictEqual(reply.status, 200)
  const list: ReadonlyArray<{ id: string; title: string; pinned: boolean }> = reply.body.data
  return {
    from: reply.headers.get("cache-status") ?? "",
    text: list.map(({ id, pinned, title }) => `${id} ${title} ${pinned}`).join("\n")
  }
}

interface Tally {
  readonly stale: Array<number>
  readonly from: Map<string, number>
  changes: number
}

/** Changes rooms at random on both processes, and after each change reads on both until the list is right. */
const wander = async (backends: TestBackends, user: number, isOver: (made: number) => boolean, tally: Tally) => {
  const random = makeRandom(user + 1)
  const processes = atEveryBackend(backends, await backends.newUser())
  const rooms: Array<string> = []
  let over = false
  // Constant reads, so that fills are in progress when changes come.
  const readers = Promise.all(
    processes.map(async (person) => {
      while (!over) {
        await read(person)
        await sleep(random(5))
      }
    })
  )
  for (let made = 0; !isOver(made); made++) {
    const writer = processes[random(processes.length)]
    const room = rooms[random(rooms.length)]
    assert.isDefined(writer)
    const kind = rooms.length < 3 ? 0 : rooms.length > 12 ? 9 : random(10)
    if (kind < 2 || room === undefined) rooms.push(await writer.room({ title: `made ${made}` }))
    else if (kind < 4)
      assert.strictEqual((await writer.call("PATCH", `/chatroom/${room}`, { title: `renamed ${made}` })).status, 200)
    else if (kind < 6)
      assert.strictEqual((await writer.call("PATCH", `/chatroom/${room}`, { pinned: random(2) === 0 })).status, 200)
    else if (kind < 9) assert.include([202, 409], (await writer.ask(room, `[[say ${made}]]`)).status)
    else {
      assert.strictEqual((await writer.call("DELETE", `/chatroom/${room}`)).status, 204)
      rooms.splice(rooms.indexOf(room), 1)
    }
    const done = performance.now()
    const expected = await truth(backends, writer)
    await Promise.all(
      processes.map(async (person) => {
        for (let first = true; ; first = false) {
          const begun = performance.now()
          const { from, text } = await read(person)
          if (first) tally.from.set(from, (tally.from.get(from) ?? 0) + 1)
          if (text === expected) return void tally.stale.push(first ? 0 : begun - done)
          if (person.call === writer.call) assert.fail(`its own process did not show change ${made}`)
          if (begun - done > 5_000) assert.fail(`change ${made} was not seen in 5 s`)
          await sleep(1)
        }
      })
    )
    tally.changes++
  }
  over = true
  await readers
}

const report = (what: string, { changes, from, stale }: Tally) =>
  process.stdout.write(
    `${what}: ${changes} changes, ${stale.length} reads after them, ${stale.filter((millis) => millis > 0).length} stale at first; staleness ${spread(stale)}; ${JSON.stringify(Object.fromEntries(from))}\n`
  )

describe("the list of rooms of one user on two processes", () => {
  let backends: TestBackends
  beforeAll(async () => {
    backends = await startPair()
  })
  afterAll(() => backends.stop())

  it(`agrees soon after each of ${changes} random changes`, { timeout: 600_000 }, async () => {
    const users = 4
    const tally: Tally = { stale: [], from: new Map(), changes: 0 }
    await Promise.all(
      Array.from({ length: users }, (_, user) => wander(backends, user, (made) => made >= changes / users, tally))
    )
    report("coherence", tally)
    assert.isAtLeast(tally.changes, changes)
    assert.isBelow(Math.max(...tally.stale), 2_000)
  })

  it("agrees also while the listeners are killed every second", { timeout: 60_000 }, async () => {
    const tally: Tally = { stale: [], from: new Map(), changes: 0 }
    const end = performance.now() + 8_000
    let kills = 0
    const killing = (async () => {
      while (performance.now() < end) {
        const killed = await backends.database.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'chat-backend notifications' and query ilike 'listen%'"
        )
        kills += killed.length
        await sleep(1_000)
      }
    })()
    await Promise.all(Array.from({ length: 3 }, (_, user) => wander(backends, 100 + user, () => performance.now() > end, tally)))
    await killing
    report(`coherence with ${kills} killed listeners`, tally)
    assert.isAbove(kills, 6, "listeners were killed")
    assert.isAbove(tally.changes, 50)
    assert.isBelow(Math.max(...tally.stale), 2_000)

    // Two seconds after the listeners' return, nothing that was filled meanwhile is left.
    await sleep(2_000)
    const [person] = atEveryBackend(backends, await backends.newUser())
    assert.isDefined(person)
    const tallyAfter: Tally = { stale: [], from: new Map(), changes: 0 }
    await wander(backends, 200, (made) => made >= 20, tallyAfter)
    assert.isBelow(Math.max(...tallyAfter.stale), 1_000)
    assert.isUndefined(tallyAfter.from.get("chatrooms; fwd=bypass"))
  })
})
