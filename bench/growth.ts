/**
 * `npm run bench:growth [-- --messages N] [--queue N] [--tiny]`: what requests cost as tables grow. Four users, with 1, 100
 * and 10,000 rooms and with a room of 10,000 messages, ask while the table holds only their messages, then with N more
 * of others. The plans that Postgres used, also inside of functions, are read from its log: none may read a big table from
 * end to end. Then so many messages go through the queue, and the table shows what is left of them.
 */
import { availableParallelism, loadavg } from "node:os"
import pg from "pg"
import { operations, statements } from "./growth/operations.ts"
import { explaining, planReader, type SeenPlan } from "./growth/plans.ts"
import { measureQueue } from "./growth/queue.ts"
import { insertOthers, insertSubjects, type Subject } from "./growth/subjects.ts"
import { writeReport } from "./report.ts"
import { seedTokens } from "./seed.ts"
import { openStage, type Stage, startApi, startWorker } from "./stage.ts"
import { median, number, table } from "./table.ts"
import { claimsOf } from "./usualStack.ts"

const words = process.argv.slice(2)
const isTiny = words.includes("--tiny")
const numberAfter = (word: string, otherwise: number) =>
  words.includes(word) ? Number(words[words.indexOf(word) + 1]) : otherwise
const messages = numberAfter("--messages", isTiny ? 2_000 : 10_000_000)
const queued = numberAfter("--queue", isTiny ? 100 : 200_000)
/** Requests of a kind, after as many for warm-up. */
const times = isTiny ? 2 : 30
const many = isTiny ? 100 : 10_000
const subjects: ReadonlyArray<Subject> = [
  { what: "1 room of 20 messages", rooms: 1, messagesEach: 20 },
  { what: `${isTiny ? 10 : 100} rooms of 20 messages`, rooms: isTiny ? 10 : 100, messagesEach: 20 },
  { what: `${number(many)} rooms of 20 messages`, rooms: many, messagesEach: 20 },
  { what: `1 room of ${number(many)} messages`, rooms: 1, messagesEach: many }
]

/** Milliseconds by the name of the operation or statement, for one subject. */
type Times = Readonly<Record<string, number>>

const readPlans = planReader()

const measureSubject = async (url: string, database: pg.Client, token: string): Promise<Times> => {
  const { rows } = await database.query<{ id: string }>(
    "select id from chatrooms where user_id = $1 order by active_at desc limit 1",
    [claimsOf(token).sub]
  )
  const asker = { url, token, roomId: rows[0]?.id ?? "" }
  const measured: Record<string, number> = {}
  await database.query("select pg_stat_statements_reset()")
  for (const { name, run } of operations) {
    const taken: Array<number> = []
    for (let index = 0; index < 2 * times; index++) {
      const startedAt = performance.now()
      await run(asker, index)
      if (index >= times) taken.push(performance.now() - startedAt)
    }
    measured[name] = median(taken)
  }
  for (const [name, pattern] of Object.entries(statements)) {
    const { rows } = await database.query<{ mean: number | null }>(
      "select (sum(total_exec_time) / sum(calls))::float8 as mean from pg_stat_statements where query ilike $1 and toplevel",
      [pattern]
    )
    measured[`${name}, in Postgres`] = rows[0]?.mean ?? Number.NaN
  }
  return measured
}

/** Runs every operation once with the plans in the log. */
const plansOf = async (url: string, database: pg.Client, token: string): Promise<ReadonlyArray<SeenPlan>> => {
  const { rows } = await database.query<{ id: string }>("select id from chatrooms where user_id = $1 limit 1", [
    claimsOf(token).sub
  ])
  readPlans.take()
  const asker = { url, token, roomId: rows[0]?.id ?? "" }
  for (const { run } of operations) for (let index = 0; index < 7; index++) await run(asker, index + 2 * times)
  return readPlans.take()
}

