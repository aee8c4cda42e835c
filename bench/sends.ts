import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { v7 as uuid } from "uuid"
import { byProcess, median, number } from "./table.ts"
import { compare, contest, type Contender, type Effort, type Line, quotients } from "./contest.ts"
import { requestText, type Target } from "./load.ts"
import { calm, meterCpu, residentMiB, type Running } from "./process.ts"
import { type Room, seedTokens } from "./seed.ts"
import { type Stage, startApi, startWorker } from "./stage.ts"
import { claimsOf, startUsualStack } from "./usualStack.ts"

const connections = 64
/** Its reply has about 200 characters, in nine chunks. */
const question = { content: "Name three rivers of India. [[length 200]]" }

/** Rooms of the users of these tokens, made by SQL in both databases, so that neighbours have different owners. */
export const insertRooms = async (
  databaseUrls: ReadonlyArray<string>,
  tokens: ReadonlyArray<string>,
  roomsEach: number
): Promise<ReadonlyArray<Room>> => {
  const rooms = Array.from({ length: roomsEach }, () => tokens.map((token) => ({ id: uuid(), token }))).flat()
  for (const connectionString of databaseUrls) {
    const database = new pg.Client({ connectionString })
    await database.connect()
    await database.query(
      "insert into chatrooms (id, user_id, title) select r.id, r.owner, 'Room' from unnest($1::uuid[], $2::uuid[]) as r (id, owner)",
      [rooms.map(({ id }) => id), rooms.map(({ token }) => claimsOf(token).sub)]
    )
    await database.query("analyze chatrooms")
    await database.end()
  }
  return rooms
}

/** One question for each room, each with its own idempotency key. */
const questionsTo = (rooms: ReadonlyArray<Room>): ReadonlyArray<string> =>
  rooms.map(({ id, token }) => requestText("POST", `/chatroom/${id}/message`, token, question, `idempotency-key: ${uuid()}\r\n`))

interface Side {
  readonly name: "product" | "usual"
  readonly port: number
  readonly databaseUrl: string
  readonly pids: Readonly<Record<string, number>>
  readonly startWorker: (concurrency: number) => Promise<Running>
}

interface World {
  readonly sides: ReadonlyArray<Side>
  readonly rooms: ReadonlyArray<Room>
}

const withWorld = async <A>(stage: Stage, name: string, users: number, roomsEach: number, run: (world: World) => Promise<A>) => {
  const databaseUrl = await stage.createDatabase(name)
  const settings = stage.settings(databaseUrl)
  const api = await startApi(settings, "api", stage.entry)
  const usual = await startUsualStack(stage, `${name}_usual`)
  const workers: Array<Running> = []
  const product: Side = {
    name: "product",
    port: api.port,
    databaseUrl,
    pids: { api: api.pid, Postgres: stage.postgresPid },
    startWorker: async (concurrency) => {
      const worker = await startWorker({ ...settings, WORKER_CONCURRENCY: String(concurrency) }, stage.entry)
      workers.push(worker)
      return worker
    }
  }
  const sides: ReadonlyArray<Side> =
    usual === undefined
      ? [product]
      : [
          product,
          {
            name: "usual",
            port: usual.server.port,
            databaseUrl: usual.databaseUrl,
            pids: { Fastify: usual.server.pid, Redis: usual.redisPid, Postgres: stage.postgresPid },
            startWorker: usual.startWorker
          }
        ]
  try {
    const tokens = await seedTokens(settings, users)
    await usual?.logIn(tokens)
    const rooms = await insertRooms(
      sides.map((side) => side.databaseUrl),
      tokens,
      roomsEach
    )
    return await run({ sides, rooms })
  } finally {
    await Promise.all([api, ...workers, usual].map((running) => running?.stop()))
  }
}

const countReplies = async (databaseUrl: string): Promise<number> => {
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  const { rows } = await database.query<{ count: number }>("select count(*)::int as count from messages where role = 'model'")
  await database.end()
  return rows[0]?.count ?? 0
}

/** Questions accepted while no worker runs: each is the only one of its room and has its own key. */
export const accepted = (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const seconds = effort.warmUp + effort.rounds * effort.seconds
  const users = Math.min(1_000, Math.ceil(seconds * 200))
  const roomsEach = Math.ceil((seconds * maximumRate) / users)
  return withWorld(stage, "bench_send", users, roomsEach, async ({ rooms, sides }) => {
    const requests = questionsTo(rooms)
    const contenders = sides.map(({ name, pids, port }): Contender => ({ name, pids, target: { port, connections, requests } }))
    const [product, usual] = await contest(stage.driver.run, contenders, effort)
    if (product === undefined) throw new Error("the product was not measured")
    const line = compare("POST message, accepted", "202", product, usual, "Fastify + pg + BullMQ")
    const stored = await Promise.all(sides.map(({ databaseUrl }) => countReplies(databaseUrl)))
    const missing = [product, usual].flatMap((result, index) => {
      const answered = result?.windows.reduce((sum, { statuses }) => sum + (statuses["202"] ?? 0), 0) ?? 0
      return (stored[index] ?? 0) < answered ? [`${result?.name ?? ""}: ${answered} accepted, ${stored[index] ?? 0} stored`] : []
    })
    return [{ ...line, faults: [...line.faults, ...missing] }]
  })
}

