import { once } from "node:events"
import { existsSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, afterEach, assert, beforeAll, describe, inject, it } from "vitest"
import { startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { type Settings, startProcess } from "../support/Backend.ts"
import { freePort } from "../../dev/freePort.ts"
import { logIn, personAt, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"
import { replyOf, violatedInvariants } from "../support/Invariants.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

const running = new Set<Process>()
const start = async (settings: Settings) => {
  const process = await startProcess(settings)
  running.add(process)
  return process
}
const stopAll = async () => {
  for (const process of running) {
    process.kill("SIGCONT")
    await process.kill("SIGKILL")
  }
  running.clear()
}

describe("a process that gets a signal", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let api: Process

  const worker = async () => {
    const process = await start({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ROLE: "worker" })
    await process.started()
    return process
  }
  const ask = async (content: string) => {
    const person = await logIn(api.url)
    const room = await person.room()
    const sent = await person.ask(room, content)
    assert.strictEqual(sent.status, 202)
    return { person, room, id: String(sent.body.reply.id) }
  }
  const processing = (id: string, attempt = 1) =>
    until(
      `attempt ${attempt} of the reply`,
      async () => {
        const reply = await replyOf(database, id)
        return reply.status === "processing" && reply.attempt === attempt
      },
      { seconds: 10 }
    )
  const ended = (id: string, seconds: number) =>
    until(
      "the end of the reply",
      async () => {
        const reply = await replyOf(database, id)
        return reply.completed_at !== null && reply
      },
      { seconds: seconds }
    )
  const used = async (person: { readonly token: string }) => (await request(api.url, "GET", "/user/me", person)).body.quota.used

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator()
    api = await startProcess({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ROLE: "api", BASIC_DAILY_PROMPTS: "100" })
    await api.started()
  })
  afterEach(stopAll)
  afterAll(async () => {
    await api.kill("SIGKILL")
    assert.deepStrictEqual(await violatedInvariants(database), [])
    await gemini.stop()
    await database.drop()
  })

  it("finishes short replies on SIGTERM: a worker", async () => {
    const first = await worker()
    const { id } = await ask("[[chunks 20 delay 100]] Two seconds, please.")
    await processing(id)
    const exit = await first.kill("SIGTERM")
    assert.deepStrictEqual(exit, { code: 0, signal: null })
    const reply = await replyOf(database, id)
    assert.strictEqual(reply.status, "completed")
    assert.strictEqual(reply.attempt, 1)
    assert.deepStrictEqual(await database.query("select 1 from graphile_worker.jobs"), [])
    assert.deepStrictEqual(await database.query("select 1 from worker_heartbeats"), [])
  })

  it("takes requests for DRAIN_DELAY after SIGTERM while it is not ready: an API process", async () => {
    const leaving = await start({ DATABASE_URL: database.url, ROLE: "api", DRAIN_DELAY: "8" })
    await leaving.started()
    const person = personAt(leaving.url, await logIn(api.url))
    assert.strictEqual((await request(leaving.url, "GET", "/readyz")).status, 200)
    const exit = leaving.kill("SIGTERM")
    const { body } = await until("it is not ready", async () => {
      const answer = await request(leaving.url, "GET", "/readyz")
      return answer.status === 503 && answer
    })
    assert.strictEqual(body.checks.process, "draining")
    const { headers, status } = await person.call("POST", "/chatroom", {})
    assert.strictEqual(status, 201)
    assert.notStrictEqual(headers.get("connection"), "close")
    assert.deepStrictEqual(await exit, { code: 0, signal: null })
  })

  it("hands back long replies on SIGTERM, and another worker starts them at once", { timeout: 60_000 }, async () => {
    gemini.addFault({ match: "handed over", times: 1, fault: { kind: "stall", after: 2 } })
    const first = await worker()
    const { id, person } = await ask("To be handed over.")
    await processing(id)
    await worker()
    const signalledAt = Date.now()
    const exit = await first.kill("SIGTERM")
    assert.deepStrictEqual(exit, { code: 0, signal: null })
    assert.isBelow(Date.now() - signalledAt, 25_000)
    const reply = await ended(id, 20)
    // Sooner than the lease would have expired, 30 seconds after its last renewal.
    assert.isBelow(Date.now() - signalledAt, 25_000)
    assert.strictEqual(reply.status, "completed")
    assert.strictEqual(reply.attempt, 2)
    assert.strictEqual(await used(person), 1)
    await until("the queue to be empty", async () => (await database.query("select 1 from graphile_worker.jobs")).length === 0, {
      seconds: 30
    })
  })

  it("answers its open requests on SIGTERM, and is not ready: an api", async () => {
    await worker()
    const leaving = await start({ DATABASE_URL: database.url, ROLE: "api", BASIC_DAILY_PROMPTS: "100" })
    await leaving.started()
    await until("readiness", async () => (await request(leaving.url, "GET", "/readyz")).status === 200, { seconds: 30 })
    const person = personAt(leaving.url, await logIn(api.url))
    const room = await person.room()
    const waiting = person.ask(room, "[[chunks 20 delay 150]] Three seconds, please.", { wait: 20 })
    await sleep(500)

    const exited = leaving.kill("SIGTERM")
    await sleep(300)
    const ready = await request(leaving.url, "GET", "/readyz").then(
      (response) => response.status,
      () => "refused"
    )
    assert.include([503, "refused"], ready)
    const answered = await waiting
    assert.strictEqual(answered.status, 201)
    assert.strictEqual(answered.body.reply.status, "completed")
    assert.deepStrictEqual(await exited, { code: 0, signal: null })
    assert.match(leaving.output(), /Draining[^]*Stopped/)
  })

  it("answers its waiting requests with 202 before it exits on SIGTERM: an api", { timeout: 60_000 }, async () => {
    const leaving = await start({ DATABASE_URL: database.url, ROLE: "api", BASIC_DAILY_PROMPTS: "100" })
    await leaving.started()
    const person = personAt(leaving.url, await logIn(api.url))
    const room = await person.room()
    // No worker runs yet.
    const waiting = person.ask(room, "[[say in the end]]", { wait: 30 })
    await sleep(500)
    const signalledAt = Date.now()
    const exited = leaving.kill("SIGTERM")
    const answered = await waiting
    assert.strictEqual(answered.status, 202)
    assert.deepStrictEqual(await exited, { code: 0, signal: null })
    assert.isBelow(Date.now() - signalledAt, 25_000)
    await worker()
    assert.strictEqual((await ended(answered.body.reply.id, 30)).content, "in the end")
  })

  it(
    "cannot repeat or overwrite a reply that another worker ended: a worker after SIGSTOP and SIGCONT",
    { timeout: 60_000 },
    async () => {
      const zombie = await worker()
      const { id, person } = await ask("[[chunks 30 delay 100]] [[length 300]] Three seconds, please.")
      await processing(id)
      zombie.kill("SIGSTOP")
      await worker()
      await database.query("update messages set lease_until = now() where id = $1", [id])
      await processing(id, 2)
      const reply = await ended(id, 30)
      assert.strictEqual(reply.attempt, 2)

      zombie.kill("SIGCONT")
      await until("the zombie to see that it lost", async () => /LeaseLost/.test(zombie.output()), { seconds: 30 })
      const { cost_micros: one, version: _, ...before } = reply
      // The call that was overtaken is written into the ledger, and adds to what the reply has cost.
      const {
        cost_micros: __,
        version: ___,
        ...after
      } = await until("the late call in the ledger", async () => {
        const found = await replyOf(database, id)
        return Number(found.cost_micros) > Number(one) && found
      })
      assert.deepStrictEqual(after, before)
      assert.strictEqual(await used(person), 1)
      // The zombie still shuts down cleanly.
      assert.deepStrictEqual(await zombie.kill("SIGTERM"), { code: 0, signal: null })
    }
  )

  it("cannot end another worker's attempt in progress: a worker after SIGSTOP and SIGCONT", { timeout: 60_000 }, async () => {
    const zombie = await worker()
    const { id, person } = await ask("[[chunks 40 delay 100]] [[length 400]] Four seconds, please.")
    await processing(id)
    await sleep(2_000)
    zombie.kill("SIGSTOP")
    await worker()
    await database.query("update messages set lease_until = now() where id = $1", [id])
    await processing(id, 2)
    // Meanwhile the model has sent the zombie the whole answer.
    await until(
      "the first answer",
      async () => gemini.log("Four seconds").filter((entry) => entry.endedAt !== undefined).length > 0,
      { seconds: 10 }
    )
    zombie.kill("SIGCONT")
    await until("the zombie to see that it lost", async () => /LeaseLost/.test(zombie.output()), { seconds: 30 })
    const between = await replyOf(database, id)
    assert.strictEqual(between.attempt, 2)
    const reply = await ended(id, 30)
    assert.strictEqual(reply.attempt, 2)
    assert.strictEqual(reply.content.length, 400)
    assert.strictEqual(await used(person), 1)
    assert.strictEqual(gemini.log("Four seconds").length, 2)
  })
})