/** All subjects with the table as it is. A process of its own, because prepared statements keep the plans of a smaller table. */
const measureSize = async (
  stage: Stage,
  settings: Readonly<Record<string, string>>,
  database: pg.Client,
  tokens: ReadonlyArray<string>
) => {
  await database.query("vacuum (analyze)")
  const explain = async (value: string) => {
    await database.query(`alter system set "auto_explain.log_min_duration" = '${value}'`)
    await database.query("select pg_reload_conf()")
  }
  const processes = await Promise.all([startApi(settings, "api", stage.entry), startWorker(settings, stage.entry)])
  try {
    const [{ url }] = processes
    const measured: Array<Times> = []
    for (const token of tokens) measured.push(await measureSubject(url, database, token))
    await explain("0")
    const plans: Array<SeenPlan> = []
    for (const token of tokens) plans.push(...(await plansOf(url, database, token)))
    await explain("-1")
    const { rows } = await database.query<{ count: string }>(
      "select reltuples::bigint as count from pg_class where relname = 'messages'"
    )
    return { count: Number(rows[0]?.count ?? 0), measured, plans }
  } finally {
    await Promise.all(processes.map((running) => running.stop()))
  }
}

const startedAt = performance.now()
const elapsed = () => `${Math.round((performance.now() - startedAt) / 1000)} s`
const busyBefore = loadavg()[0] ?? 0
const stage = await openStage({ postgres: { ...explaining, max_wal_size: "8GB" }, log: readPlans.note })
try {
  const databaseUrl = await stage.productDatabase("bench_growth")
  const settings = stage.settings(databaseUrl)
  const database = new pg.Client({ connectionString: databaseUrl })
  database.on("error", console.error) // Postgres is stopped when a step has failed
  await database.connect()
  await database.query("create extension pg_stat_statements")
  const tokens = await seedTokens(settings, subjects.length)
  await stage.simulator.reset({ latencyMillis: 0, chunkMillis: 0 })
  await insertSubjects(database, subjects, tokens)
  const small = await measureSize(stage, settings, database, tokens)
  console.error(`${number(small.count)} messages measured after ${elapsed()}`)
  await insertOthers(database, messages, (done) => console.error(`${number(done)} messages inserted after ${elapsed()}`))
  const big = await measureSize(stage, settings, database, tokens)
  console.error(`${number(big.count)} messages measured after ${elapsed()}`)
  const { rows: sizes } = await database.query<{ size: string }>(
    "select format('%s of rows, %s of indexes', pg_size_pretty(pg_table_size('messages')), pg_size_pretty(pg_indexes_size('messages'))) as size"
  )
  await database.end()

  const faults = big.plans.flatMap(({ query, sequential }) =>
    sequential.map((name) => `${name} is read from end to end: ${query}`)
  )
  const names = Object.keys(big.measured[0] ?? {})
  const rows = names.map((name) => [
    name,
    ...subjects.map((_, index) =>
      [small, big].map(({ measured }) => number(measured[index]?.[name] ?? Number.NaN, 1)).join(" → ")
    )
  ])
  const queue = await measureQueue(stage, queued)
  const report = `
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores; load average before the run ${busyBefore.toFixed(2)}.
${await stage.describe()}
Milliseconds with ${number(small.count)} messages in the table → with ${number(big.count)} (${sizes[0]?.size ?? "?"}); medians of ${times} requests, the means of Postgres' own time for single statements.

${table(["What", ...subjects.map(({ what }) => what)], rows)}

${number(big.plans.length)} plans, also of statements inside of functions, were read from the log of Postgres: ${faults.length === 0 ? "none reads a big table from end to end" : `${faults.length} read a big table from end to end`}.

${queue}
`
  console.log(report)
  for (const fault of new Set(faults)) console.log(fault)
  if (!isTiny) writeReport("growth", report)
  else if (big.plans.length === 0) process.exitCode = 1
  console.log(`${big.plans.length > 0 ? "plans were read" : "no plan was read"}, ${elapsed()}.`)
} finally {
  await stage.close()
}
