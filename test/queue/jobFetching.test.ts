import { EventEmitter } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { Logger, run, type WorkerEvents } from "graphile-worker"
import { afterAll, beforeAll, describe, it } from "vitest"
import { fetchForIdleSlots } from "../../src/queue/JobFetching.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

const jobs = 1_500

describe("fetching of jobs", () => {
  it("goes on while jobs wait, also when slots become idle during a fetch", async () => {
    await database.query("select count(graphile_worker.add_job('work', '{}')) from generate_series(1, $1)", [jobs])
    const events: WorkerEvents = new EventEmitter()
    fetchForIdleSlots(events)
    let done = 0
    const runner = await run({
      connectionString: database.url,
      taskList: {
        work: async () => {
          await sleep(done % 5)
          done++
        }
      },
      events,
      logger: new Logger(() => () => {}),
      concurrency: 100,
      // Neither a poll nor a notification begins a fetch within the time of this test.
      pollInterval: 600_000,
      noHandleSignals: true,
      preset: { worker: { localQueue: { size: 100 } } }
    })
    try {
      await until("all jobs are done", () => done === jobs, { seconds: 30 })
    } finally {
      await runner.stop()
    }
  })
})
