import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type EmbeddedPostgres, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { freePort } from "../../dev/freePort.ts"
import { type Person, type Reply, request } from "../support/Client.ts"
import { newUsers } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { repliesOf, violatedInvariants } from "../support/Invariants.ts"

type Process = Awaited<ReturnType<typeof startProcess>>
interface Answer {
  readonly status: number
  readonly type: string | null
  readonly millis: number
  readonly text: string
}

const users = 10

describe("a restart of Postgres under load", () => {
  const directory = mkdtempSync(join(tmpdir(), "postgres-restart-"))
  const answers: Array<Answer> = []
  const exits: Array<{
    readonly code: number | null
    readonly signal: string | null
    readonly at: number
    readonly output: string
  }> = []
  let postgres: EmbeddedPostgres
  let pool: pg.Pool
  let gemini: GeminiSimulator
  let api: Process
  let worker: Process
  let people: ReadonlyArray<Person>
  let port = 0
  const ending = new AbortController()
  let downAt = 0

  const startServer = () =>
    startPostgres({ dataDir: join(directory, "data"), port, settings: { fsync: "off", max_connections: "60" } })
  const database = {
    query: async <Row extends pg.QueryResultRow>(sql: string, values: ReadonlyArray<unknown> = []): Promise<Array<Row>> =>
      (await pool.query(sql, [...values])).rows
  }
  const settings = () => ({ DATABASE_URL: postgres.url, GEMINI_BASE_URL: gemini.url, BASIC_DAILY_PROMPTS: "100", MIGRATE: "on" })

  const startWorker = () => startProcess({ ...settings(), ROLE: "worker" })

  /** Restarts the worker when it ends, as Docker, systemd or Kubernetes would. */
  const supervise = async () => {
    while (!ending.signal.aborted) {
      const { code, signal } = await worker.exited
      if (!ending.signal.aborted) exits.push({ code, signal, at: Date.now(), output: worker.output() })
      await sleep(500)
      if (!ending.signal.aborted) worker = await startWorker()
    }
  }

  beforeAll(async () => {
    port = await freePort()
    postgres = await startServer()
    pool = new pg.Pool({ connectionString: postgres.url, max: 2 })
    pool.on("error", () => {})
    gemini = await startGeminiSimulator()
    api = await startProcess({ ...settings(), ROLE: "api" })
    await api.started()
    worker = await startWorker()
    await worker.started()
    void supervise()
    people = await newUsers(api.url, database, users)
  })
  afterAll(async () => {
    ending.abort()
    await worker.kill("SIGKILL")
    await api.kill("SIGKILL")
    await gemini.stop()
    await pool.end()
    await postgres.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const timed = async (call: Promise<Reply>): Promise<Reply> => {
    const begun = Date.now()
    const reply = await call
    answers.push({ status: reply.status, type: reply.headers.get("content-type"), millis: Date.now() - begun, text: reply.text })
    return reply
  }

  /** Sends with a key until it is accepted, as a careful client does. */
  const insist = async (person: Person, room: string, content: string, key: string): Promise<Reply> => {
    const sent = await timed(person.ask(room, content, { key }))
    if (sent.status < 300) return sent
    await sleep(250)
    return insist(person, room, content, key)
  }

  const load = async (person: Person, user: number, isOver: () => boolean) => {
    const room = await person.room()
    let sent = 0
    while (!isOver() || sent < 3) {
      await insist(
        person,
        room,
        `[[say answer ${user}.${sent}]] [[chunks 8 delay 100]] Question ${user}.${sent}`,
        `${user}-${sent}`
      )
      sent++
      await timed(person.call("GET", "/chatroom"))
      await sleep(300)
    }
    return { room, sent }
  }

  it("causes only retryable rejections, and loses no message", { timeout: 120_000 }, async () => {
    let over = false
    const loads = Promise.all(people.map((person, user) => load(person, user, () => over)))
    loads.catch(() => {}) // Awaited below, unless the test fails before.
    await sleep(2_000)
    downAt = Date.now()
    await postgres.stop()
    await sleep(2_000)
    assert.strictEqual((await request(api.url, "GET", "/readyz")).status, 503)
    postgres = await startServer()
    await until("readiness", async () => (await request(api.url, "GET", "/readyz")).status === 200)
    await sleep(2_000)
    over = true
    const rooms = await loads

    const unexpected = answers.filter(
      ({ status, type }) =>
        ![200, 202, 409].includes(status) && !(status === 503 && type?.startsWith("application/problem+json") === true)
    )
    assert.deepStrictEqual(unexpected, [])
    assert.isBelow(Math.max(...answers.map(({ millis }) => millis)), 20_000)
    const refused = answers.filter(({ status }) => status === 503)
    assert.isAbove(refused.length, 0)

    const total = rooms.reduce((sum, { sent }) => sum + sent, 0)
    await until("all replies", async () => (await repliesOf(database)).every((reply) => reply.completed_at !== null), {
      seconds: 60
    })
    const replies = await repliesOf(database)
    assert.strictEqual(replies.length, total)
    assert.deepStrictEqual(await violatedInvariants(database), [])
    for (const reply of replies) {
      if (reply.status === "failed") assert.strictEqual(reply.quota_state, "refunded")
      else assert.strictEqual(reply.content, /\[\[say (.*?)\]\]/.exec(reply.question)?.[1])
    }
    const slowest = Math.max(...refused.map(({ millis }) => millis))
    process.stdout.write(
      `restart: ${total} messages, ${replies.filter((reply) => reply.status === "failed").length} failed, ${refused.length} of ${answers.length} requests refused (slowest ${slowest} ms), worker exits ${JSON.stringify(exits.map(({ code, signal, at }) => [code, signal, at - downAt]))}\n`
    )
  })

  it("leaves the same api process, ready and woken by notifications", async () => {
    assert.notMatch(api.output(), /cannot go on/)
    const [person] = people
    assert.isDefined(person)
    const room = await person.room()
    await until("a worker", async () => (await person.ask(room, "[[say up]]", { wait: 5 })).status === 201)
    const times: Array<number> = []
    for (let round = 0; round < 5; round++) {
      const begun = Date.now()
      const answered = await person.ask(room, "[[say quick]] [[chunks 4 delay 50]]", { wait: 10 })
      assert.strictEqual(answered.status, 201)
      times.push(Date.now() - begun)
    }
    // Without a notification, a waiting request reads again only after two seconds.
    assert.isBelow(times.toSorted((a, b) => a - b)[2] ?? Infinity, 1_000, String(times))
  })

  it("ends a worker only with a failure exit code, and leaves one working", async () => {
    for (const exit of exits) {
      assert.notStrictEqual(exit.code, 0, exit.output)
      assert.isNull(exit.signal, exit.output)
    }
    await until("a worker at work", async () => /Working/.test(worker.output()))
  })
})
