import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { AppLayer } from "../src/App.ts"
import { AppConfig } from "../src/config/Settings.ts"
import { SettingError } from "../src/config/Reading.ts"
import { variables } from "../src/config/Variables.ts"
import { environment, launch, teardown } from "../src/ops/Launch.ts"
import { startPostgres } from "./EmbeddedPostgres.ts"
import { startGeminiSimulator } from "../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator } from "../simulators/stripe/StripeSimulator.ts"

if (existsSync(".env")) process.loadEnvFile(".env")

const isSet = (name: string) => (process.env[name] ?? "") !== ""
const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))
const port = process.env["PORT"] || String(variables.PORT.defaultValue)
const dataDir = resolve(process.env["DEV_DATA_DIR"] || variables.DEV_DATA_DIR.defaultValue)
const inDataDir = (name: string) => join(dataDir, name)

/** A Postgres of our own, unless one is configured. */
const postgres = Effect.gen(function* () {
  if (isSet("DATABASE_URL")) return {}
  const running = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => startPostgres({ dataDir: inDataDir("postgres") }),
      catch: (error) =>
        new SettingError({ setting: "DEV_DATA_DIR", problem: error instanceof Error ? error.message : String(error) })
    }),
    (running) => Effect.promise(() => running.stop())
  )
  yield* say(`Postgres    127.0.0.1:${running.port}, data in ${running.dataDir}`)
  return { DATABASE_URL: running.url }
})

/** A Gemini of our own, unless there is a key for Google's. */
const gemini = Effect.gen(function* () {
  if (isSet("GEMINI_API_KEY")) return {}
  const running = yield* Effect.acquireRelease(
    Effect.promise(() => startGeminiSimulator({ latencyMillis: 300 })),
    (running) => Effect.promise(() => running.stop())
  )
  yield* say(`Gemini      simulated at ${running.url} (set GEMINI_API_KEY for Google's)`)
  return { GEMINI_API_KEY: "simulated", GEMINI_BASE_URL: running.url }
})

const webhookSecret = "whsec_development"

/** A Stripe of our own, unless there is a key for the real one. It remembers, as the database does. */
const stripe = Effect.gen(function* () {
  if (isSet("STRIPE_SECRET_KEY") || process.env["BILLING"] === "off") return {}
  const memory = inDataDir("stripe.json")
  const running = yield* Effect.acquireRelease(
    Effect.promise(() =>
      startStripeSimulator({
        webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret: webhookSecret }],
        ...(existsSync(memory) ? { snapshot: JSON.parse(readFileSync(memory, "utf8")) } : {})
      })
    ),
    (running) =>
      Effect.promise(async () => {
        writeFileSync(memory, JSON.stringify(running.snapshot()))
        await running.stop()
      })
  )
  yield* say(`Stripe      simulated at ${running.url} (set STRIPE_SECRET_KEY for the real one)`)
  return {
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: webhookSecret,
    STRIPE_PRO_PRICE_ID: running.priceId,
    STRIPE_API_BASE: running.url
  }
})

/** Kept with the data, so that a restart ends no session. */
const keys = Effect.sync(() => {
  if (isSet("JWT_KEYS")) return {}
  const file = inDataDir("jwt-keys")
  if (!existsSync(file)) writeFileSync(file, `dev:${randomBytes(32).toString("base64")}`, { mode: 0o600 })
  return { JWT_KEYS: readFileSync(file, "utf8") }
})

/** Zero configuration: what the environment does not name is started here; then the same layers as in production. */
const Main = Layer.unwrap(
  Effect.gen(function* () {
    mkdirSync(dataDir, { recursive: true })
    const started = { APP_ENV: "development", ...(yield* postgres), ...(yield* gemini), ...(yield* stripe), ...(yield* keys) }
    return AppLayer.pipe(Layer.provide(AppConfig.layer), Layer.provide(environment(started)))
  })
)

NodeRuntime.runMain(launch(Main), { disableErrorReporting: true, teardown })
