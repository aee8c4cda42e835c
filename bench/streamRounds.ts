import { fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { ask } from "./load.ts"
import { calm, meterCpu, residentMiB, type Running } from "./process.ts"
import type { Question, Read, ReadJob } from "./reader.ts"
import { type Room, seedRooms, seedTokens } from "./seed.ts"
import { type Stage, startApi, startWorker } from "./stage.ts"

/** A user may have five streams open in one process. */
const roomsEach = 5
/** Milliseconds for which a reply is written, unless the amount says otherwise. */
export const replyMillis = 8_000
/** The replies begin evenly spread over this time, because real users do not all ask at the same moment. */
const spreadMillis = 1_000
/** Time to ask all questions and open all streams before the first reply begins. */
const leadMillis = (streams: number) => 2_000 + 8 * streams

export interface Setup {
  readonly name: string
  readonly apis: number
  readonly workers: number
}

/** The number of replies at once, and the chunks per second of each. */
export interface Amount {
  readonly streams: number
  readonly rate: number
  /** For which a reply is written. */
  readonly millis?: number
}
const chunksOf = ({ millis = replyMillis, rate }: Amount) => Math.round((millis / 1000) * rate)
export const setups: Readonly<Record<string, Setup>> = {
  one: { name: "one process (`ROLE=all`)", apis: 1, workers: 0 },
  separate: { name: "2 × `ROLE=api`, 2 × `ROLE=worker`", apis: 2, workers: 2 }
}

/** The figures of one round. */
export interface Round {
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
    await sleep(amount.millis ?? replyMillis)
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

const startSetup = async (settings: Readonly<Record<string, string>>, { apis, workers }: Setup, entry: string) => {
  const role = workers === 0 ? "all" : "api"
  const started: Array<Running> = []
  const ports: Array<number> = []
  const pids: Record<string, number> = {}
  for (let index = 1; index <= apis; index++) {
    const api = await startApi(settings, role, entry)
    started.push(api)
    ports.push(api.port)
    pids[apis === 1 ? role : `${role} ${index}`] = api.pid
  }
  for (let index = 1; index <= workers; index++) {
    const worker = await startWorker(settings, entry)
    started.push(worker)
    pids[`worker ${index}`] = worker.pid
  }
  return { ports, pids, stop: async () => void (await Promise.all(started.map((running) => running.stop()))) }
}

export interface Measured {
  readonly rounds: ReadonlyArray<Round>
  /** Resident memory of the product's processes after the rounds. */
  readonly memory: Readonly<Record<string, number>>
}

/** All rounds of one set-up with one amount, after a warm-up of the just-in-time compiler. */
export const measureStreams = async (
  stage: Stage,
  setup: Setup,
  amount: Amount,
  rounds: number,
  observe: (round: Round) => void = () => {}
): Promise<Measured> => {
  const { rate, streams } = amount
  const databaseUrl = await stage.productDatabase(`bench_streams_${setup.workers}_${streams}_${rate}`)
  const workers = Math.max(1, setup.workers)
  // As many slots as replies, because an idle slot polls the queue, which is not part of streaming.
  const settings = { ...stage.settings(databaseUrl), WORKER_CONCURRENCY: String(Math.ceil(streams / workers)) }
  const { pids: own, ports, stop } = await startSetup(settings, setup, stage.entry)
  const pids = { ...own, Postgres: stage.postgresPid, simulator: stage.simulatorPid }
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  try {
    const tokens = await seedTokens(settings, Math.ceil(streams / roomsEach))
    const measure = async (count: number) => {
      const rooms = await seedRooms(`http://127.0.0.1:${ports[0] ?? 0}`, tokens.slice(0, Math.ceil(count / roomsEach)), roomsEach)
      if (rounds > 1) await calm()
      return measureRound(ports, rooms.slice(0, count), amount, pids, database)
    }
    if (rounds > 1) await measure(Math.min(200, streams))
    const measured: Array<Round> = []
    for (let round = 0; round < rounds; round++) {
      const figures = await measure(streams)
      measured.push(figures)
      observe(figures)
    }
    const memory = Object.fromEntries(Object.entries(own).map(([name, pid]) => [name, residentMiB(pid)]))
    return { rounds: measured, memory }
  } finally {
    await database.end()
    await stop()
  }
}
