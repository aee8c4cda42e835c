import { setTimeout as sleep } from "node:timers/promises"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { AppConfig } from "../../src/config/Settings.ts"
import { channel, Notifications, packTopics } from "../../src/database/Notifications.ts"
import { environment } from "../../src/ops/Launch.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

describe("packed topics", () => {
  const topics = Array.from({ length: 1_000 }, (_, index) => `reply:${crypto.randomUUID()}:${index}`)

  it("fit into payloads below 8,000 bytes, without loss", () => {
    const payloads = packTopics(topics)
    for (const payload of payloads) assert.isBelow(Buffer.byteLength(payload), 8_000)
    assert.deepStrictEqual(
      payloads.flatMap((payload) => payload.split("\n")),
      topics
    )
  })

  it("fill the payloads", () => {
    const bytes = Buffer.byteLength(topics.join("\n"))
    assert.isAtMost(packTopics(topics).length, Math.ceil(bytes / 7_400))
  })

  it("contain each topic once; no topics make no payload", () => {
    assert.deepStrictEqual(packTopics(["a:1", "b:2", "a:1"]), ["a:1\nb:2"])
    assert.deepStrictEqual(packTopics([]), [])
  })
})

describe("the listeners of two processes", () => {
  let database: TestDatabase
  let one: Listener
  let other: Listener

  beforeAll(async () => {
    database = await createDatabase()
    one = await startListener(database.url)
    other = await startListener(database.url)
    await until("both listeners", async () => one.service.connected() && other.service.connected(), { seconds: 30 })
  })
  afterAll(async () => {
    await one.stop()
    await other.stop()
    await database.drop()
  })

  const notify = (payload: string) => database.query("select pg_notify($1, $2)", [channel, payload])
  const listeners = () =>
    database.query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
    )
  const connections = async () =>
    (
      await database.query(
        "select pid from pg_stat_activity where datname = current_database() and application_name like 'chat-backend%'"
      )
    ).length

  it("receive notifications by topic and by kind", async () => {
    const heard: Array<string> = []
    const scope = Scope.makeUnsafe()
    await Effect.runPromise(
      Scope.provide(
        other.service.onKind("sessions", (id) => heard.push(id)),
        scope
      )
    )
    const woken = Promise.all([one, other].map((listener) => Effect.runPromise(listener.service.once("reply:7"))))
    await notify("reply:6\nsessions:1\nreply:7")
    await woken
    assert.deepStrictEqual(heard, ["1"])

    await Effect.runPromise(Scope.close(scope, Exit.void))
    const after = Effect.runPromise(other.service.once("sessions:2"))
    await notify("sessions:2")
    await after
    assert.deepStrictEqual(heard, ["1"])
  })

  it("pass local publications to their own process only", async () => {
    const mine = Effect.runPromise(one.service.once("reply:8"))
    const theirs = Effect.runPromise(Effect.timeoutOption(other.service.once("reply:8"), "300 millis"))
    one.service.publishLocal("reply:8")
    await mine
    assert.isTrue((await theirs)._tag === "None")
  })

  it("keep nothing of a wait that is over", async () => {
    const { once, publishLocal, waiting } = one.service
    assert.strictEqual(waiting(), 0)
    const waits = Array.from({ length: 3 }, () => Effect.runPromise(once("reply:10")))
    const given = Effect.runPromise(Effect.timeoutOption(once("reply:11"), "50 millis"))
    assert.strictEqual(waiting(), 4)
    publishLocal("reply:10")
    await Promise.all(waits)
    assert.strictEqual((await given)._tag, "None")
    assert.strictEqual(waiting(), 0)
  })

  it("report a lost connection, wake all waiters, and reconnect", async () => {
    const states: Array<boolean> = []
    const scope = Scope.makeUnsafe()
    await Effect.runPromise(
      Scope.provide(
        one.service.onReset(() => states.push(one.service.connected())),
        scope
      )
    )
    const woken = Effect.runPromise(Effect.timeoutOption(one.service.once("reply:never"), "10 seconds"))
    await database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
    )
    await until("the reset", async () => states.length >= 2, { seconds: 30 })
    assert.deepStrictEqual(states, [false, true])
    assert.strictEqual((await woken)._tag, "Some")
    await Effect.runPromise(Scope.close(scope, Exit.void))

    await until("the other listener", async () => other.service.connected(), { seconds: 30 })
    const again = Effect.runPromise(Effect.timeoutOption(one.service.once("reply:9"), "5 seconds"))
    await notify("reply:9")
    assert.strictEqual((await again)._tag, "Some")
  })

  it("leak no connection when they are cut off repeatedly", { timeout: 120_000 }, async () => {
    const before = await connections()
    for (let round = 0; round < 10; round++) {
      await until(
        "a listener",
        async () => one.service.connected() && other.service.connected() && (await listeners()).length === 2,
        { seconds: 30 }
      )
      await database.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen%'"
      )
      await sleep(50)
    }
    await until("the listeners", async () => one.service.connected() && other.service.connected(), { seconds: 30 })
    // A pool may have grown meanwhile; a leak at each of twenty cuts would be more than that.
    await until(
      "the old connections to go",
      async () => (await listeners()).length === 2 && (await connections()) <= before + 6,
      { seconds: 30 }
    )
  })
})

type Listener = { readonly service: Notifications["Service"]; readonly stop: () => Promise<void> }

const startListener = async (url: string): Promise<Listener> => {
  const scope = Scope.makeUnsafe()
  const settings = AppConfig.layer.pipe(Layer.provide(environment({ APP_ENV: "test", DATABASE_URL: url })))
  const layer = Notifications.layer.pipe(Layer.provide(settings))
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  return {
    service: Context.get(context, Notifications),
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}
