import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

describe("a user whose row another transaction has locked", () => {
  let backends: TestBackends
  beforeAll(async () => void (backends = await startBackends({ ROLE: "api", LOG_LEVEL: "none" })))
  afterAll(() => backends.stop())

  it("holds up no question of others, and its own are accepted afterwards", { timeout: 60_000 }, async () => {
    const [locked, ...others] = await backends.newUsers(9)
    assert.isDefined(locked)
    const rooms = await Promise.all([locked, ...others].map((person) => person.room()))
    const holder = new pg.Client({ connectionString: backends.database.url })
    await holder.connect()
    await holder.query("begin")
    await holder.query("select 1 from users where id = $1 for update", [locked.userId])
    let isFree = false
    const late = [1, 2].map(async (number) => {
      const sent = await locked.ask(rooms[0] ?? "", `Late ${number}?`)
      return { status: sent.status, isFree }
    })
    const sent = await Promise.all(
      others.flatMap((person, index) => [1, 2].map(() => person.ask(rooms[index + 1] ?? "", "Now?")))
    )
    assert.deepStrictEqual(new Set(sent.map(({ status }) => status)), new Set([202]))
    isFree = true
    await holder.query("commit")
    await holder.end()
    assert.deepStrictEqual(await Promise.all(late), [
      { status: 202, isFree: true },
      { status: 202, isFree: true }
    ])
  })
})
