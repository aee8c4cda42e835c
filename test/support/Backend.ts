import { spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Exit, Layer, Scope } from "effect"
import { SettingError } from "../../src/config/Reading.ts"
import { freePort } from "../../dev/freePort.ts"
import { AppLayer } from "../../src/App.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { environment } from "../../src/ops/Launch.ts"

export interface Settings {
  readonly DATABASE_URL: string
  readonly GEMINI_BASE_URL?: string
  readonly [name: string]: string | undefined
}

/** Signs the access tokens of test backends. */
export const jwtSecret = Buffer.from("0123456789abcdef0123456789ABCDEF")
const jwtKeys = `test:${jwtSecret.toString("base64")}`

const complete = async (settings: Settings): Promise<Record<string, string>> => {
  const all = {
    APP_ENV: "test",
    HOST: "127.0.0.1",
    PORT: String(await freePort()),
    JWT_KEYS: jwtKeys,
    GEMINI_API_KEY: "simulated",
    LOG_LEVEL: "error",
    // Most tests count calls of the model, which a title would add to.
    AUTO_TITLES: "words",
    ROOM_SUMMARIES: "off",
    MIGRATE: "off",
    ...settings
  }
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

const build = async (env: Record<string, string>) => {
  const scope = Scope.makeUnsafe()
  const layer = AppLayer.pipe(Layer.provide(AppConfig.layer), Layer.provide(environment(env)))
  try {
    await Effect.runPromise(Layer.buildWithScope(layer, scope))
  } catch (error) {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    throw error
  }
  return {
    url: `http://127.0.0.1:${env["PORT"]}`,
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** Whether another process took the free port before this one listened on it. */
const isPortTaken = (error: unknown): boolean => error instanceof SettingError && error.setting === "PORT"

/** Starts the backend's layers in this process, on a free port. */
export const startBackend = async (settings: Settings) => {
  for (let attempt = 1; ; attempt++) {
    try {
      return await build(await complete(settings))
    } catch (error) {
      if (attempt === 5 || settings["PORT"] !== undefined || !isPortTaken(error)) throw error
    }
  }
}

/** The command that runs the backend; by default Node on its sources. */
export interface Program {
  readonly command?: string
  readonly args?: ReadonlyArray<string>
  readonly cwd?: string
}

/** Starts the production entry as a process, which a test can kill. */
export const startProcess = async (settings: Settings, program: Program = {}) => {
  const env = await complete({ LOG_LEVEL: "info", ...settings })
  const { PATH, HOME } = process.env
  const { args = ["src/main.ts"], command = process.execPath, cwd = process.cwd() } = program
  const child = spawn(command, args, {
    cwd,
    env: { ...(PATH === undefined ? {} : { PATH }), ...(HOME === undefined ? {} : { HOME }), ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)))
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once("exit", (code, signal) => resolve({ code, signal }))
  )
  const started = async () => {
    const deadline = Date.now() + 60_000
    while (!/ready http|Working/.test(output)) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the process did not start: ${output}`)
      await sleep(20)
    }
  }
  return {
    url: `http://127.0.0.1:${env["PORT"]}`,
    pid: child.pid ?? -1,
    started,
    exited,
    output: () => output,
    kill: (signal: NodeJS.Signals) => {
      child.kill(signal)
      return exited
    }
  }
}
