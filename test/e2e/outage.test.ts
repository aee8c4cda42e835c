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
import { logIn, type Person, request } from "../support/Client.ts"
import { until } from "../support/wait.ts"
import { replyOf, violatedInvariants } from "../support/Invariants.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

/** On a busy machine, until a process that starts meanwhile answers. */
const awayFor = 8_000

describe("Postgres away for 8 seconds or more", () => {
  const directory = mkdtempSync(join(tmpdir(), "outage-"))
  const exits: Array<string> = []
  const running: Array<Process> = []
  let postgres: EmbeddedPostgres
  let pool: pg.Pool
  let port = 0
  let gemini: GeminiSimulator
  let api: Process
  let ada: Person

  const startServer = () =>
    startPostgres({ dataDir: join(directory, "data"), port, settings: { fsync: "off", max_connections: "100" } })
  const database = {
    query: async <Row extends pg.QueryResultRow>(sql: string, values: ReadonlyArray<unknown> = []): Promise<Array<Row>> =>
      (await pool.query(sql, [...values])).rows
  }

  /** A process that is expected not to end by itself. */
  const start = async (role: "api" | "worker" | "all"): Promise<Process> => {
    const process = await startProcess({
      DATABASE_URL: postgres.url,
      GEMINI_BASE_URL: gemini.url,
      BASIC_DAILY_PROMPTS: "100",
      MIGRATE: "on",
      ROLE: role
    })
    running.push(process)
    void process.exited.then(({ code, signal }) => exits.push(`${role}: ${code ?? signal}\n${process.output().slice(-1_000)}`))
    return process
  }
  const probe = async (process: Process, path: string) =>
    (await request(process.url, "GET", path).catch(() => ({ status: 0 }))).status

  beforeAll(async () => {
    port = await freePort()
    postgres = await startServer()
    pool = new pg.Pool({ connectionString: postgres.url, max: 2 })
    pool.on("error", () => {})
    gemini = await startGeminiSimulator()
    api = await start("api")
    await api.started()
    for (const role of ["worker", "all"] as const) await (await start(role)).started()
    ada = await logIn(api.url)
  })
  afterAll(async () => {
    for (const process of running) await process.kill("SIGKILL")
    await gemini.stop()
    await pool.end()
    await postgres.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  it("ends no process, and the first reply is finished in 5 s after its return", { timeout: 120_000 }, async () => {
    // Replies are in progress when it goes: a worker must bring back their results or leave them to their leases.
    const bob = await logIn(api.url)
    const askers = [ada, bob].flatMap((person) => Array.from({ length: 3 }, () => person))
    for (const person of askers) {
      assert.strictEqual(
        (await person.ask(await person.room(), "[[chunks 30 delay 100]] [[length 300]] Three seconds.")).status,
        202
      )
    }
    const room = await ada.room()
    await sleep(1_000)

    await postgres.stop()
    const goneAt = Date.now()
    const early = await start("all")
    await until("the answer to /healthz", async () => (await probe(early, "/healthz")) === 200, { seconds: 40 })
    assert.strictEqual(await probe(early, "/readyz"), 503)
    assert.strictEqual(await probe(api, "/healthz"), 200)
    assert.strictEqual(await probe(api, "/readyz"), 503)
    await sleep(Math.max(0, goneAt + awayFor - Date.now()))
    postgres = await startServer()
    const backAt = Date.now()

    const sent = await until("a send that is accepted", async () => {
      const answer = await ada.ask(room, "[[say back]] [[chunks 2 delay 10]]", { key: "first" })
      assert.oneOf(answer.status, [202, 503], answer.text)
      return answer.status === 202 && answer
    })
    const acceptedAt = Date.now()
    const reply = await until(
      "the first finished reply",
      async () => {
        const row = await replyOf(database, sent.body.reply.id)
        return row.completed_at !== null && row
      },
      { seconds: 30 }
    )
    const took = (reply.completed_at?.getTime() ?? Infinity) - backAt
    process.stdout.write(`outage of 8 s: send accepted after ${acceptedAt - backAt} ms, its reply finished after ${took} ms\n`)
    assert.strictEqual(reply.content, "back")
    assert.deepStrictEqual(exits, [])
    assert.isBelow(took, 5_000)
  })

  it("makes a process that is started meanwhile wait, and ready when Postgres is back", async () => {
    const early = running.at(-1)
    assert.isDefined(early)
    await until("readiness", async () => (await probe(early, "/readyz")) === 200)
    assert.strictEqual(
      (await request(early.url, "GET", "/user/me", { token: ada.token })).status,
      200,
      "the process that waited serves requests"
    )
    assert.deepStrictEqual(exits, [])
  })

  it("loses and doubles nothing", { timeout: 90_000 }, async () => {
    await until("all replies", async () => (await violatedInvariants(database)).length === 0, { seconds: 60 })
    await until("readiness of the API", async () => (await probe(api, "/readyz")) === 200, { seconds: 10 })
    assert.deepStrictEqual(exits, [])
  })

  it("still ends a start at once when the operator has to mend something", async () => {
    const wrong = Object.assign(new URL(postgres.url), { pathname: "/no_such_database" }).href
    const process = await startProcess({ DATABASE_URL: wrong, GEMINI_BASE_URL: gemini.url, ROLE: "api" })
    const ended = await Promise.race([process.exited, sleep(15_000)])
    await process.kill("SIGKILL")
    assert.deepStrictEqual(ended, { code: 1, signal: null }, process.output())
    assert.match(process.output(), /cannot start: DATABASE_URL/)
  })
})
