/**
 * `npm run bench:jobs [-- --rounds N] [--brief]`: what the queue alone carries. Jobs are added with the product's
 * statement and run by the product's runner, whose task does nothing, while so many jobs always wait. Each case has a
 * database of its own; `schemas` divides jobs and processes among several queues in it.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { availableParallelism, loadavg } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { runMigrations } from "graphile-worker"
import pg from "pg"
import { replyTask } from "../src/queue/Announcer.ts"
import { ask } from "./load.ts"
import { logPosition } from "./logPosition.ts"
import { calm, meterCpu } from "./process.ts"
import { openStage, type Stage } from "./stage.ts"
import { median, number, table } from "./table.ts"

interface Case {
  readonly schemas: number
  readonly processes: number
  /** Jobs that always wait. */
  readonly waiting: number
}

const cases: ReadonlyArray<Case> = [
  { schemas: 1, processes: 1, waiting: 1_000 },
  { schemas: 1, processes: 2, waiting: 1_000 },
  { schemas: 1, processes: 4, waiting: 1_000 },
  { schemas: 1, processes: 8, waiting: 1_000 },
  { schemas: 4, processes: 4, waiting: 1_000 },
  { schemas: 8, processes: 8, waiting: 1_000 },
  { schemas: 1, processes: 4, waiting: 100_000 },
  { schemas: 4, processes: 4, waiting: 100_000 },
  { schemas: 1, processes: 4, waiting: 1_000_000 },
  { schemas: 4, processes: 4, waiting: 1_000_000 }
]
const briefCases: ReadonlyArray<Case> = [{ schemas: 2, processes: 2, waiting: 100 }]

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "3" }, brief: { type: "boolean", default: false } }
})
const rounds = values.brief ? 1 : Number(values.rounds)
const seconds = values.brief ? 1 : 5
const warmUpSeconds = values.brief ? 0.5 : 2
/** Jobs of one statement at most while processes run. */
const batch = 50

/** Adds jobs with the statement of the product's announcer; every fifth is a Pro user's. */
const addJobs = async (database: pg.Client, schema: string, count: number): Promise<void> => {
  const specs = Array.from({ length: count }, (_, index) => {
    const [userId, replyId] = [crypto.randomUUID(), crypto.randomUUID()]
    return { identifier: replyTask, payload: { userId, replyId }, job_key: replyId, priority: index % 5 === 0 ? 0 : 10 }
  })
  await database.query(
    `select set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
       (select count(*) from ${schema}.add_jobs(array(
         select json_populate_recordset(null::${schema}.job_spec, $1::text::json))))`,
    [JSON.stringify(specs)]
  )
}

/** One queue, its processes, and what keeps so many jobs waiting in it. */
class Queue {
  private readonly schema: string
  private readonly database: pg.Client
  private readonly settings: Readonly<Record<string, string>>
  private readonly processes: Array<ChildProcess> = []
  private added = 0
  private isFed = true
  private fed: Promise<void> = Promise.resolve()
  done = 0

  private constructor(index: number, settings: Readonly<Record<string, string>>) {
    this.schema = index === 0 ? "graphile_worker" : `graphile_worker_${index + 1}`
    this.settings = { ...settings, GRAPHILE_WORKER_SCHEMA: this.schema }
    this.database = new pg.Client({ connectionString: settings["DATABASE_URL"] })
  }

  static async open(index: number, settings: Readonly<Record<string, string>>, waiting: number): Promise<Queue> {
    const queue = new Queue(index, settings)
    await queue.database.connect()
    await runMigrations({ connectionString: settings["DATABASE_URL"] ?? "", schema: queue.schema })
    while (queue.added < waiting) await queue.add(Math.min(1_000, waiting - queue.added))
    return queue
  }

  private async add(count: number): Promise<void> {
    await addJobs(this.database, this.schema, count)
    this.added += count
  }

  get pids(): ReadonlyArray<number> {
    return this.processes.map(({ pid }) => pid ?? 0)
  }

  start(processes: number, waiting: number): void {
    const { HOME = "", PATH = "" } = process.env
    for (let index = 0; index < processes; index++)
      this.processes.push(
        fork(new URL("./jobsWorker.ts", import.meta.url), { env: { HOME, PATH, NODE_ENV: "production", ...this.settings } })
      )
    this.fed = this.feed(waiting)
  }

