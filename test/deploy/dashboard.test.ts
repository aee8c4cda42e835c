import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { parse } from "yaml"
import { startStripeSimulator, type StripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import { readQuery, type Sample, scrape } from "../support/prometheus.ts"
import { missingTool } from "../support/tools.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

const run = promisify(execFile)
const adminToken = "operator-of-these-tests"
const rulesFile = "deploy/prometheus/alerts.yaml"

interface Alert {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string; readonly runbook_url: string }
}
const alerts: ReadonlyArray<Alert> = parse(readFileSync(rulesFile, "utf8")).groups.flatMap(
  ({ rules }: { readonly rules: ReadonlyArray<Alert> }) => rules
)

interface Panel {
  readonly id: number
  readonly title: string
  readonly type: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
}
const dashboard: {
  readonly panels: ReadonlyArray<Panel>
  readonly annotations: { readonly list: ReadonlyArray<{ readonly expr: string }> }
} = JSON.parse(readFileSync("deploy/grafana/dashboard.json", "utf8"))

/** Labels that Prometheus adds. */
const added = ["job", "instance", "le"]

/** What a query names that the product does not have. */
const faultsOf = (query: string, samples: ReadonlyArray<Sample>): ReadonlyArray<string> => {
  const { grouping, selectors } = readQuery(query)
  if (selectors.length === 0) return [`${query}: no metric`]
  return selectors.flatMap(({ matchers, metric }) => {
    const found = samples.filter(({ name }) => name === metric)
    if (metric === "up") return []
    if (found.length === 0) return [`${query}: no metric ${metric}`]
    const hasLabel = (label: string) => added.includes(label) || found.some(({ labels }) => label in labels)
    const labels = [...matchers.map(({ label }) => label), ...grouping].filter((label) => !hasLabel(label))
    const values = matchers.filter(
      ({ label, operator, value }) =>
        operator === "=" && !added.includes(label) && !found.some(({ labels }) => labels[label] === value)
    )
    return [
      ...labels.map((label) => `${query}: ${metric} has no label ${label}`),
      ...values.map(({ label, value }) => `${query}: ${metric} has no ${label} ${value}`)
    ]
  })
}

let backends: TestBackends
let stripe: StripeSimulator
let samples: ReadonlyArray<Sample>
let text: string

beforeAll(async () => {
  stripe = await startStripeSimulator({})
  const settings = {
    ADMIN_TOKEN: adminToken,
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: "whsec_of_the_tests",
    STRIPE_PRO_PRICE_ID: stripe.priceId,
    STRIPE_API_BASE: stripe.url
  }
  backends = await startBackends(settings)
  const person = await backends.newUser()
  assert.strictEqual((await person.ask(await person.room(), "[[say Measured.]]", { wait: 20 })).status, 201)
  for (const _ of [1, 2]) assert.strictEqual((await person.call("GET", "/chatroom")).status, 200)
  const scraped = await scrape(backends.urls[0] ?? "", adminToken)
  samples = scraped.samples
  text = scraped.text
})
afterAll(async () => {
  await backends.stop()
  await stripe.stop()
})

const noPromtool = missingTool("promtool", "prometheus")

describe("the alert rules", () => {
  it("name metrics, labels and values that the product has", () => {
    assert.deepStrictEqual(
      alerts.flatMap(({ expr }) => faultsOf(expr, samples)),
      []
    )
  })

  it("have a severity and a section in the runbook each", () => {
    const runbook = readFileSync("docs/runbook.md", "utf8")
    const sections = [...runbook.matchAll(/^## (\w+)$/gm)].map(([, name = ""]) => name)
    assert.sameMembers(
      sections,
      alerts.map(({ alert }) => alert)
    )
    for (const { alert, annotations, labels } of alerts) {
      assert.include(["critical", "warning"], labels.severity, alert)
      assert.isTrue(annotations.runbook_url.endsWith(`docs/runbook.md#${alert.toLowerCase()}`), alert)
    }
  })
})

describe("the metric of the worker's autoscaler", () => {
  it("is one that the product has", () => {
    const { rules } = parse(readFileSync("deploy/prometheus/adapter.yaml", "utf8"))
    assert.deepStrictEqual(faultsOf(rules.external[0].metricsQuery, samples), [])
  })
})

describe("the dashboard", () => {
  const panels = dashboard.panels.filter(({ type }) => type !== "row")

  it("asks for metrics, labels and values that the product has", () => {
    const queries = [
      ...panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
      ...dashboard.annotations.list.map(({ expr }) => expr)
    ]
    assert.isAbove(queries.length, 20)
    assert.deepStrictEqual(
      queries.flatMap((query) => faultsOf(query, samples)),
      []
    )
  })

  it("names in its legends what its queries keep", () => {
    for (const { targets = [], title } of panels) {
      for (const { expr, legendFormat } of targets) {
        const { grouping } = readQuery(expr)
        for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          assert.isTrue(grouping.includes(label) || added.includes(label), `${title}: ${label}`)
      }
    }
  })

  it("has panels with ids of their own, side by side", () => {
    assert.strictEqual(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
    const taken = new Set<string>()
    for (const { gridPos, title } of dashboard.panels) {
      assert.isAtMost(gridPos.x + gridPos.w, 24, title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.isFalse(taken.has(`${x} ${y}`), title)
          taken.add(`${x} ${y}`)
        }
      }
    }
  })
})

describe("the metrics", () => {
  it("follow the conventions of names: units, and totals of counters alone", () => {
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => ({ name, type }))
    for (const { name, type } of types) {
      assert.match(name, /^(?:chat|http|process|nodejs)_[a-z_]+$/)
      assert.strictEqual(name.endsWith("_total"), type === "counter", name)
      if (type === "histogram") assert.match(name, /_seconds$/)
    }
  })

  it("are what the documentation lists", () => {
    const documented = [...readFileSync("docs/operations.md", "utf8").matchAll(/^\| `((?:chat|http|process|nodejs)_\w+)`/gm)]
    const names = [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name = ""]) => name)
    assert.includeMembers(
      documented.map(([, name = ""]) => name),
      names
    )
  })

  it.skipIf(noPromtool !== undefined)(`pass promtool's lint${noPromtool === undefined ? "" : `: ${noPromtool}`}`, async () => {
    const checking = run("promtool", ["check", "metrics"])
    checking.child.stdin?.end(text)
    await checking
  })
})

describe("faultsOf", () => {
  it("finds an unknown metric, label and value", () => {
    const known: ReadonlyArray<Sample> = [{ name: "known_total", labels: { kind: "a" }, value: 1 }]
    assert.deepStrictEqual(faultsOf('sum by (kind) (rate(known_total{kind="a"}[5m])) > 1', known), [])
    for (const query of ["sum(unknown_total)", 'known_total{other="a"}', 'known_total{kind="b"}', "sum by (other) (known_total)"])
      assert.lengthOf(faultsOf(query, known), query.includes("other=") ? 2 : 1, query)
  })
})
