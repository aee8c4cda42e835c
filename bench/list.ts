/**
 * `node bench/list.ts`: the value of the cache of GET /chatroom, with 20 rooms per user. Measures hits, hits answered
 * 304, misses, and the route without caches, each beside a bare node:http server that sends the same bytes; every
 * round measures all of them in turn.
 *
 * - A miss is the first read of a user's page after an invalidation: between two rounds `pg_notify` invalidates the
 *   lists of all users, and the requests go through page sizes of 20 and more, which all give the same bytes.
 * - The product runs without caches while its listener is lost, so the benchmark ends that connection repeatedly.
 *   Sessions are then read from the database, too.
 */
import { availableParallelism, loadavg } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { requestText, startReference, type Target, type Window } from "./load.ts"
import { compareRounds, cost, warmUpSeconds } from "./rounds.ts"
import { seedRooms, seedTokens } from "./seed.ts"
import { calm } from "./process.ts"
import { type Api, openStage, type Stage, startApi } from "./stage.ts"
import { markdown, median, ratio, type Row } from "./table.ts"

const users = 128
const rooms = 20
const connections = 32
const rounds = 5
/** Of each round. A round of misses must not need more pages than `users` times `pageSizes`. */
const seconds = 1
const pageSizes = 81

/** One way of reading the list, with the measured rounds of the product and of the reference. */
interface Variant {
  readonly what: string
  readonly status: "200" | "304"
  readonly target: Target
  readonly reference: { readonly port: number; readonly pid: number }
  /** Brings the caches into the state of this variant; the returned function ends that state. */
  readonly prepare: () => Promise<() => Promise<void>>
  readonly ours: Array<Window>
  readonly theirs: Array<Window>
}

const nothing = () => Promise.resolve()

/** Invalidates every user's list in all processes, and waits until the notifications have arrived. */
const invalidate = async (database: pg.Client): Promise<void> => {
  await database.query(
    `select pg_notify('changed', string_agg('chatrooms:' || id, E'\\n')) from (select id, row_number() over () / 100 as packet from users) u group by packet`
  )
  await sleep(100)
}

/** Ends the product's listener whenever it is back, until the returned function is called. */
const keepListenerDown = async (databaseUrl: string): Promise<() => Promise<void>> => {
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  const end = () =>
    database.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and query ilike 'listen%'"
    )
  const stopped = new AbortController()
  const ending = (async () => {
    while (!stopped.signal.aborted) {
      await end()
      await sleep(15)
    }
  })()
  await sleep(1_000) // by then the product's backoff between reconnects is long enough
  return async () => {
    stopped.abort()
    await ending
    await database.end()
    await sleep(2_500)
  }
}

const bench = async (stage: Stage): Promise<ReadonlyArray<Row>> => {
  const databaseUrl = await stage.createDatabase("bench_list")
  const settings = stage.settings(databaseUrl)
  const api = await startApi(settings, "api", stage.entry)
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  try {
    return await measure(stage, api, database, settings, databaseUrl)
  } finally {
    await database.end()
    await api.stop()
  }
}

