import { readdirSync } from "node:fs"
import http from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import v8 from "node:v8"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { EventStream } from "../../src/stream/EventStream.ts"
import { ReplyFeed } from "../../src/stream/ReplyFeed.ts"
import { type Person, personAt } from "../support/Client.ts"
import { openStream, type Place, readAll } from "./SseClient.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { sendQuestion, awaitStatus } from "../support/messages.ts"

/** Counts reachable objects; `queryObjects` collects garbage first. */
const streams = () => v8.queryObjects(EventStream, { format: "count" })
const feeds = () => v8.queryObjects(ReplyFeed, { format: "count" })

describe("a thousand connects and disconnects", () => {
  let backends: TestBackends
  let apiOnly: string
  let withWorker: string
  let users: Array<{ readonly person: Person; readonly running: Place; readonly held: Place }>

  beforeAll(async () => {
    backends = await startTwoBackends()
    ;[apiOnly, withWorker] = bothUrls(backends)
    users = await Promise.all(
      (await backends.newUsers(20)).map(async (person) => {
        const running = await sendQuestion(person, "[[length 4000]] [[chunks 400 delay 100]] A long one.")
        return { person, running, held: await sendQuestion(person, "[[say in a moment]]", running.room) }
      })
    )
    await Promise.all(users.map(({ person, running }) => awaitStatus(person, running, "processing")))
  })
  afterAll(() => backends.stop())

  const connections = async () =>
    (await backends.database.query("select 1 from pg_stat_activity where datname = current_database()")).length
  const descriptors = () => readdirSync("/proc/self/fd").length
  /** The least number of each kind in twenty samples, because ticks, polls and queries come and go. */
  const resources = async () => {
    let fewest: ReadonlyMap<string, number> | undefined
    for (let look = 0; look < 20; look++) {
      const counts = new Map<string, number>()
      for (const name of process.getActiveResourcesInfo()) counts.set(name, (counts.get(name) ?? 0) + 1)
      const before = fewest ?? counts
      fewest = new Map([...before].map(([name, count]) => [name, Math.min(count, counts.get(name) ?? 0)]))
      await sleep(25)
    }
    return Object.fromEntries(fewest ?? [])
  }

  /** Disconnects so many milliseconds after the request was sent, or after it was answered. */
  const brief = (base: string, person: Person, { reply, room }: Place, since: "request" | "answer", millis: number) =>
    new Promise<number | undefined>((resolve) => {
      let status: number | undefined
      const request = http.get(`${base}/chatroom/${room}/message/${reply}/stream`, {
        agent: false,
        headers: { authorization: `Bearer ${person.token}` }
      })
      request.on("response", (response) => {
        status = response.statusCode
        response.resume().on("error", () => {})
        if (since === "answer") setTimeout(() => request.destroy(), millis)
      })
      request.on("error", () => {})
      request.on("close", () => resolve(status))
      if (since === "request") setTimeout(() => request.destroy(), millis)
    })

  const leavings: ReadonlyArray<["request" | "answer", number]> = [
    ["request", 0],
    ["request", 3],
    ["request", 15],
    ["answer", 0],
    ["answer", 5],
    ["answer", 50],
    ["answer", 200]
  ]

  const churn = async (connects: number) => {
    const answers = await Promise.all(
      users.map(async ({ held, person, running }, user) => {
        const statuses: Array<number | undefined> = []
        for (let round = 0; round < connects / users.length; round += 5) {
          const five = times(5, (index) => {
            const number = user + round + index
            // Some disconnect before the answer, some in the middle of the text.
            const [since, millis] = leavings[number % leavings.length] ?? ["answer", 0]
            return brief(number % 2 === 0 ? apiOnly : withWorker, person, number % 3 === 0 ? held : running, since, millis)
          })
          statuses.push(...(await Promise.all(five)))
        }
        return statuses
      })
    )
    return answers.flat()
  }

  it("leak no stream, connection, descriptor or timer", { timeout: 180_000 }, async () => {
    // The first round opens the connections of the pools, which stay open.
    await churn(100)
    await until("all streams to end", () => streams() === 0, { seconds: 30 })
    await sleep(500)
    const before = { connections: await connections(), descriptors: descriptors(), resources: await resources() }

    const statuses = await churn(1_000)
    assert.strictEqual(statuses.length, 1_000)
    const counts = new Map<number | undefined, number>()
    for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1)
    // Some are answered with a stream, some disconnect before any answer; a slot is free a moment after its client has left.
    assert.isAbove(counts.get(200) ?? 0, 100, JSON.stringify([...counts]))
    assert.isAbove(counts.get(undefined) ?? 0, 100, JSON.stringify([...counts]))

    // A busy machine takes a while to notice that a thousand have left.
    await until("all streams and feeds to end", () => streams() === 0 && feeds() === 0, { seconds: 30 })
    // Pools may have grown meanwhile; a leaked connection for each stream would be a hundred times that.
    await until("the connections to Postgres to end", async () => (await connections()) <= before.connections + 10, {
      seconds: 30
    })
    await until("the descriptors to close", () => descriptors() <= before.descriptors + 20, { seconds: 30 }).catch(() => {})
    assert.isAtMost(descriptors(), before.descriptors + 20)
    const after = await resources()
    for (const [name, count] of Object.entries(after)) {
      // Ticks and pools have about a hundred timers, also after 2,000 connects; a leaked one for each connect would show.
      const slack = name === "Timeout" ? 200 : 20
      assert.isAtMost(
        count,
        (before.resources[name] ?? 0) + slack,
        `${name}: ${JSON.stringify({ before: before.resources, after })}`
      )
    }
    // Each user's five streams can be opened again, on both processes.
    for (const { person, running } of users.slice(0, 5)) {
      for (const base of [withWorker, apiOnly]) {
        const five = await Promise.all(times(5, () => openStream(base, person, running)))
        assert.deepStrictEqual(
          five.map(({ status }) => status),
          [200, 200, 200, 200, 200]
        )
        for (const stream of five) stream.leave()
      }
    }
  })

  it("leave the replies as they were", async () => {
    for (const { person, running } of users) {
      const { body } = await personAt(withWorker, person).call("GET", `/chatroom/${running.room}/message/${running.reply}`)
      assert.strictEqual(body.status, "processing")
      assert.strictEqual(body.attempt, 1)
    }
  })

  it("leave no running text in the database once the replies have ended", { timeout: 40_000 }, async () => {
    const rows = async (table: string) =>
      Number((await backends.database.query<{ count: string }>(`select count(*) from ${table}`))[0]?.count)
    assert.isAbove(await rows("stream_log"), 0)
    assert.isAbove(await rows("stream_segments"), 0)
    await Promise.all(
      users.map(async ({ held, person, running }) => {
        const cancelled = await person.call("POST", `/chatroom/${running.room}/message/${running.reply}/cancel`)
        assert.strictEqual(cancelled.status, 200)
        await readAll(withWorker, person, held)
      })
    )
    await until("no stream segments", async () => (await rows("stream_segments")) === 0, { seconds: 30 })
    // Rows of the delta log are kept for ten seconds.
    await until("an empty stream log", async () => (await rows("stream_log")) === 0)
    assert.strictEqual(streams(), 0)
  })

  it("are followed by a sweep of what dead workers have left", { timeout: 60_000 }, async () => {
    const [user] = users
    assert.isDefined(user)
    await backends.database.query(
      "insert into stream_log (worker_no, tick, body, written_at) values (1000, 1, '[]', now() - interval '2 minutes'), (1000, 2, '[]', now())"
    )
    await backends.database.query("insert into stream_segments values ($1, $2, 1, 0, 'of an ended reply')", [
      user.person.userId,
      user.running.reply
    ])
    await until("no stream segments", async () => (await backends.database.query("select 1 from stream_segments")).length === 0, {
      seconds: 35
    })
    const left = await backends.database.query<{ tick: string }>("select tick from stream_log where worker_no = 1000")
    assert.deepStrictEqual(
      left.map(({ tick }) => Number(tick)),
      [2]
    )
  })
})
