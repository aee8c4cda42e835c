import { assert, describe, it } from "vitest"
import { details, table } from "./Report.ts"
import { run } from "./Run.ts"

/** The short form; `npm run chaos` is the long one. */
const seconds = 30
const seed = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000)

describe("two apis and two workers under disruption", () => {
  it("keep every rule of the ledger", { timeout: 360_000, retry: 0 }, async () => {
    const ledger = await run({ seconds, seed, isHarsh: false, isPaced: false })
    process.stdout.write(`chaos for ${seconds} s, seed ${seed}\n${table(ledger)}\n`)
    assert.isEmpty(ledger.violations, `seed ${seed}\n${details(ledger)}`)
  })
})
