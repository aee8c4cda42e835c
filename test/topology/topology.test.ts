import { assert, describe, it } from "vitest"
import { details } from "../chaos/Report.ts"
import { fewFaults } from "./Faults.ts"
import { run } from "./Run.ts"
import { report } from "./Table.ts"
import { obstacle } from "./Topology.ts"

const why = obstacle()
const seed = Number(process.env["TOPOLOGY_SEED"] ?? 1)

/** The short form, 45 seconds by itself. `npm run topology` is the long one. */
describe("three APIs behind HAProxy, three workers, PgBouncer and two Postgres", () => {
  it.skipIf(why !== undefined)(
    `keep every rule while processes are restarted and the primary is lost${why === undefined ? "" : `: ${why}`}`,
    { timeout: 360_000 },
    async () => {
      const plan = {
        seed,
        faults: fewFaults,
        population: { chatting: 3, editing: 1 },
        calmSeconds: 1,
        awaitsCleanUp: false
      }
      const outcome = await run(plan)
      process.stdout.write(`topology, seed ${seed}\n${report(outcome)}\n`)
      assert.isEmpty(outcome.ledger.violations, `seed ${seed}\n${details(outcome.ledger)}`)
    }
  )
})
