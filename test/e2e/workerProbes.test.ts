import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

describe("a worker with a PORT", { timeout: 60_000 }, () => {
  let database: TestDatabase
  let worker: Awaited<ReturnType<typeof startProcess>>

  beforeAll(async () => {
    database = await createDatabase()
    worker = await startProcess({
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: "http://127.0.0.1:9",
      ROLE: "worker",
      ADMIN_TOKEN: "a token of thirty-two characters."
    })
    await worker.started()
  }, 60_000)
  afterAll(async () => {
    await worker.kill("SIGKILL")
    await database.drop()
  })

  it("answers probes and metrics", async () => {
    const status = () =>
      request(worker.url, "GET", "/healthz").then(
        (reply) => reply.status,
        () => undefined
      )
    await until("the listener", async () => (await status()) === 200)
    await until("readiness", async () => (await request(worker.url, "GET", "/readyz")).status === 200)
    const { body } = await request(worker.url, "GET", "/readyz")
    assert.deepInclude(body.checks, { worker: "ok", clock: "ok", database: "ok" })
    const metrics = await request(worker.url, "GET", "/metrics", { token: "a token of thirty-two characters." })
    assert.strictEqual(metrics.status, 200)
  })

  it("serves nothing else, and drains on SIGTERM", async () => {
    for (const path of ["/user/me", "/chatroom", "/docs", "/openapi.json", "/"]) {
      assert.oneOf((await request(worker.url, "GET", path)).status, [404, 405], path)
    }
    assert.deepStrictEqual(await worker.kill("SIGTERM"), { code: 0, signal: null })
  })
})
