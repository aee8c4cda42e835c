import { setTimeout as sleep } from "node:timers/promises"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"
import { awaitEnd } from "../support/messages.ts"

/** Ended messages of others: so many that a scan of the table is not the cheapest plan. */
const others = 20_000

interface Scans extends Record<string, unknown> {
  readonly table: number
  readonly unfinished: number
}

describe("unfinished replies among many that have ended", () => {
  let database: TestDatabase

  beforeAll(async () => {
    database = await createDatabase()
    const user = uuid()
    await database.query("insert into users (id, mobile, status, quota_key) values ($1, 'others', 'active', 'others')", [user])
    await database.query(
      "insert into chatrooms (user_id, id, title) select $1, gen_random_uuid(), 'Room' from generate_series(1, 100)",
      [user]
    )
    await database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
        select c.user_id, gen_random_uuid(), c.id, 'user', repeat('word ', 20), 'completed', now(), now()
        from chatrooms c, generate_series(1, $1)`,
      [others / 100]
    )
    await database.query("vacuum analyze messages")
  })
  afterAll(() => database.drop())

  const scans = async () => {
    const [row] = await database.query<Scans>(
      `select t.seq_scan::int as table, i.idx_scan::int as unfinished
        from pg_stat_user_tables t join pg_stat_user_indexes i on i.relid = t.relid
        where t.relname = 'messages' and i.indexrelname = 'messages_unfinished'`
    )
    return row ?? assert.fail()
  }

  it("are found by their index: no sweep, cancel, regeneration, deletion scans the table", async () => {
    const before = await scans()
    const gemini = await startGeminiSimulator({ chunkMillis: 1 })
    const backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url })
    const person = await logIn(backend.url)

    const room = await person.room()
    const answered = await person.ask(room, "[[say hello]]", { wait: 20 })
    assert.strictEqual(answered.body.reply.status, "completed")
    const path = `/chatroom/${room}/message/${answered.body.reply.id}`
    assert.strictEqual((await awaitEnd(person, await person.call("POST", `${path}/regenerate`))).body.content, "hello")
    const slow = await person.ask(room, "[[latency 20000]] [[say never]]")
    const held = await person.ask(room, "[[latency 20000]] [[say never, either]]")
    const cancelled = await person.call("POST", `/chatroom/${room}/message/${held.body.reply.id}/cancel`)
    assert.strictEqual(cancelled.body.status, "cancelled")
    await sleep(7_000)
    assert.strictEqual((await person.call("GET", `/chatroom/${room}/message/${slow.body.reply.id}`)).body.status, "processing")
    assert.strictEqual((await person.call("DELETE", `/chatroom/${room}`)).status, 204)
    await person.ask(await person.room(), "[[latency 20000]] [[say gone]]")
    assert.strictEqual((await person.call("DELETE", "/user/me")).status, 204)

    // A connection reports what it has done when it ends, at the latest.
    await backend.stop()
    await gemini.stop()
    const after = await until("the sweeps to be counted", async () => {
      const now = await scans()
      return now.unfinished >= before.unfinished + 3 && now
    })
    assert.strictEqual(after.table, before.table)
  })
})
