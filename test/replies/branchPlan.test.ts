import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import pg from "pg"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { DatabaseLayer } from "../../src/database/Database.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { environment } from "../../src/ops/Launch.ts"
import { branchBefore } from "../../src/replies/Conversation.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

let database: TestDatabase
const [userId, chatroomId] = [uuid(), uuid()]
const idOf = (n: number) => `01980000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`

/** A room of 10,000 messages, half of them on another branch, among as many of the user's other room. */
beforeAll(async () => {
  database = await createDatabase()
  await database.query("insert into users (id, mobile, status, quota_key) values ($1, '+1', 'active', 'q')", [userId])
  const other = uuid()
  for (const room of [chatroomId, other]) {
    await database.query("insert into chatrooms (user_id, id, title, head_id) values ($1, $2, 'T', $2)", [userId, room])
  }
  await database.query(
    `with ids as (
      select n, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
        ('01980000-0000-7000-8000-' || lpad(to_hex(n - 4), 12, '0'))::uuid as before,
        ('01980000-0000-7000-8000-' || lpad(to_hex(n - 2), 12, '0'))::uuid as asked
      from generate_series(0, 19999) n
    )
    -- Of four messages each, two are questions and two their replies: one branch has the even numbers, one the odd ones.
    insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, created_at, completed_at)
    select $1, id, case when n < 10000 then $2::uuid else $3::uuid end, case when n % 4 < 2 then 'user' else 'model' end, 'text',
      'completed', case when n % 4 >= 2 then asked end, case when n % 4 < 2 and n >= 4 and n <> 10000 and n <> 10001
        then ('01980000-0000-7000-8000-' || lpad(to_hex(n - 2), 12, '0'))::uuid end, now(), now()
    from ids`,
    [userId, chatroomId, other]
  )
  await database.query("vacuum analyze messages")
})
afterAll(() => database.drop())

interface Plan {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Name"?: string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly Plans?: ReadonlyArray<Plan>
}
const nodesOf = (plan: Plan): ReadonlyArray<Plan> => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]

/** The statement as the backend sends it, with its parameters. */
const compiled = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return branchBefore(sql, { userId, chatroomId, questionId: idOf(9_996), systemPrompt: null, contextTokens: 32_000 }).compile()
})

describe("the query of a reply's context", () => {
  it.each([["force_custom_plan"], ["force_generic_plan"]])(
    "reads 200 exchanges of a room of 10,000 messages by primary keys alone (plan_cache_mode %s)",
    async (mode) => {
      const settings = environment({ APP_ENV: "test", LOG_LEVEL: "error", MIGRATE: "off", DATABASE_URL: database.url })
      const layer = DatabaseLayer.pipe(Layer.provide(AppConfig.layer.pipe(Layer.provide(settings))))
      const [text, values] = await Effect.runPromise(Effect.provide(compiled, layer))
      const client = new pg.Client({ connectionString: database.url })
      await client.connect()
      const execute = `execute branch (${values.map((value) => `'${value}'`).join(", ")})`
      await client.query(`set plan_cache_mode = ${mode}`)
      await client.query(`prepare branch as ${text}`)
      const turns = await client.query(execute)
      const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(`explain (analyze, format json) ${execute}`)
      await client.end()
      assert.strictEqual(turns.rowCount, 201)
      const plan = rows[0]?.["QUERY PLAN"][0].Plan
      assert.isDefined(plan)
      const reads = nodesOf(plan).filter((node) => node["Relation Name"] === "messages")
      assert.isAtLeast(reads.length, 5)
      for (const node of reads) {
        assert.match(node["Node Type"], /^Index (Only )?Scan$/, JSON.stringify(node))
        assert.strictEqual(node["Index Name"], "messages_pkey")
        assert.isAtMost(node["Actual Rows"] * node["Actual Loops"], 202)
      }
    }
  )
})
