/**
 * `npm run bench [-- NAME …] [--brief]`: the product beside what people would use in its place, as a Markdown table. The
 * processes are real ones, and the product's run the bundle, which is built first. No figure makes it fail, wrong answers do.
 * With `--brief` each benchmark is one round of a second: it shows that everything runs and answers right.
 */
import { availableParallelism, cpus, loadavg } from "node:os"
import { type Effort, type Line, linesTable } from "./contest.ts"
import { reads } from "./reads.ts"
import { accepted, finished } from "./sends.ts"
import { openStage, type Stage } from "./stage.ts"
import { hasWrk } from "./wrk.ts"

type Bench = (stage: Stage, effort: Effort) => Promise<ReadonlyArray<Line>>
const benches: Readonly<Record<string, Bench>> = { reads, accepted, finished }

const full: Effort = { rounds: 5, seconds: 2, warmUp: 4, isPatient: true }
const brief: Effort = { rounds: 1, seconds: 1, warmUp: 0.5, isPatient: false }

const words = process.argv.slice(2)
const effort = words.includes("--brief") ? brief : full
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
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), shared by the product, \
the references, Postgres, the simulator and the load driver; load average before the run ${busyBefore.toFixed(2)}.
${await stage.describe()}
Medians of ${effort.rounds} rounds of ${effort.seconds} s; in each round all contenders in turn. ${hasWrk ? "wrk drives the reads, bench/driver.ts the rest." : "bench/driver.ts drives all."}
`)
  console.log(linesTable(lines))
  const faults = lines.flatMap((line) => line.faults.map((fault) => `${line.path}: ${fault}`))
  console.log(`\n${Math.round((performance.now() - startedAt) / 1000)} s in all. ${faults.length} faults.`)
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exitCode = 1
} finally {
  await stage.close()
}
