import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { buildPage } from "../scripts/web.ts"
import { SettingError } from "../src/config/Reading.ts"
import { variables } from "../src/config/Variables.ts"
import { launch, teardown } from "../src/ops/Launch.ts"
import { startPostgres } from "./EmbeddedPostgres.ts"
import { isFree } from "./freePort.ts"
import { plannedPrices } from "./plannedPrices.ts"
import { runReloading } from "./Reloading.ts"
import { startGeminiSimulator } from "../simulators/gemini/GeminiSimulator.ts"
import { startStripeSimulator } from "../simulators/stripe/StripeSimulator.ts"

if (existsSync(".env")) process.loadEnvFile(".env")

const isSet = (name: string) => (process.env[name] ?? "") !== ""
const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))
const port = process.env["PORT"] || String(variables.PORT.defaultValue)
const dataDir = resolve(process.env["DEV_DATA_DIR"] || variables.DEV_DATA_DIR.defaultValue)
const inDataDir = (name: string) => join(dataDir, name)

/** Holds the URL of the embedded Postgres, for psql and `npm run seed`. */
const urlFile = inDataDir("postgres-url")

/** The port of the last start, if it is free, so that a tool that was connected can be used again. */
const samePort = Effect.promise(async () => {
  const port = existsSync(urlFile) ? Number(new URL(readFileSync(urlFile, "utf8")).port) : 0
  return port !== 0 && (await isFree(port)) ? port : undefined
})

/** An embedded Postgres, unless `DATABASE_URL` is set. */
const postgres = Effect.gen(function* () {
  if (isSet("DATABASE_URL")) return {}
  const port = yield* samePort
  const running = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => startPostgres({ dataDir: inDataDir("postgres"), port }),
      catch: (error) =>
        new SettingError({ setting: "DEV_DATA_DIR", problem: error instanceof Error ? error.message : String(error) })
    }),
    (running) => Effect.promise(() => running.stop())
  )
  writeFileSync(urlFile, running.url, { mode: 0o600 })
  yield* say(`Postgres    127.0.0.1:${running.port}, data in ${running.dataDir}: psql "$(cat ${relative(".", urlFile)})"`)
  return { DATABASE_URL: running.url }
})

/** The Gemini simulator, unless a key of Google's is set. */
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

/** The Stripe simulator, unless a key of Stripe's is set. Its state is kept in a file, as the database keeps its data. */
const stripe = Effect.gen(function* () {
  if (isSet("STRIPE_SECRET_KEY") || process.env["BILLING"] === "off") return {}
  const snapshotFile = inDataDir("stripe.json")
  const running = yield* Effect.acquireRelease(
    Effect.promise(() =>
      startStripeSimulator({
        webhooks: [{ url: `http://127.0.0.1:${port}/webhook/stripe`, secret: webhookSecret }],
        otherPrices: plannedPrices(process.env["PLANS"]),
        ...(process.env["STRIPE_TAX"] === "on" ? { taxCountries: ["DE"], taxBehavior: "exclusive" as const } : {}),
        ...(existsSync(snapshotFile) ? { snapshot: JSON.parse(readFileSync(snapshotFile, "utf8")) } : {})
      })
    ),
    (running) =>
      Effect.promise(async () => {
        writeFileSync(snapshotFile, JSON.stringify(running.snapshot()))
        await running.stop()
      })
  )
  yield* say(`Stripe      simulated at ${running.url} (set STRIPE_SECRET_KEY for Stripe's)`)
  return {
    STRIPE_SECRET_KEY: "sk_test_simulated",
    STRIPE_WEBHOOK_SECRETS: webhookSecret,
    STRIPE_PRO_PRICE_ID: running.priceId,
    STRIPE_API_BASE: running.url
  }
})

/** Kept with the data, so that sessions survive a restart. */
const keys = Effect.sync(() => {
  if (isSet("JWT_KEYS")) return {}
  const file = inDataDir("jwt-keys")
  if (!existsSync(file)) writeFileSync(file, `dev:${randomBytes(32).toString("base64")}`, { mode: 0o600 })
  return { JWT_KEYS: readFileSync(file, "utf8") }
})

/** Where the development servers of the usual front-end tools listen, so that their pages may call the API. */
const frontEnds = Effect.sync(() => {
  if (isSet("CORS_ORIGINS")) return {}
  const ports = [3001, 4173, 4200, 5173, 8080]
  const hosts = ["localhost", "127.0.0.1"]
  return { CORS_ORIGINS: ports.flatMap((port) => hosts.map((host) => `http://${host}:${port}`)).join(",") }
})

const folderOf = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

/** The playground's folder, unless `PLAYGROUND` is set. */
const playground = isSet("PLAYGROUND") ? undefined : inDataDir("web")

/** Builds the playground from `web/`. A page that cannot be built leaves the one of the last time. */
const buildPlayground = Effect.gen(function* () {
  if (playground === undefined) return
  const building = Effect.tryPromise(() => buildPage(playground, { compress: false }))
  yield* Effect.catch(building, ({ cause }) => say(`The playground cannot be built: ${String(cause)}`))
})

/** Starts what the environment does not configure, and then the server in a process of its own, again after each change. */
const Main = Layer.effectDiscard(
  Effect.gen(function* () {
    mkdirSync(dataDir, { recursive: true })
    const started = {
      APP_ENV: "development",
      ...(yield* postgres),
      ...(yield* gemini),
      ...(yield* stripe),
      ...(yield* keys),
      ...(yield* frontEnds),
      ...(playground === undefined ? {} : { PLAYGROUND: playground })
    }
    process.exitCode = yield* runReloading({
      entry: folderOf("dev/server.ts"),
      env: { ...process.env, ...started },
      folders: [folderOf("src"), folderOf("migrations"), folderOf("client"), folderOf("web")],
      prepare: buildPlayground,
      say
    })
    yield* Effect.interrupt
  })
)

NodeRuntime.runMain(launch(Main), { disableErrorReporting: true, teardown })
