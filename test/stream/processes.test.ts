import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { newUser } from "../support/Users.ts"
import { isTerminal, openStream, readAll } from "./SseClient.ts"
import { until } from "../support/wait.ts"
import { sendQuestion, readEnded, usedToday } from "../support/messages.ts"
import { personAt } from "../support/Client.ts"
import { makeStreamProcesses, type StreamProcess, type StreamProcesses } from "./StreamProcesses.ts"

describe("streams and processes that end", () => {
  let processes: StreamProcesses
  let database: StreamProcesses["database"]
  let one: StreamProcess
  let other: StreamProcess
  let worker: StreamProcess

  beforeAll(async () => {
    processes = await makeStreamProcesses()
    const { start } = processes
    database = processes.database
    ;[one, other, worker] = await Promise.all([start("api"), start("api"), start("worker")])
  })
  afterAll(() => processes.stop())

  it("ends the streams of an api on SIGTERM, and another api resumes them", async () => {
    const ada = await newUser(other.url, database)
    const place = await sendQuestion(ada, "[[length 2000]] [[unicode]] [[chunks 100 delay 60]]")
    const queued = await sendQuestion(ada, "[[say next]]", place.room)
    const [reading, idle] = await Promise.all([openStream(one.url, ada, place), openStream(one.url, ada, queued)])
    await reading.first(({ text }) => text.length > 300)
    const signalledAt = performance.now()
    const exited = one.kill("SIGTERM")
    assert.strictEqual(await reading.closed, "end")
    assert.strictEqual(await idle.closed, "end")
    assert.isBelow(performance.now() - signalledAt, 5_000)
    for (const stream of [reading, idle]) {
      assert.isBelow(stream.parser.retries.at(-1) ?? Infinity, 1_000)
      assert.strictEqual(stream.parser.retries.length, 2)
      assert.strictEqual(stream.events.filter(isTerminal).length, 0)
    }
    assert.isBelow(reading.text().length, 2_000)

    const resumed = await readAll(other.url, ada, place, { lastEventId: reading.parser.lastId ?? "", having: reading.text() })
    assert.strictEqual(resumed.text(), (await readEnded(ada, place)).content)
    assert.notInclude(
      resumed.events.map(({ name }) => name),
      "replace"
    )
    assert.strictEqual((await readAll(other.url, ada, queued)).text(), "next")
    assert.deepStrictEqual(await exited, { code: 0, signal: null })
  })

  it(
    "streams the whole answer on the same connection after its worker is killed, and cancels without a worker",
    { timeout: 90_000 },
    async () => {
      const [ada, bob] = [await newUser(other.url, database), await newUser(other.url, database)]
      const place = await sendQuestion(ada, "[[length 1500]] [[chunks 50 delay 100]]")
      const his = await sendQuestion(bob, "[[length 2000]] [[chunks 100 delay 100]]")
      const next = await sendQuestion(bob, "[[say and on it goes]]", his.room)
      const [stream, hisStream] = await Promise.all([openStream(other.url, ada, place), openStream(other.url, bob, his)])
      await Promise.all([stream, hisStream].map((reading) => reading.first(({ text }) => text.length > 500)))
      await worker.kill("SIGKILL")
      const killed = performance.now()
      await sleep(500)
      const seen = hisStream.text()

      // No worker is there to stop the reply: the cancel answers with the stored text.
      const begun = performance.now()
      const cancelled = await personAt(other.url, bob).call("POST", `/chatroom/${his.room}/message/${his.reply}/cancel`)
      assert.strictEqual(cancelled.status, 200)
      assert.isBelow(performance.now() - begun, 10_000)
      assert.strictEqual(cancelled.body.status, "cancelled")
      assert.isTrue(seen.startsWith(cancelled.body.content))
      // The text is stored once a second, so at most a second of it is missing.
      assert.isAbove(cancelled.body.content.length, seen.length - 500)
      await hisStream.closed
      assert.strictEqual(hisStream.text(), cancelled.body.content)
      assert.deepStrictEqual(
        hisStream.events.filter(isTerminal).map(({ name }) => name),
        ["cancelled"]
      )
      assert.strictEqual(await usedToday(bob), 2)

      worker = await processes.start("worker")
      assert.strictEqual((await readEnded(bob, next)).content, "and on it goes")
      const replaced = await stream.first(({ name }) => name === "replace")
      assert.isDefined(replaced)
      assert.strictEqual(await stream.closed, "end")
      const took = performance.now() - killed
      process.stdout.write(`the client of a killed worker has the whole answer after ${(took / 1000).toFixed(1)} s\n`)
      assert.isBelow(took, 45_000)
      const message = await readEnded(ada, place)
      assert.strictEqual(message.status, "completed")
      assert.strictEqual(message.attempt, 2)
      assert.strictEqual(message.content.length, 1_500)
      assert.strictEqual(stream.text(), message.content)
      assert.deepStrictEqual(
        stream.events.filter(isTerminal).map(({ data }) => data),
        [message]
      )
      await until(
        "no stream segments of the reply",
        async () => (await database.query("select 1 from stream_segments where reply_id = $1", [place.reply])).length === 0
      )
    }
  )

  it("resumes at another api from the last event when an api is killed", async () => {
    const third = await processes.start("api")
    const ada = await newUser(other.url, database)
    const place = await sendQuestion(ada, "[[length 1000]] [[chunks 50 delay 40]]")
    const stream = await openStream(third.url, ada, place)
    await stream.first(({ text }) => text.length > 300)
    await third.kill("SIGKILL")
    assert.strictEqual(await stream.closed, "cut")
    const resumed = await readAll(other.url, ada, place, { lastEventId: stream.parser.lastId ?? "", having: stream.text() })
    assert.strictEqual(resumed.text(), (await readEnded(ada, place)).content)
  })
})
