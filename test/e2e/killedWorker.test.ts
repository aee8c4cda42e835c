import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"
import { jobs, replyOf, violatedInvariants } from "../support/Invariants.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

describe("a worker killed in the middle of a reply", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let api: Process
  /** By the id that a worker writes into the rows that it holds. */
  const workers = new Map<string, Process>()
  let dead = ""

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator()
    const settings = { DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url }
    api = await startProcess({ ...settings, ROLE: "api" })
    for (let count = 1; count <= 2; count++) {
      const worker = await startProcess({ ...settings, ROLE: "worker" })
      const id = await until("the worker's heartbeat", async () => {
        const rows = await database.query<{ id: string }>("select id from worker_heartbeats")
        return rows.map((row) => row.id).find((id) => !workers.has(id))
      })
      workers.set(id, worker)
    }
    await api.started()
  })
  afterAll(async () => {
    for (const process of [api, ...workers.values()]) await process.kill("SIGKILL")
    await gemini.stop()
    await database.drop()
  })

  it("hands its reply to another worker within five seconds", { timeout: 90_000 }, async () => {
    // Within half a minute of the server's start a free lock says nothing, and the lease decides.
    await until(
      "an older server",
      async () => {
        const [row] = await database.query<{ old: boolean }>("select pg_postmaster_start_time() < now() - interval '31 s' as old")
        return row?.old === true
      },
      { seconds: 40 }
    )
    await until("the workers' locks", async () => {
      const rows = await database.query<{ id: string }>("select id from worker_heartbeats where locked_since is not null")
      return rows.length === 2
    })
    const ada = await logIn(api.url)
    const room = await ada.room()
    const sent = await ada.ask(room, "[[chunks 30 delay 100]] [[length 600]] Tell me a story.")
    assert.strictEqual(sent.status, 202)
    const id: string = sent.body.reply.id
    const holder = await until("a worker that holds the reply", async () => (await replyOf(database, id)).worker_id ?? false, {
      seconds: 30
    })
    await until("the first words", async () => gemini.stats().inFlight > 0, { seconds: 30 })

    await workers.get(holder)?.kill("SIGKILL")
    dead = holder
    const killedAt = Date.now()
    await until("the takeover", async () => (await replyOf(database, id)).attempt === 2)
    assert.isBelow(Date.now() - killedAt, 5_000)
    const reply = await until(
      "the reply",
      async () => {
        const row = await replyOf(database, id)
        return row.status === "completed" && row
      },
      { seconds: 45 }
    )
    assert.isBelow(Date.now() - killedAt, 45_000)
    assert.strictEqual(reply.attempt, 2)
    assert.strictEqual(reply.content.length, 600)
    assert.deepStrictEqual(await violatedInvariants(database), [])
    assert.strictEqual((await ada.call("GET", "/user/me")).body.quota.used, 1)
    assert.strictEqual((await ada.call("GET", `/chatroom/${room}/messages`)).body.data.length, 2)
  })

  it("leaves no heartbeat and no locked job", async () => {
    assert.notStrictEqual(dead, "")
    for (const job of await jobs(database)) {
      assert.isTrue(job.key === null && job.attempts === job.max_attempts, `would run again: ${JSON.stringify(job)}`)
    }
    await until(
      "the sweep",
      async () => {
        const rows = await database.query<{ id: string }>("select id from worker_heartbeats")
        return !rows.some(({ id }) => id === dead)
      },
      { seconds: 30 }
    )
    assert.deepStrictEqual(
      (await jobs(database)).filter((job) => job.locked_by !== null),
      []
    )
  })
})
