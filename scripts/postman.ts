import { writeFileSync } from "node:fs"
import { examplesFile, examplesOf } from "./postman/Examples.ts"
import { writeFiles } from "./postman/Files.ts"
import { type Report, runCollection } from "./postman/Newman.ts"
import { startDevServer } from "./postman/Server.ts"

/**
 * `npm run postman`: the Postman collection against `npm run dev`, twice in a row; with `--verbose` all that newman says.
 * `--record` takes new examples from a real run, and generates the collection with them.
 */

/** Everything a server can have is switched on, so that each request has its good answer. */
const record = async () => {
  writeFiles()
  const server = await startDevServer({ ADMIN_TOKEN: "postman", PASSWORD_LOGIN: "true" })
  try {
    const report = await runCollection({ baseUrl: server.url, adminToken: "postman" })
    if (report.failures.length > 0) throw new Error(`nothing is recorded, the run has failures:\n${report.failures.join("\n")}`)
    writeFileSync(examplesFile, `${JSON.stringify(examplesOf(report.executions, server.url), null, 2)}\n`)
    writeFiles()
  } finally {
    await server.stop()
  }
}

/** Failures that are told one by one: the first ones explain the others. */
const told = 20

const summary = ({ assertions, failures, requests }: Report) =>
  [
    `${requests} requests, ${assertions} assertions, ${failures.length} failed`,
    ...failures.slice(0, told),
    ...(failures.length > told ? [`and ${failures.length - told} more (--verbose tells all)`] : [])
  ].join("\n  ")

const run = async () => {
  const server = await startDevServer()
  try {
    for (const turn of ["first", "second"]) {
      const report = await runCollection({ baseUrl: server.url })
      if (process.argv.includes("--verbose")) process.stdout.write(report.output)
      process.stdout.write(`${turn} run: ${summary(report)}\n`)
      if (report.failures.length > 0 || report.assertions === 0) process.exitCode = 1
    }
  } finally {
    await server.stop()
  }
}

// Ctrl-C reaches the server and newman as well: they end, and what was begun is tidied up.
process.on("SIGINT", () => {})

try {
  await (process.argv.includes("--record") ? record() : run())
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
