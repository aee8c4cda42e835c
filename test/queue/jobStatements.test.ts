import { Logger, runMigrations, runOnce } from "graphile-worker"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { indexScans, lookUpJobsById } from "../../src/queue/JobStatements.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

let database: TestDatabase
let pool: pg.Pool
/** The statements that reach the driver. */
const statements = new Set<string>()

beforeAll(async () => {
  database = await createDatabase()
  pool = new pg.Pool({ connectionString: database.url, max: 2, options: indexScans })
  pool.on("connect", (client) => {
    const query = client.query.bind(client)
    Reflect.set(client, "query", (...args: ReadonlyArray<unknown>): unknown => {
      const [config] = args
      if (typeof config === "object" && config !== null && "text" in config) statements.add(String(config.text))
      return Reflect.apply(query, client, args)
    })
    lookUpJobsById(client)
  })
})
afterAll(async () => {
  await pool.end()
  await database.drop()
})

interface Plan {
  readonly "Node Type": string
  readonly "Relation Name"?: string
  readonly "Index Cond"?: string
  readonly Plans?: ReadonlyArray<Plan>
}
const nodesOf = (plan: Plan): ReadonlyArray<Plan> => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]

/** How a plan reads the table of jobs. */
const readsOf = async (text: string): Promise<ReadonlyArray<Plan>> => {
  const values = text.replaceAll("$1::text", "'pool'").replaceAll("$1::bigint[]", "'{1,2}'").replaceAll("$2::int[]", "'{1}'")
  const { rows } = await pool.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(`explain (format json) ${values}`)
  const plan = rows[0]?.["QUERY PLAN"][0].Plan
  assert.isDefined(plan)
  return nodesOf(plan).filter((node) => node["Relation Name"] === "_private_jobs" && node["Node Type"] !== "ModifyTable")
}

describe("graphile-worker's statements", () => {
  it("find the jobs that they take and delete by an index, also with the plan of an empty queue", async () => {
    await runMigrations({ pgPool: pool })
    const ran: Array<unknown> = []
    const taskList = { reply: (payload: unknown) => void ran.push(payload) }
    await pool.query("select graphile_worker.add_job('reply', json_build_object('n', n)) from generate_series(1, 200) n")
    const logger = new Logger(() => () => {})
    const preset = { worker: { localQueue: { size: 16 }, completeJobBatchDelay: 0 } }
    await runOnce({ pgPool: pool, taskList, concurrency: 16, noHandleSignals: true, preset, logger })
    assert.strictEqual(ran.length, 200)
    const { rows: left } = await pool.query("select from graphile_worker._private_jobs")
    assert.strictEqual(left.length, 0)

    // The statistics of a queue that has been worked off: pages without rows.
    await pool.query("analyze graphile_worker._private_jobs")
    const taken = [...statements].find((text) => text.startsWith("with j_raw"))
    const deleted = [...statements].find((text) => /^delete.*any\(\$1/s.test(text))
    assert.isDefined(taken)
    assert.isDefined(deleted)
    for (const reads of [await readsOf(taken), await readsOf(deleted)]) {
      for (const read of reads) assert.isDefined(read["Index Cond"], JSON.stringify(reads))
      assert.match(JSON.stringify(reads), /id = ANY/)
    }
  })
})
