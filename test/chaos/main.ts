/** The long form: `node test/chaos/main.ts --seconds 300 --seed 7`. Exits with 1 when a rule is violated. */
import { parseArgs } from "node:util"
import { details, table } from "./Report.ts"
import { run } from "./Run.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "300" },
    seed: { type: "string" },
    gentle: { type: "boolean", default: false },
    paced: { type: "boolean", default: false }
  }
})
const plan = {
  seconds: Number(values.seconds),
  seed: Number(values.seed ?? Date.now() % 1_000_000),
  isHarsh: !values.gentle,
  isPaced: values.paced
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130))

console.log(`chaos for ${plan.seconds} s, seed ${plan.seed}${plan.isHarsh ? "" : ", gentle"}`)
const ledger = await run(plan)
console.log(table(ledger))
if (ledger.violations.length > 0) {
  console.log(details(ledger))
  console.log(`${ledger.violations.length} violations, seed ${plan.seed}`)
}
process.exit(ledger.violations.length > 0 ? 1 : 0)
