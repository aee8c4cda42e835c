import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

/** Loaded before the program: hides a member of graphile-worker's local queue, as a version does that names it otherwise. */
const without = (member: string) =>
  `data:text/javascript,${encodeURIComponent(`
    import { EventEmitter } from "node:events"
    const { emit } = EventEmitter.prototype
    EventEmitter.prototype.emit = function (name, ...args) {
      if (name !== "localQueue:init") return emit.call(this, name, ...args)
      const [{ localQueue }] = args
      const { ${member} } = localQueue
      delete localQueue.${member}
      emit.call(this, name, ...args)
      Object.assign(localQueue, { ${member} })
      return true
    }`)}`

describe("a worker with a version of graphile-worker whose local queue", () => {
  let database: TestDatabase
  beforeAll(async () => void (database = await createDatabase()))
  afterAll(() => database.drop())

  it.each([
    ["fetch", "function"],
    ["getJobBatchSize", "number"]
  ])("has no %s does not start, and says why", { timeout: 60_000 }, async (member, type) => {
    const process = await startProcess({
      DATABASE_URL: database.url,
      ROLE: "worker",
      NODE_OPTIONS: `--import=${without(member)}`
    })
    try {
      const { code } = await process.exited
      assert.match(
        process.output(),
        new RegExp(
          `^cannot go on: .*does not fit this version of graphile-worker: its local queue has no ${type} ${member}\\b`,
          "m"
        )
      )
      assert.strictEqual(code, 1)
    } finally {
      await process.kill("SIGKILL")
    }
  })
})
