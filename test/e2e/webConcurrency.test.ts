import { readFileSync } from "node:fs"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { type Settings, startProcess } from "../support/Backend.ts"
import { logIn, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
let gemini: GeminiSimulator
const running = new Set<Awaited<ReturnType<typeof startProcess>>>()

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator()
})
afterEach(async () => {
  for (const process of running) await process.kill("SIGKILL")
  running.clear()
})
afterAll(async () => {
  await gemini.stop()
  await database.drop()
})

const start = async (settings: Partial<Settings> = {}) => {
  const process = await startProcess({
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    WEB_CONCURRENCY: "2",
    ...settings
  })
  running.add(process)
  return process
}

const childrenOf = (pid: number): ReadonlyArray<number> =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number)
const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
const ready = (url: string) =>
  until("readiness", async () => (await request(url, "GET", "/readyz")).status === 200, { seconds: 30 })

describe("WEB_CONCURRENCY=2", () => {
  it("serves one port from two processes, and starts a killed one again", { timeout: 90_000 }, async () => {
    const parent = await start({ ROLE: "all" })
    await parent.started()
    await ready(parent.url)
    const before = childrenOf(parent.pid)
    assert.lengthOf(before, 2)

    const person = await logIn(parent.url)
    const [killed = -1, other] = before
    process.kill(killed, "SIGKILL")
    const after = await until("another process", () => {
      const children = childrenOf(parent.pid).filter((pid) => pid !== other && pid !== killed)
      return Promise.resolve(children.length === 1 && children)
    })
    assert.lengthOf(after, 1)
    assert.match(parent.output(), /A process ended with code 1; it is started again in 1 s/)
    await ready(parent.url)
    const room = await person.room()
    const asked = await person.ask(room, "Is a process left?", { wait: 20 })
    assert.strictEqual(asked.body.reply.status, "completed", asked.text)
  })

  it("ends all processes on SIGTERM after the requests that are open", { timeout: 90_000 }, async () => {
    const parent = await start({ ROLE: "all" })
    await parent.started()
    await ready(parent.url)
    const children = childrenOf(parent.pid)
    const person = await logIn(parent.url)
    const room = await person.room()
    const waiting = person.ask(room, "[[chunks 20 delay 100]] Two seconds, please.", { wait: 20 })
    await until(
      "the question",
      async () => (await database.query("select 1 from messages where status = 'processing'")).length > 0
    )
    assert.deepStrictEqual(await parent.kill("SIGTERM"), { code: 0, signal: null })
    const answered = await waiting
    assert.include([201, 202], answered.status, answered.text)
    assert.deepStrictEqual(
      children.filter((pid) => isAlive(pid)),
      []
    )
  })

  it("exits at once, with one process's reason, when the processes cannot start", { timeout: 60_000 }, async () => {
    const parent = await start({ ROLE: "api", HOST: "203.0.113.1" })
    assert.deepStrictEqual(await parent.exited, { code: 1, signal: null })
    assert.match(parent.output(), /cannot start: HOST: /)
    assert.notMatch(parent.output(), /started again/)
  })

  it("is refused without JWT_KEYS, because each process would make keys of its own", async () => {
    const parent = await start({ JWT_KEYS: undefined })
    assert.deepStrictEqual(await parent.exited, { code: 1, signal: null })
    assert.match(parent.output(), /cannot start: WEB_CONCURRENCY: needs JWT_KEYS/)
  })
})
