/** The long form: `npm run topology -- --rounds 2 --seed 7`. Exits with 1 when a rule is violated. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { details } from "../chaos/Report.ts"
import { allFaults } from "./Faults.ts"
import { run } from "./Run.ts"
import { versions } from "./Proxies.ts"
import { report } from "./Table.ts"
import { obstacle } from "./Topology.ts"

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "1" },
    seed: { type: "string" },
    /** Only faults whose names match this regular expression. */
    only: { type: "string", default: "" },
    users: { type: "string", default: "10" },
    /** A folder for the logs of all processes. */
    logs: { type: "string" }
  }
})
const why = obstacle()
if (why !== undefined) {
  console.log(`The topology cannot be built: ${why}`)
  process.exit(1)
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

const seed = Number(values.seed ?? Date.now() % 1_000_000)
const faults = allFaults.filter(({ name }) => new RegExp(values.only).test(name))
const outcome = await run({
  seed,
  faults: Array.from({ length: Number(values.rounds) }, () => faults).flat(),
  population: { chatting: Number(values.users), editing: 2 },
  calmSeconds: 5,
  awaitsCleanUp: true
})
console.log(`${versions()}\ntopology, seed ${seed}\n${report(outcome)}`)
if (outcome.ledger.violations.length > 0) console.log(details(outcome.ledger))
if (values.logs !== undefined) {
  mkdirSync(values.logs, { recursive: true })
  for (const [name, text] of outcome.logs) writeFileSync(join(values.logs, `${name}.log`), text)
  const failures = outcome.injected.flatMap(({ failures, name }) =>
    failures.map(({ at, what }) => `${new Date(at).toISOString()} ${name}: ${what}`)
  )
  writeFileSync(join(values.logs, "failures.log"), failures.join("\n"))
}
process.exit(outcome.ledger.violations.length > 0 ? 1 : 0)