/** More than either accepts in a second, so that no question is sent twice. */
const maximumRate = 6_000

interface Drain {
  readonly perSecond: number
  readonly cores: Readonly<Record<string, number>>
  readonly failed: number
}

/** Questions are accepted while the worker is stopped; then it goes on, until all their replies are finished. */
const drain = async (
  stage: Stage,
  side: Side,
  worker: Running,
  requests: ReadonlyArray<string>,
  count: number
): Promise<Drain> => {
  const database = new pg.Client({ connectionString: side.databaseUrl })
  await database.connect()
  process.kill(worker.pid, "SIGSTOP")
  const target: Target = { port: side.port, connections, requests, most: count }
  await stage.driver.run(target, 60, {})
  const meter = meterCpu({ worker: worker.pid, ...side.pids, simulator: stage.simulatorPid })
  const from = Date.now()
  process.kill(worker.pid, "SIGCONT")
  for (;;) {
    await sleep(100)
    const { rows } = await database.query("select from messages where completed_at is null limit 1")
    if (rows.length === 0) break
  }
  const cores = meter()
  const { rows } = await database.query<{ last: Date; done: number; failed: number }>(
    `select max(completed_at) as last, count(*)::int as done, (count(*) filter (where status <> 'completed'))::int as failed
     from messages where role = 'model' and completed_at >= $1`,
    [new Date(from)]
  )
  await database.end()
  const [{ done, failed, last } = { done: 0, failed: 0, last: new Date(from) }] = rows
  return { perSecond: done / ((last.getTime() - from) / 1000), cores, failed: failed + Math.max(0, count - done) }
}

const drainCells = (drains: ReadonlyArray<Drain>) => {
  const names = Object.keys(drains[0]?.cores ?? {}).filter((name) => name !== "idle")
  const each = (name: string) => median(drains.map(({ cores, perSecond }) => ((cores[name] ?? Number.NaN) / perSecond) * 1e6))
  return {
    rate: `${number(median(drains.map(({ perSecond }) => perSecond)))}/s`,
    cost: byProcess(Object.fromEntries(names.map((name) => [name, each(name)])), 0)
  }
}

const workerConcurrency = 100

/** Replies finished from a backlog, with a model that answers at once. */
export const finished = (stage: Stage, effort: Effort): Promise<ReadonlyArray<Line>> => {
  const backlog = effort.rounds === 1 ? 100 : 1_500
  const users = Math.ceil(backlog / 10)
  return withWorld(stage, "bench_finish", users, 10 * (effort.rounds + 2), async ({ rooms, sides }) => {
    await stage.simulator.reset({ latencyMillis: 0, chunkMillis: 0 })
    const requests = questionsTo(rooms)
    const workers = await Promise.all(sides.map((side) => side.startWorker(workerConcurrency)))
    const drains = sides.map((): Array<Drain> => [])
    for (let round = -2; round < effort.rounds; round++) {
      if (effort.isPatient) await calm()
      for (const [index, side] of sides.entries()) {
        const worker = workers[index]
        if (worker === undefined) continue
        const one = await drain(stage, side, worker, requests, backlog)
        if (round >= 0) drains[index]?.push(one) // the others are warm-up of the just-in-time compiler
      }
    }
    const memory = workers.map(({ pid }) => byProcess({ worker: residentMiB(pid) }, 0))
    const [ours = [], theirs] = drains
    const product = drainCells(ours)
    const line = {
      path: `Accepted → finished, model at 0 ms, ${number(backlog)} waiting`,
      against: `BullMQ's worker, both ${workerConcurrency} at a time`,
      product: product.rate,
      productCost: product.cost,
      productMemory: memory[0] ?? "–",
      faults: drains.flatMap((one, index) =>
        one.flatMap(({ failed }) => (failed > 0 ? [`${sides[index]?.name ?? ""}: ${failed} not completed`] : []))
      )
    }
    if (theirs === undefined) return [{ ...line, reference: "no Redis here" }]
    const reference = drainCells(theirs)
    return [
      {
        ...line,
        ratio: quotients(ours.map(({ perSecond }, round) => perSecond / (theirs[round]?.perSecond ?? Number.NaN))),
        reference: reference.rate,
        referenceCost: reference.cost,
        referenceMemory: memory[1] ?? "–"
      }
    ]
  })
}
