import { execFile } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "vitest"
import { parse, stringify } from "yaml"
import { missingTool } from "../support/tools.ts"
import { type AlertCase, alertCases } from "./alertCases.ts"

const run = promisify(execFile)
const rulesFile = "deploy/prometheus/alerts.yaml"
const alerts: ReadonlyArray<string> = parse(readFileSync(rulesFile, "utf8")).groups.flatMap(
  ({ rules }: { readonly rules: ReadonlyArray<{ readonly alert: string }> }) => rules.map(({ alert }) => alert)
)

const missing = missingTool("promtool", "prometheus")
const because = missing === undefined ? "" : `: ${missing}`

/** Has promtool look at a document that is made here. */
const promtool = async (args: ReadonlyArray<string>, document: unknown) => {
  const folder = mkdtempSync(join(tmpdir(), "promtool-"))
  try {
    const file = join(folder, "document.yaml")
    writeFileSync(file, stringify(document))
    return await run("promtool", [...args, file]).then(
      () => "",
      (error: { readonly stdout: string; readonly stderr: string }) => error.stdout + error.stderr
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Queries as rules that record them, which promtool parses and checks the types of. */
const faultsOf = (queries: ReadonlyArray<string>) =>
  promtool(["check", "rules"], {
    groups: [{ name: "queries", rules: queries.map((expr, index) => ({ record: `query_${index}`, expr })) }]
  })

/** A test of promtool: after an hour of these series, this many instances of the alert fire. */
const testOf = (alert: string, series: AlertCase["fires"], firing: number) => ({
  interval: "1m",
  input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
  promql_expr_test: [
    {
      expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) or vector(0)`,
      eval_time: "60m",
      exp_samples: [{ labels: "{}", value: firing }]
    }
  ]
})
const testsOf = (cases: typeof alertCases) => ({
  rule_files: [resolve(rulesFile)],
  evaluation_interval: "1m",
  tests: Object.entries(cases).flatMap(([alert, { fires, quiet }]) => [testOf(alert, fires, 1), testOf(alert, quiet, 0)])
})

describe("the cases of the alerts", () => {
  it("are of every alert", () => {
    assert.sameMembers(Object.keys(alertCases), [...alerts])
  })
})

describe.skipIf(missing !== undefined)(`by promtool${because}`, () => {
  it("every alert fires for its fault, and not for what is near it", async () => {
    assert.strictEqual(await promtool(["test", "rules"], testsOf(alertCases)), "")
  })

  it("an alert that does not fire is found", async () => {
    const { quiet } = alertCases["ChatQueueOld"] ?? { quiet: {} }
    assert.include(await promtool(["test", "rules"], testsOf({ ChatQueueOld: { fires: quiet, quiet } })), "FAILED")
  })

  it("the rules and the configuration of Prometheus are valid", async () => {
    const { stdout } = await run("promtool", ["check", "rules", "--lint=all", "--lint-fatal", rulesFile])
    assert.include(stdout, `SUCCESS: ${alerts.length} rules found`)
    await run("promtool", ["check", "config", "--syntax-only", "deploy/prometheus/prometheus.yaml"])
  })

  it("every query of the dashboard and of the adapter is PromQL", async () => {
    const dashboard = JSON.parse(readFileSync("deploy/grafana/dashboard.json", "utf8"))
    const adapter = parse(readFileSync("deploy/prometheus/adapter.yaml", "utf8"))
    const written: ReadonlyArray<string> = [
      ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }: { readonly expr: string }) => expr)),
      ...dashboard.annotations.list.map(({ expr }: { readonly expr: string }) => expr),
      ...adapter.rules.external.map(({ metricsQuery }: { readonly metricsQuery: string }) => metricsQuery)
    ]
    const queries = written.map((query) => query.replaceAll("$__rate_interval", "5m"))
    assert.isAbove(queries.length, 30)
    assert.strictEqual(await faultsOf(queries), "")
    assert.include(await faultsOf(["rate(a_total)"]), "range vector")
  })
})
