import { spawn } from "node:child_process"
import { once } from "node:events"
import { freePort } from "../dev/freePort.ts"

export interface RunningRedis {
  readonly url: string
  readonly pid: number
  readonly version: string
  readonly stop: () => Promise<void>
}

/** Redis as it is run for sessions and queues: everything in the append-only file, synced once a second, and no eviction. */
export const startRedis = async (folder: string): Promise<RunningRedis | undefined> => {
  const port = await freePort()
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir: folder,
    appendonly: "yes",
    appendfsync: "everysec",
    "maxmemory-policy": "noeviction"
  }
  const child = spawn(
    "redis-server",
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
    { stdio: ["ignore", "pipe", "inherit"] }
  )
  let output = ""
  const started = await new Promise<boolean>((resolve) => {
    child.once("error", () => resolve(false)) // not installed
    child.once("exit", () => resolve(false))
    child.stdout.on("data", (chunk: Buffer) => {
      output += String(chunk)
      if (output.includes("Ready to accept connections")) resolve(true)
    })
  })
  if (!started) return undefined
  child.stdout.removeAllListeners("data").resume()
  return {
    url: `redis://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    version: /version=([\d.]+)/.exec(output)?.[1] ?? "?",
    stop: async () => {
      child.kill("SIGTERM")
      if (child.exitCode === null) await once(child, "exit")
    }
  }
}
