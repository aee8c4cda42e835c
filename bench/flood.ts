/**
 * `npm run bench:flood`: 20,000 login attempts from one address in ten seconds (requests for codes, guesses of codes and
 * passwords, each for another number), beside an honest user at another address. Counts the statements that reach
 * Postgres and measures the user's latency, without the flood and with it.
 */
import { fork } from "node:child_process"
import { availableParallelism, loadavg } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { ask, requestText } from "./load.ts"
import type { OpenJob, OpenLoad } from "./openLoop.ts"
import { calm } from "./process.ts"
import { seedRooms, seedTokens } from "./seed.ts"
import { openStage, startApi } from "./stage.ts"
import { latency, number, table } from "./table.ts"

const seconds = 10
/** Requests per second of the user. */
const userRate = 50
/** Documentation addresses (RFC 5737), which the limits treat as public ones. */
const attacker = "203.0.113.7"
const user = "198.51.100.9"

const mobileOf = (index: number) => `+9197${String(index).padStart(8, "0")}`

const attempt = (index: number, address: string): string => {
  const mobile = mobileOf(index)
  const from = `x-forwarded-for: ${address}\r\n`
  const ways = [
    () => requestText("POST", "/auth/send-otp", "", { mobile }, from),
    () => requestText("POST", "/auth/verify-otp", "", { mobile, otp: "123456" }, from),
    () => requestText("POST", "/auth/login", "", { mobile, password: "correct horse battery" }, from),
    () => requestText("POST", "/auth/signup", "", { mobile }, from)
  ]
  return (ways[index % ways.length] ?? (() => ""))()
}

const attempts = Array.from({ length: 20_000 }, (_, index) => attempt(index, attacker))
/** Attempts of each kind from many addresses, sent first so that the just-in-time compiler is done. */
const warmUp = Array.from({ length: 2_000 }, (_, index) => attempt(50_000 + index, `198.18.${index % 200}.1`))

/** Statements so far; each is a transaction of its own. An idle session reports its last ones after ten seconds. */
const statements = async (database: pg.Client): Promise<number> => {
  await sleep(11_000)
  const { rows } = await database.query<{ count: string }>(
    "select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()"
  )
  return Number(rows[0]?.count ?? Number.NaN)
}

/** Runs a load in a process of its own. */
const run = async (job: Pick<OpenJob, "port" | "requests" | "rate" | "connections">) => {
  const child = fork(new URL("./openLoop.ts", import.meta.url))
  const load = await ask<OpenLoad>(child, { ...job, seconds, maxWaitMillis: 10_000 })
  child.kill()
  return load
}

const play = async (port: number, database: pg.Client, requests: ReadonlyArray<string>, isFlooded: boolean) => {
  await calm()
  const before = await statements(database)
  const attack = { port, requests: attempts, rate: attempts.length / seconds, connections: 500 }
  const [honest, flood] = await Promise.all([
    run({ port, requests, rate: userRate, connections: 20 }),
    isFlooded ? run(attack) : Promise.resolve(undefined)
  ])
  return { honest, flood, statements: (await statements(database)) - before }
}

const answersOf = ({ latencies }: OpenLoad) =>
  Object.entries(latencies)
    .map(([status, { length }]) => `${length} × ${status}`)
    .join(", ")

const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  const databaseUrl = await stage.createDatabase("bench_flood")
  const settings = { ...stage.settings(databaseUrl), TRUSTED_PROXIES: "127.0.0.1", PASSWORD_LOGIN: "true" }
  const api = await startApi(settings, "api", stage.entry)
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  const [token = ""] = await seedTokens(settings, 1)
  const [room] = await seedRooms(api.url, [token], 1)
  // Half of the user's requests are answered from the database, half from memory.
  const requests = ["/user/me", `/chatroom/${room?.id}/latest`].map((path) =>
    requestText("GET", path, token, undefined, `x-forwarded-for: ${user}\r\n`)
  )
  await run({ port: api.port, requests, rate: userRate, connections: 20 })
  await run({ port: api.port, requests: warmUp, rate: 200, connections: 100 })

  const alone = await play(api.port, database, requests, false)
  const flooded = await play(api.port, database, requests, true)
  const row = (what: string, { honest, statements }: typeof alone) => {
    const millis = Object.values(honest.latencies)
      .flat()
      .toSorted((a, b) => a - b)
    const quantile = (share: number) => millis[Math.floor(millis.length * share)] ?? Number.NaN
    return [what, answersOf(honest), latency(quantile(0.5), quantile(0.99)), number(statements / seconds, 1)]
  }
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores, shared by all processes; load average before the run ${busyBefore.toFixed(2)}.
From one address in ${seconds} s: ${flooded.flood?.sent} of ${attempts.length} attempts sent; ${flooded.flood === undefined ? "" : answersOf(flooded.flood)}; ${flooded.flood?.givenUp} given up, ${flooded.flood?.resets} reset.
They made ${number(flooded.statements - alone.statements)} statements in all, ${number((flooded.statements - alone.statements) / (flooded.flood?.sent ?? 1), 3)} for an attempt.
`)
  console.log(
    table(
      ["The user", "answers", "p50 / p99 ms", "statements a second, all"],
      [row("alone", alone), row("beside the flood", flooded)]
    )
  )
  await database.end()
  await api.stop()
} finally {
  await stage.close()
}
