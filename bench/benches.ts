import { existsSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { requestText, startReference, type Target } from "./load.ts"
import { meterCpu, residentMiB, type Running } from "./process.ts"
import { alone, beside, summary } from "./rounds.ts"
import { seedRooms, seedTokens } from "./seed.ts"
import { type Api, sourceEntry, type Stage, startApi, startWorker } from "./stage.ts"
import { byProcess, median, type Row, spread } from "./table.ts"

export type Bench = (stage: Stage) => Promise<ReadonlyArray<Row>>

/** Keep-alive connections of a load that does not wait for replies. */
const connections = 64
/** Connections that wait for their replies; more than one worker process answers at a time. */
const waitingConnections = 256
/** Rooms of a user in the benchmark of GET /chatroom. */
const roomsListed = 20
/** Its reply has about 200 characters, in nine chunks. */
const question = { content: "Name three rivers of India. [[length 200]]" }

/** Runs on a new database with an API process, and stops all processes afterwards. */
const onStage = async <A>(
  stage: Stage,
  database: string,
  role: "all" | "api",
  run: (api: Api, settings: Readonly<Record<string, string>>, startWorkerToo: () => Promise<Running>) => Promise<A>
): Promise<A> => {
  const settings = stage.settings(await stage.createDatabase(database))
  const api = await startApi(settings, role)
  const workers: Array<Running> = []
  try {
    return await run(api, settings, async () => {
      const worker = await startWorker(settings)
      workers.push(worker)
      return worker
    })
  } finally {
    await Promise.all([...workers, api].map((running) => running.stop()))
  }
}

/** Time from spawn to `ready`, on an empty and on a migrated database, and the cost of an idle process. */
const start: Bench = async (stage) => {
  const settings = stage.settings(await stage.createDatabase("bench_start"))
  const rows: Array<Row> = []
  const first = await startApi(settings, "all")
  await first.stop()
  rows.push({ what: "Start on an empty database (migrates), `ROLE=all`", measured: spread([first.startMillis], "ms") })

  for (const entry of [sourceEntry, "dist/main.mjs"].filter((file) => existsSync(file))) {
    const starts: Array<number> = []
    const sizes: Array<number> = []
    let cores: Record<string, number> = {}
    for (let round = 0; round < 5; round++) {
      const api = await startApi(settings, "all", entry)
      starts.push(api.startMillis)
      if (round === 4) {
        await sleep(2_000)
        const meter = meterCpu({ all: api.pid, Postgres: stage.postgresPid })
        await sleep(5_000)
        cores = meter()
      }
      sizes.push(residentMiB(api.pid))
      await api.stop()
    }
    rows.push({
      what: `Start, then five idle seconds, \`ROLE=all\`, ${entry}`,
      measured: spread(starts, "ms"),
      cores: byProcess(cores, 3),
      memory: byProcess({ all: median(sizes) }, 0)
    })
  }
  return rows
}

/** Requests per second of one GET route, beside a server that only sends the same bytes. */
const read = async (stage: Stage, path: "/user/me" | "/chatroom", roomsEach: number): Promise<ReadonlyArray<Row>> =>
  onStage(stage, `bench_get${path.replaceAll("/", "_")}`, "api", async (api, settings) => {
    const tokens = await seedTokens(settings, connections)
    await seedRooms(api.url, tokens, roomsEach)
    const reference = await startReference(api.url + path, "GET", tokens[0] ?? "")
    const target: Target = { port: api.port, connections, requests: tokens.map((token) => requestText("GET", path, token)) }
    const pids = { api: api.pid, Postgres: stage.postgresPid }
    const row = await beside(stage.driver, { target, pids }, reference, "200", { rounds: 5, seconds: 1.5 })
    reference.stop()
    const what = `GET ${path}${roomsEach > 0 ? `, ${roomsEach} rooms` : ""} (${reference.bytes.toLocaleString("en")} bytes), ${connections} connections`
    return [{ what, ...row, memory: byProcess({ api: residentMiB(api.pid) }, 0) }]
  })

const me: Bench = (stage) => read(stage, "/user/me", 0)
const list: Bench = (stage) => read(stage, "/chatroom", roomsListed)

const countOf = async (database: pg.Client, statuses: ReadonlyArray<string>): Promise<number> => {
  const { rows } = await database.query<{ count: number }>(
    "select count(*)::int as count from messages where role = 'model' and status = any ($1)",
    [statuses]
  )
  return rows[0]?.count ?? 0
}
const unfinishedStatuses = ["held", "queued", "processing", "waiting"]

/** Accepted messages per second, by the API alone and while a worker answers, and the speed at which a worker takes the backlog. */
const send: Bench = (stage) =>
  onStage(stage, "bench_send", "api", async (api, settings, startWorkerToo) => {
    const tokens = await seedTokens(settings, 200)
    // A room takes four unanswered questions and no worker runs at first, so there is room for 16,000.
    const [sample, ...rooms] = await seedRooms(api.url, tokens, 20)
    const pathOf = (id: string) => `/chatroom/${id}/message`
    const reference = await startReference(api.url + pathOf(sample?.id ?? ""), "POST", sample?.token ?? "", question)
    const target: Target = {
      port: api.port,
      connections,
      requests: rooms.map(({ id, token }) => requestText("POST", pathOf(id), token, question))
    }
    const pids = { api: api.pid, Postgres: stage.postgresPid }
    const accepted = await beside(stage.driver, { target, pids }, reference, "202", { rounds: 5, seconds: 1.2 })
    reference.stop()
    const memory = byProcess({ api: residentMiB(api.pid) }, 0)

    await stage.simulator.reset({ latencyMillis: 0, chunkMillis: 0 })
    const worker = await startWorkerToo()
    const all = { ...pids, worker: worker.pid, simulator: stage.simulatorPid }
    const database = new pg.Client({ connectionString: settings["DATABASE_URL"] })
    await database.connect()
    const backlog = await countOf(database, unfinishedStatuses)
    const drained: Array<number> = []
    const meter = meterCpu({ worker: worker.pid, Postgres: stage.postgresPid, simulator: stage.simulatorPid })
    for (let round = 0; round < 4; round++) {
      const before = await countOf(database, ["completed"])
      const startedAt = performance.now()
      await sleep(2_000)
      drained.push(((await countOf(database, ["completed"])) - before) / ((performance.now() - startedAt) / 1000))
    }
    const drainCores = byProcess(meter(), 2)
    const drainMemory = byProcess({ worker: residentMiB(worker.pid) }, 0)
    const both = await alone(stage.driver, target, all, { rounds: 3, seconds: 1.5 })
    const failed = await countOf(database, ["failed"])
    await database.end()
    return [
      { what: `POST message, accepted, no worker, ${connections} connections`, ...accepted, memory },
      {
        what: `Replies finished from a backlog of ${backlog.toLocaleString("en")}, model 0 ms, one worker`,
        measured: spread(drained, "/s") + (failed > 0 ? `; ${failed} failed` : ""),
        cores: drainCores,
        memory: drainMemory
      },
      {
        what: "POST message, accepted, the worker answering meanwhile",
        ...summary(both, "202", all),
        memory: byProcess({ api: residentMiB(api.pid), worker: residentMiB(worker.pid) }, 0)
      }
    ]
  })

/** From question to finished reply over HTTP; each client asks again when it has its reply. */
const replies: Bench = async (stage) => {
  const rows: Array<Row> = []
  for (const role of ["all", "api"] as const) {
    const measured = await onStage(stage, `bench_replies_${role}`, role, async (api, settings, startWorkerToo) => {
      const worker = role === "api" ? await startWorkerToo() : undefined
      const rooms = await seedRooms(api.url, await seedTokens(settings, 100), 20)
      const target: Target = {
        port: api.port,
        connections: waitingConnections,
        requests: rooms.map(({ id, token }) => requestText("POST", `/chatroom/${id}/message?wait=30`, token, question))
      }
      const processes = { [role]: api.pid, ...(worker === undefined ? {} : { worker: worker.pid }) }
      const pids = { ...processes, Postgres: stage.postgresPid, simulator: stage.simulatorPid }
      const found: Array<Row> = []
      for (const latencyMillis of [0, 300]) {
        await stage.simulator.reset({ latencyMillis, chunkMillis: 0 })
        const windows = await alone(stage.driver, target, pids, { rounds: 3, seconds: 3 })
        const { maxInFlight } = await stage.simulator.stats()
        const cells = summary(windows, "201", pids)
        found.push({
          what: `Replies end to end, model ${latencyMillis} ms, ${worker === undefined ? "`ROLE=all`" : "api + worker"}, ${waitingConnections} clients`,
          ...cells,
          measured: `${cells.measured}; at most ${maxInFlight} in flight`,
          memory: byProcess(Object.fromEntries(Object.entries(processes).map(([name, pid]) => [name, residentMiB(pid)])), 0)
        })
      }
      return found
    })
    rows.push(...measured)
  }
  return rows
}

export const benches: Readonly<Record<string, Bench>> = { start, me, list, send, replies }
