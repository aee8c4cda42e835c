/**
 * `node bench/streams.ts [one] [separate] [streams[@chunksPerSecond] …]`: the latency that streaming adds between the
 * model's sending of a chunk and its arrival at a client. With 200 and 1,000 replies at once, at 20 chunks per second
 * each (and 1,000 at 4, which makes as many chunks as 200 at 20), in one process, and from two workers through Postgres
 * to two API processes. Every text is compared with the stored reply.
 */
import { fork } from "node:child_process"
import { availableParallelism, loadavg } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { ask } from "./load.ts"
import { calm, meterCpu, residentMiB, type Running } from "./process.ts"
import type { Question, Read, ReadJob } from "./reader.ts"
import { type Room, seedRooms, seedTokens } from "./seed.ts"
import { openStage, type Stage, startApi, startWorker } from "./stage.ts"
import { byProcess, median, number, table } from "./table.ts"

/** A user may have five streams open in one process. */
const roomsEach = 5
/** Milliseconds for which a reply is written. */
const replyMillis = 8_000
/** The replies begin evenly spread over this time, because real users do not all ask at the same moment. */
const spreadMillis = 1_000
/** Time to ask all questions and open all streams before the first reply begins. */
const leadMillis = (streams: number) => 2_000 + 8 * streams
const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5)

interface Setup {
  readonly name: string
  readonly apis: number
  readonly workers: number
}

/** The number of replies at once, and the chunks per second of each. */
interface Amount {
  readonly streams: number
  readonly rate: number
}
const chunksOf = ({ rate }: Amount) => Math.round((replyMillis / 1000) * rate)
const setups: Readonly<Record<string, Setup>> = {
  one: { name: "one process (`ROLE=all`)", apis: 1, workers: 0 },
  separate: { name: "2 × `ROLE=api`, 2 × `ROLE=worker`", apis: 2, workers: 2 }
}

/** The figures of one round. */
interface Round {
  /** Milliseconds of the chunks sent while all replies were being written. */
  readonly p50: number
  readonly p90: number
  readonly p99: number
  /** Milliseconds of all chunks, including those sent while replies began and ended. */
  readonly p99Whole: number
  readonly max: number
  /** Chunks that arrived per second; 20 for each stream if the simulator keeps up. */
  readonly chunkRate: number
  /** Per second of Postgres: transactions (a single statement is one), and KiB of its write-ahead log. */
  readonly transactions: number
  readonly logKiB: number
  readonly cores: Readonly<Record<string, number>>
  /** Streams with another text than the stored one, with a missing or repeated chunk, or without `completed`. */
  readonly wrong: number
  /** Streams that opened after their reply had begun, so that their first figures include the joining. */
  readonly late: number
}

/** Transactions committed and bytes of write-ahead log so far. */
const databaseCounters = async (database: pg.Client) => {
  const { rows } = await database.query<{ transactions: number; bytes: number }>(
    `select xact_commit::float8 as transactions, (pg_current_wal_lsn() - '0/0')::float8 as bytes
     from pg_stat_database where datname = current_database()`
  )
  return rows[0] ?? { transactions: Number.NaN, bytes: Number.NaN }
}

/** The stored texts by the reply's id. */
const storedTexts = async (database: pg.Client, ids: ReadonlyArray<string>): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await database.query<{ id: string; content: string }>(
    "select id, content from messages where id = any ($1::uuid[])",
    [ids]
  )
  return new Map(rows.map(({ content, id }) => [id, content]))
}

const isRight = ({ end, replaces, sent, text }: Read, stored: string | undefined, chunks: number) =>
  end === "completed" && replaces === 0 && text === stored && sent.length === chunks && new Set(sent).size === chunks

const isBetween = (at = Number.NaN, from: number, to: number) => at >= from && at < to

