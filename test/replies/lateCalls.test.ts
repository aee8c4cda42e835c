import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, uniquePrompt } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

describe("the ledger of an attempt that failed", () => {
  it("has its call, though Postgres gave the statement up that was to write it", async () => {
    const { database } = backends
    const ada = await backends.newUser()
    const about = uniquePrompt("Fail once.")
    const sent = await ada.ask(await ada.room(), `${about} [[latency 500]] [[error 1 times 1]]`)
    assert.strictEqual(sent.status, 202)

    const holder = new pg.Client({ connectionString: database.url })
    await holder.connect()
    await holder.query("begin")
    await holder.query("select from users where id = $1 for update", [ada.userId])
    try {
      const waiting = () =>
        database.query<{ pid: number }>(
          "select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%record_late_calls%' and pid <> pg_backend_pid()"
        )
      await until("a statement that waits for the lock", async () => (await waiting()).length > 0, { seconds: 30 })
      const cancelled = await Promise.all(
        (await waiting()).map(({ pid }) => database.query("select pg_cancel_backend($1)", [pid]))
      )
      assert.lengthOf(cancelled, 1)
    } finally {
      await holder.query("rollback")
      await holder.end()
    }

    assert.strictEqual((await awaitEnd(ada, sent)).body.status, "completed")
    assert.lengthOf(callsAbout(backends, about), 2)
    const attempts = () =>
      database.query<{ attempt: number; estimated: boolean }>(
        "select attempt, is_estimated as estimated from model_calls where user_id = $1 and kind = 'reply' order by attempt",
        [ada.userId]
      )
    await until("both calls in the ledger", async () => (await attempts()).length === 2, { seconds: 30 })
    assert.deepStrictEqual(await attempts(), [
      { attempt: 1, estimated: false },
      { attempt: 2, estimated: false }
    ])
  })
})
