/**
 * `node bench/trace.ts`: the statements that one POST …/message costs the API process, from the log of Postgres; then
 * those of the worker, and of idle processes. API and worker log in as different database users, which tells them apart
 * in the log.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { startPostgres } from "../dev/EmbeddedPostgres.ts"
import { startNode } from "./process.ts"
import { seedRooms, seedTokens } from "./seed.ts"
import { productSettings, startApi, startWorker } from "./stage.ts"

interface Statement {
  /** Milliseconds since 1970 when Postgres began to execute it. */
  readonly at: number
  readonly user: string
  readonly pid: string
  text: string
}

const statements: Array<Statement> = []
/** Reads a line of the log: `log_line_prefix` and text; further lines of a statement begin with a tab. */
const note = (line: string) => {
  const [, at, pid, user = "", text] = /^@(\d+\.\d+) (\d+) (\S*) LOG: {2}(?:statement|execute [^:]+): (.*)$/.exec(line) ?? []
  const last = statements.at(-1)
  if (at !== undefined && pid !== undefined && text !== undefined) statements.push({ at: Number(at) * 1000, pid, user, text })
  else if (line.startsWith("\t") && last !== undefined) last.text += ` ${line.trim()}`
}

const folder = mkdtempSync(join(tmpdir(), "trace-"))
const postgres = await startPostgres({
  dataDir: join(folder, "data"),
  log: note,
  settings: { log_statement: "all", log_line_prefix: "@%n %p %u " }
})
const simulator = await startNode("simulators/gemini/main.ts", {}, /ready (http\S+)/)

const settingsOf = async (user: string) => {
  const admin = new pg.Client({ connectionString: postgres.url })
  await admin.connect()
  await admin.query(`create role ${user} superuser login password '${user}'`)
  await admin.end()
  const url = new URL(postgres.url)
  url.username = user
  url.password = user
  return productSettings(url.href, simulator.captured)
}

const settings = await settingsOf("api")
const api = await startApi(settings, "api")
const worker = await startWorker(await settingsOf("worker"))
const [token = ""] = await seedTokens(settings, 1)
const [room] = await seedRooms(api.url, [token], 1)

const ask = async (content: string) => {
  const sentAt = Date.now()
  const response = await fetch(`${api.url}/chatroom/${room?.id ?? ""}/message`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ content })
  })
  const answeredAt = Date.now()
  await response.arrayBuffer()
  return { sentAt, answeredAt, status: response.status }
}

/** Shortens a statement to one line. */
const shorten = (text: string) => (text.length > 150 ? `${text.slice(0, 150)}…` : text)

/** Statements grouped by their text, the most frequent first. */
const printCounts = (some: ReadonlyArray<Statement>) => {
  const groups = Map.groupBy(some, ({ text }) => shorten(text))
  for (const [text, { length }] of [...groups].sort(([, a], [, b]) => b.length - a.length))
    console.log(`${String(length).padStart(6)} × ${text}`)
}

for (const content of ["warm up", "the first that counts", "another", "a last one"]) {
  await sleep(700)
  const { answeredAt, sentAt, status } = await ask(content)
  await sleep(300)
  if (content === "warm up") continue
  const during = statements.filter(({ at }) => at >= sentAt && at < answeredAt + 300)
  const ours = during.filter(({ user }) => user === "api")
  console.log(
    `\nPOST message answered ${status} after ${answeredAt - sentAt} ms. Statements of the API process (ms after the request, pid):`
  )
  for (const { at, pid, text } of ours) {
    console.log(`${at > answeredAt ? "  later" : " before"} ${(at - sentAt).toFixed(0).padStart(4)} ms  ${pid}  ${shorten(text)}`)
  }
  console.log(`${ours.length} statements of the API.`)
}

await sleep(1_000)
const asked = await ask("what the worker does")
await sleep(290)
console.log("\nThe worker's statements in the 300 ms after a message was accepted:")
printCounts(statements.filter(({ at, user }) => user === "worker" && at >= asked.answeredAt && at < asked.answeredAt + 300))

await sleep(2_000)
const idleFrom = Date.now()
await sleep(5_000)
console.log("\nStatements of both in five idle seconds:")
printCounts(statements.filter(({ at }) => at >= idleFrom))

await Promise.all([api.stop(), worker.stop(), simulator.stop()])
await postgres.stop()
rmSync(folder, { recursive: true, force: true })
