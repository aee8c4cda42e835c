import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { explaining, type Node, nodesOf, planReader, type SeenPlan } from "../../bench/growth/plans.ts"
import { type EmbeddedPostgres, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { runCollection } from "../../scripts/postman/Newman.ts"
import { startDevServer } from "../../scripts/postman/Server.ts"

/** The distribution column of each table in docs/scaling.md; of tables that are not distributed, what they are. */
const documented = new Map(
  [...readFileSync("docs/scaling.md", "utf8").matchAll(/^\| `(\w+)` \| (?:`(\w+)`|(reference|local)) \|/gm)].map(
    ([, table = "", column, kind]) => [table, { column, kind }]
  )
)
const tables = [...readFileSync("migrations/schema.sql", "utf8").matchAll(/^create (?:unlogged )?table (\w+) \(/gm)].map(
  ([, name = ""]) => name
)

/** Columns by which one user's row is found before the user is known; the rest of the statement is about that user. */
const lookups: Readonly<Record<string, string>> = {
  users: "mobile",
  api_keys: "key_hash",
  shares: "token_hash",
  billing_customers: "customer_id",
  checkout_attempts: "session_id",
  subscriptions: "customer_id"
}

/** The process's own work over all users, by the beginning of the statement: a sharded deployment runs it in each shard. */
const sweeps: ReadonlyArray<readonly [task: string, statement: RegExp]> = [
  ["the reaper, after the death of a worker", /^with killed as/],
  ["the reaper, for replies that wait", /^select m\.user_id, m\.id, case when m\.queued_at/],
  ["the reaper, for users whose held replies may run", /^with rooms as \( select user_id, count/],
  ["forget_…", /^with gone as \( delete from "?\w+"? where ctid/],
  ["expire_files and expire_completions", /^with due as materialized/],
  ["expire_rooms", /^select user_id, id from chatrooms where kind = 'chat' and active_at/],
  ["remove_files", /^select user_id, file_id from file_removals/],
  ["stripe_reconcile and stripe_reconcile_all", /^select count\(j\.id\) from \( ?select customer_id/],
  ["stripe_reconcile, for refunds", /^update webhook_events e set customer_id/],
  ["stripe_reconcile_all, for lost customers", /^insert into billing_customers .* json_to_recordset/],
  ["fill_branches", /^select user_id, id from chatrooms where \(user_id, id\) >/],
  ["the pieces of a process's replies, in one batch", /^insert into stream_segments as s select/],
  ["the sweep of the delta log", /^delete from stream_segments s where not exists/],
  ["the owner of a room whose id a client brings", /^select user_id from chatrooms where id = /],
  ["GET /admin/feedback", /^select .* from messages .*order by feedback_at desc/],
  ["GET /admin/usage", /^select .* from model_calls .*group by/]
]
const isSweep = ({ query }: SeenPlan) => sweeps.some(([, statement]) => statement.test(query))

/** The conditions of a node: of its scan, or of its join. */
const conditionsOf = (node: Node): string =>
  Object.entries(node)
    .filter(([name]) => / Cond$|Filter$/.test(name))
    .map(([, condition]) => String(condition))
    .join(" and ")

/** Whether a condition equates the column with a value, or with a column of another table. */
const equates = (text: string, column: string): boolean =>
  new RegExp(`\\b${column}\\b"?\\)?(?:::\\w+)? = |= \\(?(?:\\w+\\.)?${column}\\b`).test(text)

/** The distributed tables that a plan scans without saying of which user. What a join above a scan says counts for it. */
const unboundScans = (node: Node, above = ""): ReadonlyArray<string> => {
  const table = node["Relation Name"]
  const column = table === undefined ? undefined : documented.get(table)?.column
  const isScan = node["Node Type"].endsWith("Scan")
  if (!isScan || table === undefined || column === undefined) {
    const joined = `${above} and ${conditionsOf(node)}`
    return (node.Plans ?? []).flatMap((child) => unboundScans(child, joined))
  }
  // The index scans below a bitmap scan have its conditions.
  const text = `${above} and ${nodesOf(node).map(conditionsOf).join(" and ")}`
  const lookup = lookups[table]
  const isBound = equates(text, column) || equates(text, "user_id") || (lookup !== undefined && equates(text, lookup))
  return isBound ? [] : [table]
}

/** The plans of a run of all operations take half a minute, and which plan Postgres chooses depends on the run. */
const isAsked = process.env["SHARDING"] === "1"

describe.skipIf(!isAsked)("the statements of a run of all operations", { timeout: 600_000 }, () => {
  let postgres: EmbeddedPostgres | undefined
  let plans: ReadonlyArray<SeenPlan> = []

  beforeAll(async () => {
    const reader = planReader()
    postgres = await startPostgres({
      ephemeral: true,
      settings: { ...explaining, "auto_explain.log_min_duration": "0" },
      log: reader.note
    })
    const server = await startDevServer({ DATABASE_URL: postgres.url })
    try {
      reader.take()
      const report = await runCollection({ baseUrl: server.url })
      assert.deepStrictEqual(report.failures, [], report.output)
    } finally {
      await server.stop()
    }
    plans = reader.take()
  }, 300_000)
  afterAll(() => postgres?.stop())

  it("use every distributed table", () => {
    const seen = new Set(plans.flatMap((plan) => plan.tables))
    const unseen = [...documented].filter(([table, { column }]) => column !== undefined && !seen.has(table))
    assert.deepStrictEqual(unseen, [])
  })

  it("are left alone by `npm run citus` without the extension", () => {
    const output = execFileSync(process.execPath, ["scripts/citus.ts", postgres?.url ?? ""], { encoding: "utf8" })
    assert.strictEqual(output, "skipped: the extension citus is not installed on this server\n")
  })

  it("neither join nor lock rows of several users", () => {
    const across = plans.filter((plan) => !isSweep(plan) && unboundScans(plan.root).length > 0)
    assert.deepStrictEqual([...new Set(across.map(({ query, root }) => `${unboundScans(root)}: ${query}`))], [])
  })
})

describe("the documented distribution", () => {
  it("has every table", () => assert.sameMembers([...documented.keys()], tables))

  it("distributes by the first column of the primary key", () => {
    const schema = readFileSync("migrations/schema.sql", "utf8")
    for (const [table, { column }] of documented) {
      if (column === undefined || table === "users") continue
      assert.match(schema, new RegExp(`constraint ${table}_pkey PRIMARY KEY \\(${column}\\b`))
    }
  })
})
