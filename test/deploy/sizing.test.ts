import { readFileSync } from "node:fs"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { scrape, sumOf } from "../support/prometheus.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const documentation = readFileSync("docs/operations.md", "utf8")
/** What a process opens at most beside its pool, as the documentation of sizing says. */
const [, api = 0, worker = 0] = (/n × \(pool \+ (\d+)\) \+ m × \(pool \+ (\d+)\)/.exec(documentation) ?? []).map(Number)
const pool = 6
const token = "operator-of-these-tests"

describe("the documented connections of a process", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let processes: ReadonlyArray<Awaited<ReturnType<typeof startProcess>>>

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    const settings = {
      DATABASE_URL: database.url,
      DATABASE_POOL_SIZE: String(pool),
      GEMINI_BASE_URL: gemini.url,
      ADMIN_TOKEN: token,
      BASIC_DAILY_PROMPTS: "1000"
    }
    processes = await Promise.all(["api", "worker"].map((ROLE) => startProcess({ ...settings, ROLE })))
    for (const process of processes) await process.started()
  })
  afterAll(async () => {
    for (const process of processes) await process.kill("SIGTERM")
    await gemini.stop()
    await database.drop()
  })

  /** All connections to the database but the test's own, which have no name. */
  const open = async () => {
    const [row] = await database.query<{ count: number }>(
      "select count(*)::int as count from pg_stat_activity where datname = current_database() and application_name like 'chat-backend%'"
    )
    return row?.count ?? 0
  }

  it("are those of its pools, two for notifications, and one for the lock of a worker", async () => {
    for (const [process, documented] of processes.map((process, index) => [process, index === 0 ? api : worker] as const)) {
      await until("the process listens", () => process.output().includes("ready http"))
      const { samples } = await scrape(process.url, token)
      const others = documented === api ? 2 : 3
      assert.strictEqual(sumOf(samples, "chat_database_connections_max") + others, pool + documented)
    }
  })

  it("are not exceeded under load", async () => {
    const [first] = processes
    const url = first?.url ?? ""
    let most = 0
    const people = await Promise.all(times(6, () => logIn(url)))
    const ended = Promise.all(
      people.map(async (person) => {
        const room = await person.room()
        for (const _ of times(3, (n) => n)) {
          await Promise.all(times(5, () => person.call("GET", "/search?q=load")))
          await person.ask(room, "[[say Load.]]", { wait: 20 })
        }
      })
    ).then(() => true)
    let isOver = false
    void ended.then(() => (isOver = true))
    while (!isOver) most = Math.max(most, await open())
    await ended
    // The load must be one.
    assert.isAbove(most, pool)
    assert.isAtMost(most, 2 * pool + api + worker)
  })
})