const measure = async (
  stage: Stage,
  api: Api,
  database: pg.Client,
  settings: Readonly<Record<string, string>>,
  databaseUrl: string
): Promise<ReadonlyArray<Row>> => {
  const tokens = await seedTokens(settings, users)
  await seedRooms(api.url, tokens, rooms)

  const path = "/chatroom"
  const [token = ""] = tokens
  const tagOf = async (owner: string) =>
    (await fetch(api.url + path, { headers: { authorization: `Bearer ${owner}` } })).headers.get("etag") ?? ""
  const tags = await Promise.all(tokens.map(tagOf))
  const whole = await startReference(api.url + path, "GET", token)
  const unchanged = await startReference(api.url + path, "GET", token, undefined, { "if-none-match": tags[0] ?? "" })

  const target = (requests: ReadonlyArray<string>): Target => ({ port: api.port, connections, requests })
  const hits = tokens.map((owner) => requestText("GET", path, owner))
  const gzip = "accept-encoding: gzip\r\n"
  const compressedHits = tokens.map((owner) => requestText("GET", path, owner, undefined, gzip))
  const asked = tokens.map((owner, index) =>
    requestText("GET", path, owner, undefined, `if-none-match: ${tags[index] ?? ""}\r\n`)
  )
  // All users with one page size, then all users with the next.
  const sizes = Array.from({ length: pageSizes }, (_, index) => 100 - index)
  const firstsWith = (headers = "") =>
    sizes.flatMap((size) => tokens.map((owner) => requestText("GET", `${path}?limit=${size}`, owner, undefined, headers)))
  const firsts = firstsWith()
  /** Every user reads once, so that all requests that follow are hits. */
  const fill = async () => {
    await Promise.all(tokens.map(tagOf))
    return nothing
  }
  const change = async () => {
    await invalidate(database)
    return nothing
  }
  const of = (variant: Pick<Variant, "what" | "status" | "target" | "reference" | "prepare">): Variant => ({
    ...variant,
    ours: [],
    theirs: []
  })
  const variants = [
    of({ what: "hit, 200 with body", status: "200", target: target(hits), reference: whole, prepare: fill }),
    of({ what: "hit, 200 with gzip", status: "200", target: target(compressedHits), reference: whole, prepare: fill }),
    of({ what: "hit, 304 on If-None-Match", status: "304", target: target(asked), reference: unchanged, prepare: fill }),
    of({ what: "miss: first read since a change", status: "200", target: target(firsts), reference: whole, prepare: change }),
    of({
      what: "miss, with gzip",
      status: "200",
      target: target(firstsWith(gzip)),
      reference: whole,
      prepare: change
    }),
    of({
      what: "no caches: listener lost",
      status: "200",
      target: target(hits),
      reference: whole,
      prepare: () => keepListenerDown(databaseUrl)
    })
  ]
  const pids = { api: api.pid, Postgres: stage.postgresPid }

  for (let round = -1; round < rounds; round++) {
    await calm()
    for (const { ours, prepare, reference, target, theirs } of variants) {
      const release = await prepare()
      const window = await stage.driver.run(target, round < 0 ? warmUpSeconds : seconds, pids)
      await release()
      const beside = await stage.driver.run({ ...target, port: reference.port }, round < 0 ? warmUpSeconds : seconds, {
        reference: reference.pid
      })
      if (round < 0) continue // warm-up of the just-in-time compiler
      ours.push(window)
      theirs.push(beside)
    }
  }
  whole.stop()
  unchanged.stop()

  const [first] = variants
  return variants.map(({ ours, status, theirs, what }): Row => {
    const answers = ours.reduce((sum, { statuses }) => sum + Object.values(statuses).reduce((a, b) => a + b, 0), 0)
    const cached = ours.reduce((sum, { hits }) => sum + hits, 0)
    const all = (window: Window, answered: string) => cost(window, answered, "api") + cost(window, answered, "Postgres")
    const timesHit = median(ours.map((window, index) => all(window, status) / all(first?.ours[index] ?? window, "200")))
    return {
      what: `${what} (${((100 * cached) / answers).toFixed(1)} % from the cache)`,
      ...compareRounds(ours, theirs, status, pids, "api"),
      timesFirst: ratio(timesHit)
    }
  })
}

const busyBefore = loadavg()[0] ?? 0
const stage = await openStage()
try {
  const rows = await bench(stage)
  console.log(`
${new Date().toISOString().slice(0, 10)}, Node ${process.version}, ${availableParallelism()} cores, shared by all processes; load average before the run \
${busyBefore.toFixed(2)}, after it ${(loadavg()[0] ?? 0).toFixed(2)}.
${await stage.describe()}
GET /chatroom, ${users} users with ${rooms} rooms each, ${connections} connections. Medians of ${rounds} rounds of ${seconds} s, all ways of reading in turn.
"Bare node:http" sends the same bytes with the same headers and does nothing else.
`)
  console.log(markdown(rows))
} finally {
  await stage.close()
}