describe("the start of a process", () => {
  afterEach(stopAll)

  const emptyDatabase = async (server: string) => {
    const name = `empty_${crypto.randomUUID().replaceAll("-", "")}`
    const admin = new pg.Client({ connectionString: server })
    await admin.connect()
    await admin.query(`create database ${name}`)
    return {
      url: Object.assign(new URL(server), { pathname: name }).href,
      drop: async () => {
        await admin.query(`drop database ${name} with (force)`)
        await admin.end()
      }
    }
  }

  /** Starts two processes at the same time on an empty database. */
  const comesUpTwice = async (server: string) => {
    const database = await emptyDatabase(server)
    const gemini = await startGeminiSimulator({ chunkMillis: 1 })
    const both = await Promise.all(
      [1, 2].map(() => start({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, MIGRATE: "on" }))
    )
    await Promise.all(both.map((process) => process.started()))
    for (const process of both) {
      await until("readiness", async () => (await request(process.url, "GET", "/readyz")).status === 200, { seconds: 30 })
      const person = await logIn(process.url)
      const answered = await person.ask(await person.room(), "[[say Hello.]]", { wait: 10 })
      assert.strictEqual(answered.body.reply.content, "Hello.")
    }
    const applied = both.map((process) => process.output().split("Applied migration 1 ").length - 1)
    assert.deepStrictEqual(applied.toSorted(), [0, 1])
    for (const process of both) assert.deepStrictEqual(await process.kill("SIGTERM"), { code: 0, signal: null })
    await gemini.stop()
    await database.drop()
  }

  it("migrates an empty database once when two processes start", () => comesUpTwice(inject("postgresUrl")))

  const old = "/usr/lib/postgresql/15/bin"
  it.skipIf(!existsSync(old))("works on Postgres 15", { timeout: 60_000 }, async () => {
    const postgres = await startPostgres({ ephemeral: true, binDir: old })
    await comesUpTwice(postgres.url).finally(() => postgres.stop())
  })

  it("names the setting in one line when it cannot listen or migrations are missing", { timeout: 120_000 }, async () => {
    const database = await emptyDatabase(inject("postgresUrl"))
    const taken = createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    for (const [settings, line] of [
      [
        { PORT: String((taken.address() as AddressInfo).port), HOST: "127.0.0.1" },
        /^cannot start: PORT: \d+ is taken by another process; set PORT to a free one$/m
      ],
      [{ HOST: "203.0.113.9" }, /^cannot start: HOST: cannot be listened on \(EADDRNOTAVAIL\)$/m],
      [
        { APP_ENV: "production", APP_URL: "https://chat.example", OTP_DELIVERY: "log", GEMINI_API_KEY: "" },
        /^cannot start: GEMINI_API_KEY: is required$/m
      ]
    ] as const) {
      const process = await start({ DATABASE_URL: database.url, MIGRATE: "on", ...settings })
      assert.deepStrictEqual(await process.exited, { code: 1, signal: null })
      assert.match(process.output(), line)
    }
    const empty = await emptyDatabase(inject("postgresUrl"))
    for (const ROLE of ["api", "worker", "all"]) {
      const process = await start({ DATABASE_URL: empty.url, MIGRATE: "off", ROLE })
      assert.deepStrictEqual(await process.exited, { code: 1, signal: null })
      assert.match(process.output(), /^cannot start: MIGRATE: is off, and the database lacks (\d+) of \1 migrations: [^\n]+\n$/)
    }
    taken.close()
    await Promise.all([database.drop(), empty.drop()])
  })

  const probe = (url: string, path: string) =>
    request(url, "GET", path).then(
      ({ status }) => status,
      () => undefined
    )

  for (const migrate of ["on", "off"]) {
    it(`waits without a database, alive and not ready, with one line that omits the password (MIGRATE=${migrate})`, async () => {
      const url = `postgres://user:hunter2@127.0.0.1:${await freePort()}/none`
      const process = await start({ DATABASE_URL: url, MIGRATE: migrate })
      await until("the probes", async () => (await probe(process.url, "/healthz")) === 200, { seconds: 30 })
      assert.strictEqual(await probe(process.url, "/readyz"), 503)
      assert.strictEqual(await probe(process.url, "/user/me"), 503)
      await sleep(2_000)
      assert.lengthOf(process.output().match(/Waiting for the database/g) ?? [], 1)
      assert.notInclude(process.output(), "hunter2")
      assert.deepStrictEqual(await process.kill("SIGTERM"), { code: 0, signal: null })
    })

    it(`fails with a wrong password in one line that omits it (MIGRATE=${migrate})`, async () => {
      const url = Object.assign(new URL(inject("postgresUrl")), { password: "hunter2" }).href
      const process = await start({ DATABASE_URL: url, MIGRATE: migrate })
      assert.deepStrictEqual(await process.exited, { code: 1, signal: null })
      assert.match(process.output(), /^cannot start: DATABASE_URL: .*\n$/)
      assert.notInclude(process.output(), "hunter2")
    })
  }
})
