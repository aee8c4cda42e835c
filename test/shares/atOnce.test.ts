import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import type { Reply } from "../support/Client.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { read, roomWith, share, tokenOf } from "./sharing.ts"

let backends: TestBackends
let api: Awaited<ReturnType<typeof startBackend>>
let locker: pg.Client

beforeAll(async () => {
  backends = await startBackends({ LOG_LEVEL: "none" })
  const { query, url } = backends.database
  // Of what a reader asks for, only a page measures texts: it waits for the lock, the look-up of the link does not.
  await query(`create function public.octet_length(text) returns int language plpgsql as $$ begin
    perform pg_advisory_xact_lock_shared(77);
    return pg_catalog.octet_length($1);
  end $$`)
  await query(`alter database ${new URL(url).pathname.slice(1)} set search_path = public, pg_catalog`)
  api = await startBackend({ DATABASE_URL: url, ROLE: "api", LOG_LEVEL: "none" })
  locker = new pg.Client({ connectionString: url })
  await locker.connect()
})
afterAll(async () => {
  await locker.end()
  await api.stop()
  await backends.stop()
})

describe("pages of one link", () => {
  it("are read four at once; the rest wait, then get 429, and other links are not affected", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const room = await roomWith(ada, "[[say Here.]] ?")
    const [token, other] = [tokenOf(await share(ada, room)), tokenOf(await share(ada, room))]
    const reading = async () => {
      const [row] = await backends.database.query<{ count: number }>(
        "select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event = 'advisory'"
      )
      return row?.count
    }
    await locker.query("select pg_advisory_lock(77)")
    const done: Array<Reply> = []
    const answers = times(12, async () => done.push(await read(api.url, token)))
    await until("four reads", async () => (await reading()) === 4)
    await until("eight refusals", () => done.length === 8)
    for (const { body, headers, status } of done) {
      assert.deepEqual([status, body.code, headers.get("retry-after")], [429, "too_many_requests", "1"])
    }
    const another = read(api.url, other)
    await until("a read of the other link", async () => (await reading()) === 5)
    await locker.query("select pg_advisory_unlock(77)")
    assert.strictEqual((await another).status, 200)
    await Promise.all(answers)
    assert.deepEqual(
      done.slice(8).map(({ status }) => status),
      [200, 200, 200, 200]
    )
  })
})
