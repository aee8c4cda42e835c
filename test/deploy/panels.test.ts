import { readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { startPrometheus } from "../../scripts/dashboard/Prometheus.ts"
import { startStripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import { startBackends } from "../support/TestBackends.ts"
import { missingTool } from "../support/tools.ts"
import { until } from "../support/wait.ts"

interface Panel {
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
}
const { panels }: { readonly panels: ReadonlyArray<Panel> } = JSON.parse(readFileSync("deploy/grafana/dashboard.json", "utf8"))
const queries = panels.flatMap(({ targets = [], title }) => targets.map((target) => ({ title, ...target })))

const token = "operator-of-these-tests"
const missing = missingTool("prometheus", "prometheus")

describe.skipIf(missing !== undefined)(`the dashboard in Prometheus${missing === undefined ? "" : `: ${missing}`}`, () => {
  it("has data in every panel", async () => {
    const stripe = await startStripeSimulator({})
    const backends = await startBackends({
      ADMIN_TOKEN: token,
      STRIPE_SECRET_KEY: "sk_test_simulated",
      STRIPE_WEBHOOK_SECRETS: "whsec_of_the_tests",
      STRIPE_PRO_PRICE_ID: stripe.priceId,
      STRIPE_API_BASE: stripe.url
    })
    const person = await backends.newUser()
    await person.ask(await person.room(), "[[say Measured.]]", { wait: 20 })
    // Job panels show what is more than zero.
    const room = await person.room()
    const reply = (await person.ask(room, "[[hang]] a job in progress")).body.reply.id
    const prometheus = await startPrometheus([{ url: backends.urls[0] ?? "", component: "all" }], token)
    try {
      const isEmpty = async ({ expr, legendFormat }: (typeof queries)[number]) => {
        const now = Date.now() / 1_000
        return (await prometheus.range(expr, legendFormat, [now - 4, now])).length === 0
      }
      let empty = queries
      await until(
        "every query has data",
        async () => {
          const found = await Promise.all(empty.map(async (query) => ((await isEmpty(query)) ? [query] : [])))
          empty = found.flat()
          return empty.length === 0
        },
        { seconds: 30 }
      ).catch(() => assert.deepStrictEqual(empty, []))
    } finally {
      await person.call("POST", `/chatroom/${room}/message/${reply}/cancel`)
      await prometheus.stop()
      await backends.stop()
      await stripe.stop()
    }
  })
})
