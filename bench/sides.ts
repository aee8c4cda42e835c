import pg from "pg"
import { v7 as uuid } from "uuid"
import { requestText } from "./load.ts"
import type { Running } from "./process.ts"
import { type Room, seedTokens } from "./seed.ts"
import { type Stage, startApi, startWorker } from "./stage.ts"
import { claimsOf, startUsualStack } from "./usualStack.ts"

/** Keep-alive connections of a load that does not wait for replies. */
export const connections = 64
/** Its reply has about 200 characters, in nine chunks. */
export const question = { content: "Name three rivers of India. [[length 200]]" }

/** Rooms of the users of these tokens, made by SQL in both databases, so that neighbours have different owners. */
const insertRooms = async (
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
    await database.query("analyze")
    await database.end()
  }
  return rooms
}

/** New statistics, because the plans of an empty table are kept for as long as autovacuum takes to look at it: a minute. */
export const analyze = async (sides: ReadonlyArray<Side>): Promise<void> => {
  for (const { databaseUrl } of sides) {
    const database = new pg.Client({ connectionString: databaseUrl })
    await database.connect()
    await database.query("analyze")
    await database.end()
  }
}

/** One question for each room, each with its own idempotency key. */
export const questionsTo = (rooms: ReadonlyArray<Room>): ReadonlyArray<string> =>
  rooms.map(({ id, token }) => requestText("POST", `/chatroom/${id}/message`, token, question, `idempotency-key: ${uuid()}\r\n`))

/** The product, or the usual stack, with a database of its own. */
export interface Side {
  readonly name: "product" | "usual"
  readonly port: number
  readonly databaseUrl: string
  readonly pids: Readonly<Record<string, number>>
  readonly startWorker: (concurrency: number) => Promise<Running>
}

export interface World {
  readonly sides: ReadonlyArray<Side>
  readonly rooms: ReadonlyArray<Room>
}

/** The product and, with Redis, the usual stack, which know the same users and rooms. */
export const withSides = async <A>(
  stage: Stage,
  name: string,
  users: number,
  roomsEach: number,
  run: (world: World) => Promise<A>
) => {
  const databaseUrl = await stage.productDatabase(name)
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
