import { table } from "../chaos/Report.ts"
import type { Injected, Outcome } from "./Run.ts"

/** Counts failures by what the client saw. */
const kinds = ({ failures }: Injected): string => {
  const kindOf = (what: string) => (/: (?:0|cut)\b/.test(what) ? "broken" : (/: (5\d\d)/.exec(what)?.[1] ?? "other"))
  const counts = Map.groupBy(failures, ({ what }) => kindOf(what))
  return [...counts].map(([kind, { length }]) => `${length} ${kind}`).join(", ")
}

/** The figures of a run: the faults with what clients saw of them, then the figures, recoveries and rules of the ledger. */
export const report = ({ injected, ledger, seconds }: Outcome): string => {
  const requests = ledger.figures.get("requests") ?? 0
  const failures = injected.reduce((sum, { failures }) => sum + failures.length, 0)
  return [
    `load for ${seconds.toFixed(0)} s: ${requests} requests, ${injected.length} faults, ${failures} errors seen by clients, ${ledger.violations.length} violations`,
    "faults, with seconds until all had recovered, and errors seen by clients meanwhile",
    ...injected.map(
      (fault) =>
        `  ${fault.name.padEnd(60)} ${fault.seconds.toFixed(0).padStart(5)} ${String(fault.failures.length).padStart(6)}  ${kinds(fault)}`
    ),
    table(ledger)
  ].join("\n")
}
