import { afterEach, assert, describe, it } from "vitest"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"

describe("rooms without a message for long", () => {
  let backends: TestBackends
  afterEach(() => backends.stop())

  /** An old room, an old pinned one and a fresh one, after the task has run. */
  const roomsAfter = async (settings: Readonly<Record<string, string>>) => {
    backends = await startBackends({ ROLE: "all", LOG_LEVEL: "none", ...settings })
    const { database } = backends
    const person = await backends.newUser()
    const [old, pinned, fresh] = [await person.room(), await person.room(), await person.room()]
    await person.call("PATCH", `/chatroom/${pinned}`, { pinned: true })
    for (const room of [old, pinned, fresh]) {
      const { status } = await person.ask(room, "Is anyone there?", { wait: 20 })
      assert.strictEqual(status, 201)
    }
    await database.query("update chatrooms set last_message_at = now() - interval '31 days' where id = any($1)", [[old, pinned]])
    // A job that is done is deleted, so the second one shows that the first has run.
    for (const key of ["first", "second"]) {
      await database.query("select graphile_worker.add_job('expire_rooms', '{}', job_key => $1)", [key])
      await until("the task has run", async () => {
        const jobs = await database.query("select 1 from graphile_worker.jobs where key = $1", [key])
        return jobs.length === 0
      })
    }
    const left = await database.query<{ id: string }>("select id from chatrooms order by id")
    const messages = await database.query<{ id: string }>("select distinct chatroom_id as id from messages order by id")
    assert.deepStrictEqual(messages, left)
    const [user] = await database.query<{ chatrooms: number }>("select chatrooms from users where id = $1", [person.userId])
    assert.strictEqual(user?.chatrooms, left.length)
    return { left: left.map(({ id }) => id), old, pinned, fresh }
  }

  it("are deleted with ROOM_RETENTION_DAYS, unless they are pinned", async () => {
    const { fresh, left, pinned } = await roomsAfter({ ROOM_RETENTION_DAYS: "30" })
    assert.sameMembers(left, [pinned, fresh])
  })

  it("stay without it", async () => {
    const { fresh, left, old, pinned } = await roomsAfter({})
    assert.sameMembers(left, [old, pinned, fresh])
  })
})
