import { readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import { launch } from "puppeteer-core"
import { startPostgres } from "../dev/EmbeddedPostgres.ts"
import { freePort } from "../dev/freePort.ts"
import { startGeminiSimulator } from "../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator } from "../simulators/stripe/StripeSimulator.ts"
import { startProcess } from "../test/support/Backend.ts"
import { logIn, type Person } from "../test/support/Client.ts"
import { chart, stat } from "./dashboard/Chart.ts"
import { startPrometheus } from "./dashboard/Prometheus.ts"

/**
 * `npm run dashboard`: draws the panels of deploy/grafana/dashboard.json with the data of a short run, into
 * docs/images/dashboard.png. Needs `prometheus` and Chromium. DASHBOARD_SECONDS is the length of the run (90).
 */

const seconds = Number(process.env["DASHBOARD_SECONDS"] ?? 90)
const token = "operator-of-the-dashboard"
const secret = "whsec_of_the_dashboard"

interface Panel {
  readonly title: string
  readonly type: "row" | "stat" | "timeseries"
  readonly gridPos: { readonly x: number; readonly w: number }
  readonly fieldConfig: { readonly defaults: { readonly unit: string } }
  readonly targets: ReadonlyArray<{ readonly expr: string; readonly legendFormat: string }>
}

const postgres = await startPostgres({ ephemeral: true })
const gemini = await startGeminiSimulator({ chunkMillis: 20 })
const port = String(await freePort())
const stripe = await startStripeSimulator({ webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret }] })
const settings = {
  DATABASE_URL: postgres.url,
  MIGRATE: "on",
  GEMINI_BASE_URL: gemini.url,
  ADMIN_TOKEN: token,
  STRIPE_SECRET_KEY: "sk_test_simulated",
  STRIPE_WEBHOOK_SECRETS: secret,
  STRIPE_PRO_PRICE_ID: stripe.priceId,
  STRIPE_API_BASE: stripe.url,
  BASIC_DAILY_PROMPTS: "100000",
  WORKER_CONCURRENCY: "8"
}
const api = await startProcess({ ...settings, PORT: port, ROLE: "api" })
await api.started()
const worker = await startProcess({ ...settings, ROLE: "worker" })
await worker.started()
const prometheus = await startPrometheus(
  [
    { url: api.url, component: "api" },
    { url: worker.url, component: "worker" }
  ],
  token
)

/** What a person does, again and again: lists rooms, asks, reads a stream, makes a mistake now and then. */
const use = async (person: Person, number: number, end: number) => {
  const room = await person.room()
  if (number % 3 === 0) {
    const checkout = await person.call("POST", "/subscribe/pro")
    stripe.checkout({ session: checkout.body.sessionId, action: "pay" })
  }
  for (let turn = 0; Date.now() < end; turn++) {
    for (let lists = 0; lists < 8; lists++) await person.call("GET", "/chatroom")
    const fault = turn % 6 === 5 ? "[[status 503 times 1]] " : ""
    const question = `${fault}[[thoughts]] [[latency ${100 + 80 * (number % 4)}]] question ${turn}`
    if (turn % 2 === 0) await person.ask(room, question, { wait: 20 })
    else {
      const { body } = await person.ask(room, question)
      if (body.reply !== undefined) await person.call("GET", `/chatroom/${room}/message/${body.reply.id}/stream`)
    }
    if (turn % 4 === 3) await person.call("GET", "/chatroom/01a1fd20-ccfb-73cc-ac7f-c7ff006d3fdb")
    await person.call("GET", `/chatroom/${room}/messages`)
    await sleep(200 + 150 * (number % 5))
  }
}

const end = Date.now() + seconds * 1_000
const people = await Promise.all(Array.from({ length: 12 }, () => logIn(api.url)))
await Promise.all(
  // They come one after the other, so that the lines rise.
  people.map((person, number) => sleep((seconds * 1_000 * number) / 30).then(() => use(person, number, end)))
)

const now = Date.now() / 1_000
const range = [now - seconds + 10, now] as const
const { panels }: { readonly panels: ReadonlyArray<Panel> } = JSON.parse(readFileSync("deploy/grafana/dashboard.json", "utf8"))
const drawn: Array<string> = []
const empty: Array<string> = []
for (const { fieldConfig, gridPos, targets, title, type } of panels) {
  if (type === "row") {
    drawn.push(`<h2>${title}</h2>`)
    continue
  }
  const series = (await Promise.all(targets.map(({ expr, legendFormat }) => prometheus.range(expr, legendFormat, range)))).flat()
  if (series.length === 0) empty.push(title)
  const { unit } = fieldConfig.defaults
  const content = type === "stat" ? stat(series, unit) : chart(series, unit, range)
  drawn.push(`<section style="grid-column: span ${gridPos.w}"><h3>${title}</h3>${content}</section>`)
}

const page = `<!doctype html><meta charset="utf-8"><style>
  body { background: #111217; color: #ccccdc; font: 12px sans-serif; margin: 12px; }
  main { display: grid; grid-template-columns: repeat(24, 1fr); gap: 8px; }
  h2 { grid-column: span 24; font-size: 15px; margin: 8px 0 0; } h3 { font-size: 12px; margin: 0 0 6px; font-weight: 600; }
  section { background: #181b1f; border: 1px solid #25272d; padding: 8px; min-width: 0; }
  svg { width: 100%; height: 150px; } svg text { fill: #9a9ba3; font-size: 9px; }
  .stat { font-size: 26px; color: #73bf69; } .legend { display: flex; flex-wrap: wrap; gap: 2px 10px; max-height: 44px; overflow: hidden; font-size: 10px; }
  .legend i { display: inline-block; width: 10px; height: 3px; margin-right: 4px; vertical-align: middle; }
</style><main>${drawn.join("")}</main>`

const browser = await launch({ executablePath: process.env["CHROME_PATH"] ?? "/usr/bin/chromium", args: ["--no-sandbox"] })
const tab = await browser.newPage()
await tab.setViewport({ width: 1500, height: 900 })
await tab.setContent(page)
await tab.screenshot({ path: "docs/images/dashboard.png", fullPage: true })
await browser.close()
await prometheus.stop()
await Promise.all([api.kill("SIGTERM"), worker.kill("SIGTERM")])
await Promise.all([stripe.stop(), gemini.stop()])
await postgres.stop()
process.stdout.write(`docs/images/dashboard.png${empty.length === 0 ? "" : `; without data: ${empty.join(", ")}`}\n`)
