import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { freePort } from "../../dev/freePort.ts"

export interface DevServer {
  readonly url: string
  /** Drains and ends it, and removes its data. */
  readonly stop: () => Promise<void>
}

const entry = fileURLToPath(new URL("../../dev/main.ts", import.meta.url))
const patience = 120_000

/**
 * `npm run dev` on a free port with nothing of the user's: no variable of the environment, no `.env` (it is read from
 * the working directory, which is an empty one here), and data that are thrown away.
 */
export const startDevServer = async (settings: Readonly<Record<string, string>> = {}): Promise<DevServer> => {
  const folder = mkdtempSync(join(tmpdir(), "postman-server-"))
  const port = String(await freePort())
  const { EMBEDDED_POSTGRES_BIN = "", HOME = "", PATH = "", SYSTEMROOT = "", TEMP = "" } = process.env
  const env = {
    EMBEDDED_POSTGRES_BIN,
    HOME,
    PATH,
    SYSTEMROOT,
    TEMP,
    PORT: port,
    DEV_DATA_DIR: join(folder, "data"),
    LOG_LEVEL: "warn"
  }
  const child = spawn(process.execPath, [entry], { cwd: folder, env: { ...env, ...settings }, stdio: ["ignore", "pipe", "pipe"] })
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()))
  let output = ""
  const isReady = new Promise<boolean>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        output += String(chunk)
        if (/^ready http/m.test(output)) resolve(true)
      })
    }
    child.once("close", () => resolve(false))
    setTimeout(() => resolve(false), patience).unref()
  })
  const stop = async () => {
    child.kill("SIGTERM")
    await exited
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  if (await isReady) return { url: `http://127.0.0.1:${port}`, stop }
  await stop()
  throw new Error(`the server did not start:\n${output}`)
}
