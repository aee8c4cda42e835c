import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"

const cli = fileURLToPath(import.meta.resolve("@redocly/cli/bin/cli.js"))

/** Without these it reports every run to its makers and asks the registry for newer versions. */
const quiet = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_NOTIFICATIONS: "true" }

/** Runs a command of the Redocly CLI and returns its JSON report, whether the command succeeds or finds problems. */
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
