import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { until } from "../support/wait.ts"

/** What a process sends to Postgres at different moments of its start. */
const moments = [
  ["takes the lock of migrations", "pg_try_advisory_lock"],
  ["looks for applied migrations", "migrations"],
  ["checks its rights", "has_table_privilege"],
  ["compares the clocks", "clock_timestamp() as now"],
  ["listens", "listen "],
  ["starts its queue", "graphile_worker"]
] as const

describe("a start during which Postgres goes away", () => {
  let database: TestDatabase

  beforeAll(async () => {
    database = await createDatabase()
  })
  afterAll(async () => {
    await database.drop()
  })

  it.each(moments)("begins again when a process %s", async (_, statement) => {
    let isCut = false
    const proxy = await TcpProxy.start(database.url, (sent) => {
      if (isCut || !sent.toString("latin1").toLowerCase().includes(statement)) return
      isCut = true
      proxy.cut()
      setTimeout(() => proxy.restore(), 300)
    })
    const process = await startProcess({ DATABASE_URL: proxy.through(database.url), MIGRATE: "on", ROLE: "all" })
    const isReady = async () => (await request(process.url, "GET", "/readyz").catch(() => ({ status: 0 }))).status === 200
    const ended = process.exited.then(() => assert.fail(`the process ended: ${process.output()}`))
    try {
      await Promise.race([until("readiness", isReady, { seconds: 40 }), ended])
      assert.isTrue(isCut, "the process sent the statement")
    } finally {
      ended.catch(() => {})
      await process.kill("SIGKILL")
      await proxy.stop()
    }
  })
})
