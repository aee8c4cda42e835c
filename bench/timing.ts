/**
 * `npm run bench:timing`: whether response times reveal which numbers have an account. Each pair of requests asks about
 * a number with an account and one without, in alternating order; the table shows the medians of 200 each. An attacker
 * can tell them apart over a network when they differ by milliseconds.
 */
import { hash } from "@node-rs/argon2"
import { availableParallelism, loadavg } from "node:os"
import pg from "pg"
import { calm } from "./process.ts"
import { openStage, type Stage, startApi } from "./stage.ts"
import { median, number, ratio, table } from "./table.ts"

const pairs = 200
/** Pairs before those that count, for the just-in-time compiler. */
const warmUp = 40

/** The number of this kind and index; known numbers have an account with a password. */
const mobile = (kind: "known" | "unknown", index: number) => `+919${kind === "known" ? 7 : 8}${String(index).padStart(8, "0")}`

const seed = async (database: pg.Client): Promise<void> => {
  const password = await hash("correct horse battery staple", { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1 })
  await database.query(
    `insert into users (id, mobile, status, quota_key, password_hash)
     select gen_random_uuid(), mobile, 'active', mobile, $2 from unnest($1::text[]) mobile`,
    [Array.from({ length: warmUp + pairs }, (_, index) => mobile("known", index)), password]
  )
}

interface Route {
  readonly what: string
  readonly path: string
  readonly status: number
  readonly body: object
}

const challenge = { status: 200, body: {} }
const guess = { path: "/auth/verify-otp", status: 400, body: { otp: "000000" } }
/** In this order, so that a code has been sent before the third route guesses it. */
const routes: ReadonlyArray<Route> = [
  { what: "verify-otp, wrong, no code was sent", ...guess },
  { what: "send-otp", path: "/auth/send-otp", ...challenge },
  { what: "verify-otp, wrong, a code was sent", ...guess },
  { what: "forgot-password", path: "/auth/forgot-password", ...challenge },
  { what: "login, wrong password", path: "/auth/login", status: 401, body: { password: "wrong horse" } }
]

const measure = async (url: string, route: Route, number: string): Promise<number> => {
  const startedAt = performance.now()
  const response = await fetch(url + route.path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ mobile: number, ...route.body })
  })
  const text = await response.text()
  const millis = performance.now() - startedAt
  if (response.status !== route.status) throw new Error(`${route.what}: ${response.status} ${text}`)
  return millis
}

const compare = async (url: string, route: Route): Promise<ReadonlyArray<string>> => {
  const took = { known: new Array<number>(), unknown: new Array<number>() }
  for (let index = 0; index < warmUp + pairs; index++) {
    for (const kind of index % 2 === 0 ? (["known", "unknown"] as const) : (["unknown", "known"] as const)) {
      const millis = await measure(url, route, mobile(kind, index))
      if (index >= warmUp) took[kind].push(millis)
    }
  }
  const [known, unknown] = [median(took.known), median(took.unknown)]
  return [route.what, number(known, 2), number(unknown, 2), number(known - unknown, 2), ratio(known / unknown)]
}

const bench = async (stage: Stage): Promise<ReadonlyArray<ReadonlyArray<string>>> => {
  const databaseUrl = await stage.createDatabase("bench_timing")
  const api = await startApi({ ...stage.settings(databaseUrl), PASSWORD_LOGIN: "true" }, "api", stage.entry)
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  try {
    await seed(database)
    const rows: Array<ReadonlyArray<string>> = []
    for (const route of routes) {
      await calm()
      await database.query("delete from throttles")
      rows.push(await compare(api.url, route))
    }
    return rows
  } finally {
    await database.end()
    await api.stop()
  }
}

const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  const rows = await bench(stage)
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores, shared by all processes; load average before the run \
${busyBefore.toFixed(2)}, after it ${(loadavg()[0] ?? 0).toFixed(2)}.
${await stage.describe()}
Medians of ${pairs} requests each, known and unknown numbers in turn.
`)
  console.log(table(["Route", "Known, ms", "Unknown, ms", "Difference, ms", "Ratio"], rows))
} finally {
  await stage.close()
}
