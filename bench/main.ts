/**
 * `npm run bench [-- NAME …] [--brief]`: the product beside what people would use in its place, as a Markdown table. The
 * processes are real ones, and the product's run the bundle, which is built first. No figure makes it fail, wrong answers do.
 *
 * - Without names and `--brief`, the table is also written into bench/README.md.
 * - With `--brief` each benchmark is one round of a second: it shows that everything runs and answers right.
 * - BENCH_ENTRY names another file to run than the bundle; BENCH_PATIENCE is how many seconds a round waits for a quiet
 *   machine; BENCH_NODE_ARGS are further arguments for Node; BENCH_STATEMENTS=1 prints the costliest SQL statements.
 */
import { availableParallelism, cpus, loadavg } from "node:os"
import { beyond } from "./beyond.ts"
import { type Effort, type Line, linesTable } from "./contest.ts"
import { finished } from "./finishes.ts"
import { streams } from "./following.ts"
import { idle } from "./idle.ts"
import { reads } from "./reads.ts"
import { writeReport } from "./report.ts"
import { accepted } from "./sends.ts"
import { openStage, type Stage } from "./stage.ts"
import { hasWrk } from "./wrk.ts"

type Bench = (stage: Stage, effort: Effort) => Promise<ReadonlyArray<Line>>
const benches: Readonly<Record<string, Bench>> = { reads, accepted, finished, beyond, streams, idle }

const full: Effort = { rounds: 5, seconds: 2, warmUp: 4, isPatient: true }
const brief: Effort = { rounds: 1, seconds: 1, warmUp: 0.5, isPatient: false }

const words = process.argv.slice(2)
const isBrief = words.includes("--brief")
const effort = isBrief ? brief : full
const asked = words.filter((word) => !word.startsWith("--"))
const unknown = asked.filter((name) => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}.`)
  process.exit(2)
}

const startedAt = performance.now()
const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  const lines: Array<Line> = []
  for (const [name, bench] of Object.entries(benches)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    console.error(`${name} …`)
    lines.push(...(await bench(stage, effort)))
  }
  const report = `
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), shared by the product, \
the references, Postgres, the simulator and the load driver; load average before the run ${busyBefore.toFixed(2)}, after it ${(loadavg()[0] ?? 0).toFixed(2)}.
${await stage.describe()}
Medians of ${effort.rounds} rounds of ${effort.seconds} s; in each round all contenders in turn. ${hasWrk ? "wrk drives the reads, bench/driver.ts the rest." : "bench/driver.ts drives all."}

${linesTable(lines)}
`
  console.log(report)
  const faults = lines.flatMap((line) => line.faults.map((fault) => `${line.path}: ${fault}`))
  for (const fault of faults) console.log(fault)
  if (faults.length > 0) process.exitCode = 1
  else if (!isBrief && asked.length === 0) writeReport("table", report)
  for (const line of await stage.statements()) console.log(line)
  console.log(`${lines.length} lines, ${faults.length} faults, ${Math.round((performance.now() - startedAt) / 1000)} s.`)
} finally {
  await stage.close()
}
