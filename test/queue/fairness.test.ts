import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { openCheckout, startTestBackend, type TestBackend, tierOf } from "../billing/TestBackend.ts"
import { startProcess } from "../support/Backend.ts"
import type { Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { newUsers } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { awaitEnd } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { turnsOf } from "../support/geminiCalls.ts"
import { replyOf, violatedInvariants } from "../support/Invariants.ts"

const makePro = (database: Pick<TestDatabase, "query">, people: ReadonlyArray<Person>) =>
  database.query("update users set pro_until = 'infinity' where id = any($1)", [people.map(({ userId }) => userId)])

const askInNewRoom = async (person: Person, content: string) => person.ask(await person.room(), content)

describe("the priority of Pro, in a fleet that makes one reply at a time", () => {
  let backends: TestBackends
  const settings = { WORKER_CONCURRENCY: "1", BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none", ADMIN_TOKEN: "operator" }
  beforeAll(async () => void (backends = await startBackends(settings)))
  afterAll(() => backends.stop())

  it("starts a Pro reply before Basic ones that were asked for earlier", { timeout: 60_000 }, async () => {
    const [runner, payer, ...waiting] = await backends.newUsers(7)
    assert.isDefined(runner)
    assert.isDefined(payer)
    await makePro(backends.database, [payer])
    const running = await askInNewRoom(runner, "[[latency 4000]] [[say so]] order: running")
    await until("a running reply", () => backends.gemini.stats().inFlight === 1)
    const basic = await Promise.all(waiting.map((person) => askInNewRoom(person, "[[say so]] order: basic")))
    const pro = await askInNewRoom(payer, "[[say so]] order: pro")
    const counts = await until("the queue's counts", async () => {
      const { body } = await runner.call("GET", "/admin/queue", undefined, { authorization: "Bearer operator" })
      return body.byPriority.pro.ready === 1 && body.byPriority
    })
    assert.deepStrictEqual([counts.basic.running, counts.basic.ready, counts.pro.running], [1, waiting.length, 0])
    const replies = await Promise.all(
      [running, ...basic, pro].map((sent, index) => awaitEnd([runner, ...waiting, payer][index] ?? runner, sent))
    )
    assert.deepStrictEqual(new Set(replies.map((reply) => reply.body.status)), new Set(["completed"]))
    assert.deepStrictEqual(
      backends.gemini.log("order: ").map((call) => turnsOf(call).at(-1)?.split("order: ")[1]),
      ["running", "pro", ...waiting.map(() => "basic")]
    )
  })

  it("ends a Basic reply during a steady stream of Pro replies", { timeout: 90_000 }, async () => {
    const [patient, ...payers] = await backends.newUsers(5)
    assert.isDefined(patient)
    await makePro(backends.database, payers)
    let isStreaming = true
    const lastAt = Date.now() + 40_000
    const streams = payers.map(async (payer) => {
      const room = await payer.room()
      let answers = 0
      while (isStreaming && Date.now() < lastAt) {
        await payer.ask(room, "[[latency 400]] [[say so]] a stream of Pro", { wait: 20 })
        answers++
      }
      return answers
    })
    await until("a running reply", () => backends.gemini.stats().inFlight === 1)
    const askedAt = Date.now()
    const reply = await awaitEnd(patient, await askInNewRoom(patient, "[[say patience]]"))
    const waited = Date.now() - askedAt
    isStreaming = false
    const answers = (await Promise.all(streams)).reduce((sum, count) => sum + count, 0)
    assert.strictEqual(reply.body.content, "patience")
    // Ten seconds until it is as old as a Pro reply, and what was before it then; without ageing it waits for ever.
    assert.isBelow(waited, 15_000)
    assert.isAbove(answers, 10)
    console.log(`the Basic reply waited ${waited} ms among ${answers} Pro replies`)
  })
})

describe("the share of one user, in a fleet that makes five replies at a time", () => {
  let backend: TestBackend
  const settings = { WORKER_CONCURRENCY: "5", BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" }
  beforeAll(async () => void (backend = await startTestBackend({ backends: [settings] })))
  afterAll(() => backend.stop())

  const slow = "[[latency 25000]] [[say late]]"
  const running = async () =>
    (await backend.database.query("select 1 from messages where completed_at is null and status = 'processing'")).length

  it("leaves slots for the replies of other users", { timeout: 60_000 }, async () => {
    const [many, other] = await newUsers(backend.urls[0] ?? "", backend.database, 2)
    assert.isDefined(many)
    assert.isDefined(other)
    await Promise.all(times(5, () => askInNewRoom(many, slow)))
    await until("the user's share", async () => (await running()) === 2)
    const askedAt = Date.now()
    const reply = await awaitEnd(other, await askInNewRoom(other, "[[say at once]]"))
    assert.strictEqual(reply.body.content, "at once")
    assert.isBelow(Date.now() - askedAt, 10_000)
    assert.strictEqual(await running(), 2)
  })

  it("leaves billing to workers of its own when all slots for replies are taken", { timeout: 60_000 }, async () => {
    const people = await newUsers(backend.urls[0] ?? "", backend.database, 3)
    const payer = await backend.newUser()
    await Promise.all(people.flatMap((person) => times(2, () => askInNewRoom(person, slow))))
    await until("all slots to be taken", async () => (await running()) === 5)
    const paidAt = Date.now()
    backend.stripe.checkout({ session: await openCheckout(payer), action: "pay" })
    await until("the tier", async () => (await tierOf(payer)) === "pro")
    assert.isBelow(Date.now() - paidAt, 10_000)
    assert.strictEqual(await running(), 5)
  })
})

describe("held replies", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  const processes: Array<Awaited<ReturnType<typeof startProcess>>> = []
  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
  })
  afterAll(async () => {
    for (const process of processes) await process.kill("SIGKILL")
    await gemini.stop()
    await database.drop()
  })

  const start = async (role: string) => {
    const process = await startProcess({
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: gemini.url,
      ROLE: role,
      BASIC_DAILY_PROMPTS: "100",
      BASIC_CONCURRENCY: "2",
      PRO_CONCURRENCY: "10",
      WORKER_CONCURRENCY: "20"
    })
    processes.push(process)
    await process.started()
    return process
  }
  const workerIds = async () => (await database.query<{ id: string }>("select id from worker_heartbeats")).map(({ id }) => id)

  it("all end when the worker is killed with -9, never more than two of a user at once", { timeout: 150_000 }, async () => {
    const api = await start("api")
    const doomed = await start("worker")
    const [doomedId] = await until("the worker's heartbeat", async () =>
      (await workerIds()).length === 1 ? workerIds() : undefined
    )
    const people = await newUsers(api.url, database, 2)
    const sent = (
      await Promise.all(people.map((person) => Promise.all(times(6, () => askInNewRoom(person, "[[latency 1500]] [[say so]]")))))
    ).flat()
    const states = () =>
      database.query<{ running: number; held: number; left: number }>(
        `select count(*) filter (where status <> 'held')::int as running, count(*) filter (where status = 'held')::int as held
        from messages where completed_at is null group by user_id`
      )
    await until("the worker's replies", async () => {
      const rows = await database.query("select 1 from messages where status = 'processing' and worker_id = $1", [doomedId])
      return rows.length === 4
    })
    assert.deepStrictEqual(
      (await states()).map(({ held }) => held),
      [4, 4]
    )
    await doomed.kill("SIGKILL")
    await start("worker")
    let most = 0
    await until(
      "the end of all replies",
      async () => {
        const rows = await states()
        most = Math.max(most, ...rows.map(({ running }) => running))
        return rows.length === 0
      },
      { seconds: 120 }
    )
    assert.strictEqual(most, 2)
    assert.deepStrictEqual(await violatedInvariants(database), [])
    for (const { body } of sent) assert.strictEqual((await replyOf(database, body.reply.id)).status, "completed")
  })

  it("are released by the sweep when their user becomes Pro", { timeout: 60_000 }, async () => {
    const { url } = await start("all")
    const [person] = await newUsers(url, database, 1)
    assert.isDefined(person)
    const sent = []
    for (const content of ["[[latency 40000]] a", "[[latency 40000]] b", "[[say released]]"])
      sent.push(await askInNewRoom(person, content))
    const held: string = sent[2]?.body.reply.id ?? ""
    assert.strictEqual((await replyOf(database, held)).status, "held")
    await makePro(database, [person])
    await until("the released reply", async () => (await replyOf(database, held)).status === "completed")
    assert.strictEqual((await replyOf(database, held)).content, "released")
  })
})
