/**
 * `node bench/streams.ts [one] [separate] [streams[@chunksPerSecond] …]`: the latency that streaming adds between the
 * model's sending of a chunk and its arrival at a client. With 200 and 1,000 replies at once, at 20 chunks per second
 * each (and 1,000 at 4, which makes as many chunks as 200 at 20), in one process, and from two workers through Postgres
 * to two API processes. Every text is compared with the stored reply.
 */
import { availableParallelism, loadavg } from "node:os"
import { type Amount, type Measured, measureStreams, replyMillis, type Round, setups } from "./streamRounds.ts"
import { openStage } from "./stage.ts"
import { byProcess, median, number, table } from "./table.ts"

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5)

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
const cells = ({ rate, streams }: Amount, { memory, rounds: measured }: Measured): ReadonlyArray<string> => {
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
    byProcess(memory, 0)
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
  for (const [, setup] of chosen) {
    for (const amount of amounts) {
      const observe = (round: Round) =>
        console.error(setup.name, `${amount.streams}@${amount.rate}`, JSON.stringify(round), `load ${loadavg()[0] ?? 0}`)
      rows.push([setup.name, ...cells(amount, await measureStreams(stage, setup, amount, rounds, observe))])
    }
  }
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
