import { type Report, runCollection } from "./postman/Newman.ts"
import { startDevServer } from "./postman/Server.ts"

/** `npm run postman`: the Postman collection against `npm run dev`, twice in a row; with `--verbose` all that newman prints. */

/** The first failures usually explain the others. */
const maximumListed = 20

const summary = ({ assertions, failures, requests }: Report) =>
  [
    `${requests} requests, ${assertions} assertions, ${failures.length} failed`,
    ...failures.slice(0, maximumListed),
    ...(failures.length > maximumListed ? [`and ${failures.length - maximumListed} more (--verbose prints all)`] : [])
  ].join("\n  ")

// Ctrl-C reaches the server and newman as well: they end, and their files are removed.
process.on("SIGINT", () => {})

try {
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
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