  /** Asks the processes how many jobs they have done. */
  async count(): Promise<number> {
    const counts = await Promise.all(this.processes.map((child) => ask<number>(child, {})))
    return (this.done = counts.reduce((sum, count) => sum + count, 0))
  }

  private async feed(waiting: number): Promise<void> {
    while (this.isFed) {
      const missing = waiting + this.done - this.added
      if (missing < batch / 5) await sleep(1)
      else await this.add(Math.min(batch, missing))
    }
  }

  async close(): Promise<void> {
    this.isFed = false
    await this.fed
    for (const child of this.processes) {
      const exited = once(child, "exit")
      child.disconnect()
      await exited
    }
    await this.database.end()
  }
}

interface Figures {
  readonly rate: number
  readonly postgres: number
  readonly worker: number
  readonly log: number
}

const sum = (values: ReadonlyArray<number>) => values.reduce((total, value) => total + value, 0)

/** Counts the jobs of all queues all the time, which the feeders need too, and measures one window. */
const watch = async (queues: ReadonlyArray<Queue>, postgresPid: number, database: pg.Client): Promise<Figures> => {
  const count = async () => sum(await Promise.all(queues.map((queue) => queue.count())))
  const countFor = async (span: number) => {
    for (const end = performance.now() + span * 1_000; performance.now() < end; await sleep(10)) await count()
    return count()
  }
  for (let started = 0; started === 0;) started = await countFor(0.1)
  const pids = queues.flatMap((queue) => queue.pids)
  const first = await countFor(warmUpSeconds)
  const from = await logPosition(database)
  const meter = meterCpu({ postgres: postgresPid, ...Object.fromEntries(pids.map((pid) => [`${pid}`, pid])) })
  const begun = performance.now()
  const jobs = (await countFor(seconds)) - first
  const rate = (jobs / (performance.now() - begun)) * 1_000
  const cores = meter()
  return {
    rate,
    postgres: ((cores["postgres"] ?? Number.NaN) / rate) * 1e6,
    worker: (sum(pids.map((pid) => cores[`${pid}`] ?? Number.NaN)) / rate) * 1e6,
    log: ((await logPosition(database)) - from) / jobs
  }
}

let databases = 0
const measure = async (stage: Stage, { processes, schemas, waiting }: Case): Promise<Figures> => {
  const settings = stage.settings(await stage.createDatabase(`bench_jobs_${++databases}`))
  const database = new pg.Client({ connectionString: settings["DATABASE_URL"] })
  await database.connect()
  const opened = await Promise.all(Array.from({ length: schemas }, (_, index) => Queue.open(index, settings, waiting / schemas)))
  try {
    // Planner and log as after some time: the table has been looked at, and a page's first image has been written.
    await database.query("vacuum analyze")
    await database.query("checkpoint")
    await calm()
    for (const queue of opened) queue.start(processes / schemas, waiting / schemas)
    return await watch(opened, stage.postgresPid, database)
  } finally {
    await Promise.all(opened.map((queue) => queue.close()))
    await database.end()
  }
}

const range = (values: ReadonlyArray<number>) =>
  `${number(median(values))} (${number(Math.min(...values))}–${number(Math.max(...values))})`

const busyBefore = loadavg()[0] ?? 0
const stage = await openStage({ postgres: { checkpoint_timeout: "30min", max_wal_size: "8GB" } })
try {
  const chosen = values.brief ? briefCases : cases
  const results = chosen.map((of) => ({ of, figures: new Array<Figures>() }))
  for (let round = 0; round < rounds; round++) for (const { figures, of } of results) figures.push(await measure(stage, of))
  const rows = results.map(({ figures, of: { processes, schemas, waiting } }) => [
    `${schemas}`,
    `${processes}`,
    number(waiting),
    range(figures.map(({ rate }) => rate)),
    number(median(figures.map(({ postgres }) => postgres))),
    number(median(figures.map(({ worker }) => worker))),
    number(median(figures.map(({ log }) => log)))
  ])
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores, shared by all processes; load average before the run ${busyBefore.toFixed(2)}.
${await stage.describe()}
Jobs are added and run at the same time; medians (ranges) of ${rounds} rounds of ${seconds} s.
`)
  console.log(
    table(
      ["Queues", "Processes", "Waiting", "Jobs a second", "Postgres CPU, µs each", "Worker CPU, µs each", "Log, bytes each"],
      rows
    )
  )
} finally {
  await stage.close()
}
