import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(import.meta.resolve("@redocly/cli/bin/cli.js"))

/** It would tell its makers of every run, and ask the registry for newer versions. */
const quiet = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_NOTIFICATIONS: "true" }

/** Runs a command of the Redocly CLI and returns its report, which it writes as JSON whether it is content or not. */
export const redocly = (...args: ReadonlyArray<string>): unknown => {
  const { error, stderr, stdout } = spawnSync(process.execPath, [cli, ...args, "--format", "json"], {
    env: { ...process.env, ...quiet },
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    timeout: 120_000
  })
  if (error !== undefined) throw error
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`redocly ${args[0]} gave no report: ${stderr}`)
  }
}
