import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

export interface Execution {
  /** The request's. */
  readonly name: string
  readonly status: number
  /** The names of the tests that ran. */
  readonly tests: ReadonlyArray<string>
}

export interface Report {
  readonly requests: number
  readonly assertions: number
  /** Each failed test, script or request in one line. */
  readonly failures: ReadonlyArray<string>
  /** The requests that were answered. */
  readonly executions: ReadonlyArray<Execution>
  /** What newman printed. */
  readonly output: string
}

interface Exported {
  readonly run: {
    readonly stats: { readonly requests: { readonly total: number }; readonly assertions: { readonly total: number } }
    readonly failures: ReadonlyArray<{
      readonly source?: { readonly name?: string }
      readonly error: { readonly test?: string; readonly message: string }
    }>
    readonly executions: ReadonlyArray<{
      readonly item: { readonly name: string }
      readonly response?: { readonly code: number }
      readonly assertions?: ReadonlyArray<{ readonly assertion: string }>
    }>
  }
}

/** Milliseconds that a run of the whole collection may take, and one request. */
const maximumRun = 300_000
const maximumRequest = 60_000

const newman = fileURLToPath(import.meta.resolve("newman/bin/newman.js"))
const collection = fileURLToPath(new URL("../../postman/gemini-chat-backend.postman_collection.json", import.meta.url))
const environment = fileURLToPath(new URL("../../postman/local.postman_environment.json", import.meta.url))

/** Newman writes its report last, and then lives until the server closes its idle connections, which takes up to two minutes. */
const written = async (file: string, child: ChildProcess): Promise<void> => {
  while (!existsSync(file) && child.exitCode === null && child.signalCode === null) await sleep(100)
  await sleep(1_000)
}

/** Runs the committed collection once, as users do, with these variables over those of the environment. */
export const runCollection = async (variables: Readonly<Record<string, string>>): Promise<Report> => {
  const folder = mkdtempSync(join(tmpdir(), "postman-"))
  const exportFile = join(folder, "report.json")
  const overrides = Object.entries(variables).flatMap(([key, value]) => ["--env-var", `${key}=${value}`])
  const options = ["--reporters", "cli,json", "--reporter-json-export", exportFile, "--color", "off", "--disable-unicode"]
  const limits = ["--timeout", `${maximumRun}`, "--timeout-request", `${maximumRequest}`]
  try {
    const child = spawn(process.execPath, [newman, "run", collection, "-e", environment, ...overrides, ...options, ...limits], {
      cwd: dirname(collection),
      // No proxy and no newmanrc of the user's.
      env: { HOME: folder },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: maximumRun + 10_000
    })
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += String(chunk)))
    const closed = once(child, "close")
    await Promise.race([closed, written(exportFile, child)])
    const code = child.exitCode
    child.kill()
    await closed
    if (!existsSync(exportFile)) throw new Error(`newman did not run the collection (${String(code)}):\n${output.slice(-2_000)}`)
    const { run }: Exported = JSON.parse(readFileSync(exportFile, "utf8"))
    const failures = run.failures.map(({ error, source }) =>
      `${source?.name}: ${error.test ?? ""} ${error.message}`.replace(/\s+/g, " ")
    )
    return {
      requests: run.stats.requests.total,
      assertions: run.stats.assertions.total,
      failures: code === 0 || code === null || failures.length > 0 ? failures : [`newman ended with ${String(code)}`],
      executions: run.executions.flatMap(({ assertions = [], item, response }) =>
        response === undefined
          ? []
          : { name: item.name, status: response.code, tests: assertions.map(({ assertion }) => assertion) }
      ),
      output
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
