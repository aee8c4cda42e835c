import pg from "pg"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

/** Each table with its task, how to make a row of an age, and the ages at which it is kept and deleted. */
const tables = [
  {
    table: "idempotency_keys",
    insert: "insert into idempotency_keys values ($1, 'sendMessage', $2, 'hash', 202, '{}', now() - $3::interval)",
    id: "key",
    fresh: "23 hours",
    old: "25 hours"
  },
  {
    table: "otp_challenges",
    insert: `insert into otp_challenges (id, mobile, purpose, code_mac, expires_at)
      select gen_random_uuid(), $2, 'login', 'mac', now() - $3::interval from users where id = $1`,
    id: "mobile",
    fresh: "23 hours",
    old: "25 hours"
  },
  {
    table: "throttles",
    insert: "insert into throttles (key, tat) select $2, now() - $3::interval from users where id = $1",
    id: "key",
    fresh: "23 hours",
    old: "25 hours"
  },
  {
    table: "sessions",
    insert: "insert into sessions (user_id, id, user_agent, expires_at) values ($1, gen_random_uuid(), $2, now() - $3::interval)",
    id: "user_agent",
    fresh: "29 days",
    old: "31 days"
  },
  {
    table: "model_pauses",
    insert: "insert into model_pauses (model, until) select $2, now() - $3::interval from users where id = $1",
    id: "model",
    fresh: "23 hours",
    old: "25 hours"
  },
  {
    table: "usage_daily",
    insert: `insert into usage_daily (quota_key, day, used)
      select $2, ((now() at time zone 'utc') - $3::interval)::date, 1 from users where id = $1`,
    id: "quota_key",
    fresh: "99 days",
    old: "102 days"
  },
  {
    table: "webhook_events",
    insert: `insert into webhook_events (id, type, outcome, created_at, received_at)
      select $2, 'invoice.paid', 'processed', now(), now() - $3::interval from users where id = $1`,
    id: "id",
    fresh: "89 days",
    old: "91 days"
  },
  {
    table: "checkout_attempts",
    insert: `insert into checkout_attempts (user_id, id, customer_id, status, expires_at, created_at)
      values ($1, gen_random_uuid(), $2, 'expired', now(), now() - $3::interval)`,
    id: "customer_id",
    fresh: "89 days",
    old: "91 days"
  },
  {
    table: "api_keys",
    insert: `insert into api_keys (user_id, id, name, key_hash, last4, expires_at)
      values ($1, gen_random_uuid(), $2, gen_random_uuid()::text, 'last', now() - $3::interval)`,
    id: "name",
    fresh: "29 days",
    old: "31 days"
  },
  {
    table: "shares",
    insert: `with room as (insert into chatrooms (user_id, id, title) values ($1, gen_random_uuid(), $2) returning id)
      insert into shares (user_id, id, chatroom_id, up_to, title, token_hash, created_at, expires_at)
      select $1, gen_random_uuid(), id, id, $2, gen_random_uuid()::text, now(), now() - $3::interval from room`,
    id: "title",
    fresh: "23 hours",
    old: "25 hours"
  }
] as const

describe("forgetting old rows", () => {
  let database: TestDatabase
  let backend: Awaited<ReturnType<typeof startBackend>>
  const user = uuid()

  beforeAll(async () => {
    database = await createDatabase()
    await database.query("insert into users (id, mobile, status, quota_key) values ($1, '+1', 'active', 'q')", [user])
    backend = await startBackend({
      DATABASE_URL: database.url,
      ROLE: "worker",
      LOG_LEVEL: "fatal",
      // Nothing answers there: the tables of billing are swept without Stripe.
      STRIPE_SECRET_KEY: "sk_test_simulated",
      STRIPE_WEBHOOK_SECRETS: "whsec_of_the_tests",
      STRIPE_PRO_PRICE_ID: "price_1",
      STRIPE_API_BASE: "http://127.0.0.1:9"
    })
  })
  afterAll(async () => {
    await backend.stop()
    await database.drop()
  })

  const start = (table: string) => database.query("select graphile_worker.add_job($1)", [`forget_${table}`])
  const jobsOf = (table: string) =>
    database.query<{ last_error: string | null }>("select last_error from graphile_worker.jobs where task_identifier = $1", [
      `forget_${table}`
    ])
  /** Runs the table's task to its end. */
  const forget = async (table: string) => {
    await start(table)
    await until(`the end of forget_${table}`, async () => (await jobsOf(table)).length === 0)
  }
  const idsOf = async (table: string, id: string) =>
    (await database.query<{ id: string }>(`select ${id} as id from ${table} order by 1`)).map((row) => row.id)

  for (const { fresh, id, insert, old, table } of tables) {
    it(`deletes ${table} ${old} old, not those of ${fresh}`, async () => {
      await database.query(insert, [user, "old", old])
      await database.query(insert, [user, "fresh", fresh])
      await forget(table)
      assert.deepStrictEqual(await idsOf(table, id), ["fresh"])
    })
  }

  it("is scheduled for every table", async () => {
    const known = await database.query<{ identifier: string }>("select identifier from graphile_worker._private_known_crontabs")
    assert.includeMembers(
      known.map(({ identifier }) => identifier),
      tables.map(({ table }) => `forget_${table}`)
    )
  })

  it("goes on, batch by batch, until nothing old is left", async () => {
    await database.query(
      "insert into throttles (key, tat) select 'many:' || n, now() - interval '2 days' from generate_series(1, 12000) n"
    )
    await forget("throttles")
    assert.deepStrictEqual(await idsOf("throttles", "key"), ["fresh"])
  })

  it("passes over rows that a transaction holds, and takes them later", async () => {
    await database.query("insert into throttles (key, tat) select key, now() - interval '2 days' from unnest($1::text[]) key", [
      ["free", "held"]
    ])
    const holder = new pg.Client({ connectionString: database.url })
    await holder.connect()
    await holder.query("begin")
    await holder.query("select 1 from throttles where key = 'held' for update")
    await forget("throttles")
    assert.deepStrictEqual(await idsOf("throttles", "key"), ["fresh", "held"])
    await holder.query("commit")
    await holder.end()
    await forget("throttles")
    assert.deepStrictEqual(await idsOf("throttles", "key"), ["fresh"])
  })

  it("continues with the other tables when one fails", async () => {
    await database.query("alter table sessions rename to sessions_renamed")
    await start("sessions")
    await until("the failure", async () => typeof (await jobsOf("sessions"))[0]?.last_error === "string")
    for (const { id, insert, old, table } of tables.filter(({ table }) => table !== "sessions")) {
      await database.query(insert, [user, "old again", old])
      await forget(table)
      assert.deepStrictEqual(await idsOf(table, id), ["fresh"])
    }
    await database.query("alter table sessions_renamed rename to sessions")
  })
})
