import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Layer } from "effect"
import { existsSync } from "node:fs"
import { resolve } from "node:path"
import { AppLayer } from "../App.ts"
import { AppConfig, SettingError } from "../Config.ts"
import { environment, launch, teardown } from "../ops/Launch.ts"
import { startPostgres } from "./EmbeddedPostgres.ts"
import { startGeminiSimulator } from "./GeminiSimulator.ts"

if (existsSync(".env")) process.loadEnvFile(".env")

const isSet = (name: string) => (process.env[name] ?? "") !== ""
const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

/** A Postgres of our own, unless one is configured. */
const postgres = Effect.gen(function* () {
  if (isSet("DATABASE_URL")) return {}
  const dataDir = resolve(process.env["DEV_DATA_DIR"] || ".data", "postgres")
  const running = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => startPostgres({ dataDir }),
      catch: (error) => new SettingError({ setting: "DEV_DATA_DIR", problem: error instanceof Error ? error.message : String(error) })
    }),
    (running) => Effect.promise(() => running.stop())
  )
  yield* say(`Postgres    127.0.0.1:${running.port}, data in ${dataDir}`)
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

/** Zero configuration: what the environment does not name is started here; then the same layers as in production. */
const Main = Layer.unwrap(
  Effect.gen(function* () {
    const started = { APP_ENV: "development", ...(yield* postgres), ...(yield* gemini) }
    return AppLayer.pipe(Layer.provide(AppConfig.layer), Layer.provide(environment(started)))
  })
)

NodeRuntime.runMain(launch(Main), { disableErrorReporting: true, teardown })