const quantile = (values: ReadonlyArray<number>, share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

/** Asks in every room, follows every reply, and measures from the first reply's beginning to the last one's end. */
const measureRound = async (
  ports: ReadonlyArray<number>,
  rooms: ReadonlyArray<Room>,
  amount: Amount,
  pids: Readonly<Record<string, number>>,
  database: pg.Client
): Promise<Round> => {
  const chunks = chunksOf(amount)
  const beginAt = Date.now() + leadMillis(rooms.length)
  const questions = rooms.map((room, index): Question => ({ ...room, startAt: beginAt + (index * spreadMillis) / rooms.length }))
  const readers = ports.map((port, index) => {
    const child = fork(new URL("./reader.ts", import.meta.url), { serialization: "advanced" })
    const job: ReadJob = {
      port,
      chunks,
      chunkMillis: 1000 / amount.rate,
      questions: questions.filter((_, at) => at % ports.length === index)
    }
    return { child, reads: ask<ReadonlyArray<Read>>(child, job) }
  })
  const all = { ...pids, ...Object.fromEntries(readers.map(({ child }, index) => [`reader ${index + 1}`, child.pid ?? 0])) }
  try {
    await sleep(beginAt - Date.now())
    const meter = meterCpu(all)
    const before = await databaseCounters(database)
    const from = performance.now()
    // Until the first replies end.
    await sleep(replyMillis)
    const after = await databaseCounters(database)
    const seconds = (performance.now() - from) / 1000
    const used = meter()
    const others = Object.values(used).reduce((rest, cores) => rest - cores, availableParallelism())
    const cores = { ...used, others }
    const reads = (await Promise.all(readers.map(({ reads }) => reads))).flat()
    const stored = await storedTexts(
      database,
      reads.map(({ replyId }) => replyId)
    )
    // Only while all replies are written is the number of streams constant; before and after, a thousand begin or end in a second.
    const begun = reads.reduce((last, { sent }) => Math.max(last, sent[0] ?? 0), 0)
    const ending = reads.reduce((first, { sent }) => Math.min(first, sent.at(-1) ?? 0), Infinity)
    const steady = reads.flatMap(({ sent, took }) => took.filter((_, index) => isBetween(sent[index], begun, ending)))
    const every = reads.flatMap(({ took }) => took)
    const sent = reads.flatMap(({ sent }) => sent)
    const span = sent.reduce((last, at) => Math.max(last, at), 0) - sent.reduce((first, at) => Math.min(first, at), Infinity)
    return {
      p50: quantile(steady, 0.5),
      p90: quantile(steady, 0.9),
      p99: quantile(steady, 0.99),
      p99Whole: quantile(every, 0.99),
      max: quantile(every, 1),
      chunkRate: (every.length / (span - spreadMillis)) * 1000,
      transactions: (after.transactions - before.transactions) / seconds,
      logKiB: (after.bytes - before.bytes) / 1024 / seconds,
      cores,
      wrong: reads.filter((read) => !isRight(read, stored.get(read.replyId), chunks)).length,
      late: reads.filter(({ early }) => early < 0).length
    }
  } finally {
    for (const { child } of readers) child.kill()
  }
}

const startSetup = async (settings: Readonly<Record<string, string>>, { apis, workers }: Setup) => {
  const role = workers === 0 ? "all" : "api"
  const started: Array<Running> = []
  const ports: Array<number> = []
  const pids: Record<string, number> = {}
  for (let index = 1; index <= apis; index++) {
    const api = await startApi(settings, role)
    started.push(api)
    ports.push(api.port)
    pids[apis === 1 ? role : `${role} ${index}`] = api.pid
  }
  for (let index = 1; index <= workers; index++) {
    const worker = await startWorker(settings)
    started.push(worker)
    pids[`worker ${index}`] = worker.pid
  }
  return { ports, pids, stop: async () => void (await Promise.all(started.map((running) => running.stop()))) }
}

/** All rounds of one set-up with one amount. */
const measureSetup = async (stage: Stage, setup: Setup, amount: Amount): Promise<ReadonlyArray<string>> => {
  const { rate, streams } = amount
  const databaseUrl = await stage.createDatabase(`bench_streams_${setup.workers}_${streams}_${rate}`)
  const workers = Math.max(1, setup.workers)
  // As many slots as replies, because an idle slot polls the queue, which is not part of streaming.
  const settings = { ...stage.settings(databaseUrl), WORKER_CONCURRENCY: String(Math.ceil(streams / workers)) }
  const { pids: own, ports, stop } = await startSetup(settings, setup)
  const pids = { ...own, Postgres: stage.postgresPid, simulator: stage.simulatorPid }
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  try {
    const tokens = await seedTokens(settings, Math.ceil(streams / roomsEach))
    const measure = async (count: number) => {
      const rooms = await seedRooms(`http://127.0.0.1:${ports[0] ?? 0}`, tokens.slice(0, Math.ceil(count / roomsEach)), roomsEach)
      await calm()
      return measureRound(ports, rooms.slice(0, count), amount, pids, database)
    }
    await measure(Math.min(200, streams)) // warm-up of the just-in-time compiler, not counted
    const measured: Array<Round> = []
    for (let round = 0; round < rounds; round++) {
      const figures = await measure(streams)
      measured.push(figures)
      console.error(setup.name, `${streams}@${rate}`, JSON.stringify(figures), `load ${loadavg()[0] ?? 0}`)
    }
    return [setup.name, ...cells(amount, measured, own)]
  } finally {
    await database.end()
    await stop()
  }
}

const titles = [
  "Set-up",
  "Streams",
  "Chunks/s",
  "Added ms p50",
  "p90",
  "p99",
  "p99 with begins and ends",
  "max",
  "Transactions/s",
  "WAL KiB/s",
  "Wrong texts",
  "Joined late",
  "Cores used",
  "RSS after, MiB"
]

/** Medians of the rounds, with the range for latencies; the greatest of the maxima; the sum of the faults. */
const cells = (
  { rate, streams }: Amount,
  measured: ReadonlyArray<Round>,
  pids: Readonly<Record<string, number>>
): ReadonlyArray<string> => {
  const values = (of: (round: Round) => number) => measured.map(of)
  const middle = (of: (round: Round) => number, digits = 0) => number(median(values(of)), digits)
  const ranged = (of: (round: Round) => number) =>
    `${middle(of, 1)} (${number(Math.min(...values(of)), 1)}–${number(Math.max(...values(of)), 1)})`
  const sum = (of: (round: Round) => number) => number(values(of).reduce((all, one) => all + one, 0))
  const names = Object.keys(measured[0]?.cores ?? {})
  return [
    `${number(streams)} × ${rate}/s`,
    middle(({ chunkRate }) => chunkRate),
    ranged(({ p50 }) => p50),
    ranged(({ p90 }) => p90),
    ranged(({ p99 }) => p99),
    ranged(({ p99Whole }) => p99Whole),
    number(Math.max(...values(({ max }) => max))),
    middle(({ transactions }) => transactions),
    middle(({ logKiB }) => logKiB),
    `${sum(({ wrong }) => wrong)} of ${number(streams * measured.length)}`,
    sum(({ late }) => late),
    byProcess(Object.fromEntries(names.map((name) => [name, median(values(({ cores }) => cores[name] ?? Number.NaN))])), 2),
    byProcess(Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, residentMiB(pid)])), 0)
  ]
}

const words = process.argv.slice(2)
const chosen = Object.entries(setups).filter(
  ([name]) => words.includes(name) || !words.some((word) => Object.hasOwn(setups, word))
)
const asked = words.filter((word) => /^\d/.test(word))
const amounts = (asked.length > 0 ? asked : ["200@20", "1000@4", "1000@20"]).map((word): Amount => {
  const [streams = Number.NaN, rate = 20] = word.split("@").map(Number)
  return { streams, rate }
})
const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  const rows: Array<ReadonlyArray<string>> = []
  for (const [, setup] of chosen) for (const amount of amounts) rows.push(await measureSetup(stage, setup, amount))
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores, shared by all processes; load average before the run \
${busyBefore.toFixed(2)}, after it ${(loadavg()[0] ?? 0).toFixed(2)}.
${await stage.describe()}
Each reply is written for ${replyMillis / 1000} s. Latencies of the chunks sent while all replies were being written; with \
begins and ends of all chunks. Medians of ${rounds} rounds (least–most); maxima are of all rounds.
`)
  console.log(table(titles, rows))
} finally {
  await stage.close()
}
