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

describe("a call whose attempt was held for lost", () => {
  const estimate = { prompt_tokens: 10, reply_tokens: 20, searches: 0, cost_micros: 100, is_estimated: true }
  const count = { prompt_tokens: 11, reply_tokens: 27, searches: 2, cost_micros: 140, is_estimated: false }

  const totals = async (userId: string) => {
    const [row] = await backends.database.query<Record<string, number>>(
      `select c.cost::int as ledger, c.prompt::int as "ledger prompt", c.reply::int as "ledger reply", c.searches::int as "ledger searches",
         d.cost_micros::int as day, d.prompt_tokens::int as prompt, d.reply_tokens::int as reply, d.searches::int as searches,
         m.cost_micros::int as message
       from (select sum(cost_micros) as cost, sum(prompt_tokens) as prompt, sum(reply_tokens) as reply, sum(searches) as searches
           from model_calls where user_id = $1 and kind = 'reply') c,
         usage_daily d join users u on u.quota_key = d.quota_key,
         messages m
       where u.id = $1 and m.user_id = $1 and m.role = 'model'`,
      [userId]
    )
    return row ?? {}
  }

  for (const [order, calls] of [
    ["an estimate, then the count", [estimate, count]],
    ["the count, then an estimate", [count, estimate]],
    ["both, twice", [estimate, count, estimate, count]]
  ] as const) {
    it(`is in the ledger and in the day once, with what the model has counted: ${order}`, async () => {
      const { database } = backends
      const ada = await backends.newUser()
      const sent = await ada.ask(await ada.room(), uniquePrompt("Hello."))
      assert.strictEqual((await awaitEnd(ada, sent)).body.status, "completed")
      const before = await totals(ada.userId)
      const id = crypto.randomUUID()
      for (const call of calls)
        await database.query(
          `select record_late_calls(m.user_id, m.id, u.quota_key, m.quota_day, jsonb_build_array($2::jsonb))
           from messages m join users u on u.id = m.user_id where m.user_id = $1 and m.role = 'model'`,
          [
            ada.userId,
            {
              id,
              attempt: 7,
              kind: "reply",
              tier: "basic",
              model: "m",
              cached_tokens: 0,
              tool_tokens: 0,
              thought_tokens: 0,
              ...call
            }
          ].map((value) => (typeof value === "string" ? value : JSON.stringify({ is_priced: true, ...value })))
        )
      const after = await totals(ada.userId)
      const more = Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? Number.NaN)]))
      const { cost_micros: cost, prompt_tokens: prompt, reply_tokens: reply, searches } = count
      assert.deepStrictEqual(more, {
        ledger: cost,
        "ledger prompt": prompt,
        "ledger reply": reply,
        "ledger searches": searches,
        day: cost,
        prompt,
        reply,
        searches,
        message: cost
      })
    })
  }
})
