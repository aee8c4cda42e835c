/**
 * `npm run bench [-- start me list send replies]`: the product's figures on this machine, as a Markdown table. The
 * processes are real ones. It measures only; no figure makes it fail.
 */
import { availableParallelism, cpus, loadavg } from "node:os"
import { benches } from "./benches.ts"
import { openStage } from "./stage.ts"
import { markdown, type Row } from "./table.ts"

const asked = process.argv.slice(2)
const unknown = asked.filter((name) => !Object.hasOwn(benches, name))
if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}.`)
  process.exit(2)
}

const startedAt = performance.now()
const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  const rows: Array<Row> = []
  for (const [name, bench] of Object.entries(benches)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    console.error(`${name} …`)
    rows.push(...(await bench(stage)))
  }
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores (${cpus()[0]?.model ?? "unknown"}), shared by the product, \
Postgres, the simulator and the load driver; load average before the run ${busyBefore.toFixed(2)}.
${await stage.describe()}
"Bare node:http" sends the same bytes with the same headers and does nothing else; its rounds alternate with the product's.
`)
  console.log(markdown(rows))
  console.log(`\n${Math.round((performance.now() - startedAt) / 1000)} s in all.`)
} finally {
  await stage.close()
}
