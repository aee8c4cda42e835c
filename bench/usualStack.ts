import pg from "pg"
import { Redis } from "ioredis"
import { type Running, startNode } from "./process.ts"
import { schema } from "./references/database.ts"
import type { StoredSession } from "./references/server.ts"
import type { Stage } from "./stage.ts"

/** The user and the session of an access token. */
export const claimsOf = (token: string): { readonly sub: string; readonly sid: string } =>
  JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())

export interface UsualStack {
  readonly server: Running & { readonly port: number }
  readonly redisPid: number
  readonly databaseUrl: string
  /** Makes the sessions of these tokens known. */
  readonly logIn: (tokens: ReadonlyArray<string>) => Promise<void>
  /** Puts a list of rooms into Redis, as its first read would. */
  readonly keepList: (token: string, list: string) => Promise<void>
  readonly startWorker: (concurrency: number) => Promise<Running>
  readonly stop: () => Promise<void>
}

const session: StoredSession = {
  mobile: "+919800000000",
  name: null,
  email: null,
  tier: "basic",
  hasPassword: false,
  createdAt: new Date().toISOString()
}

/** Fastify with Redis and a database of its own; undefined without Redis. It accepts the product's access tokens. */
export const startUsualStack = async (stage: Stage, name: string): Promise<UsualStack | undefined> => {
  if (stage.redis === undefined) return undefined
  const databaseUrl = await stage.createDatabase(name)
  const database = new pg.Client({ connectionString: databaseUrl })
  await database.connect()
  await database.query(schema)
  await database.end()
  const redis = new Redis(stage.redis.url)
  await redis.flushall()
  const settings = stage.settings(databaseUrl)
  const [, secret = ""] = (settings["JWT_KEYS"] ?? "").split(":")
  const env = {
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: "16", // as many as the product's requests have: 12, and 4 for reads
    REDIS_URL: stage.redis.url,
    JWT_SECRET: secret,
    DAILY_PROMPTS: settings["BASIC_DAILY_PROMPTS"] ?? ""
  }
  const server = await startNode("bench/references/server.ts", env, /ready http:\/\/[^:]+:(\d+)/)
  const workers: Array<Running> = []
  return {
    server: { ...server, port: Number(server.captured) },
    redisPid: stage.redis.pid,
    databaseUrl,
    logIn: async (tokens) => {
      const kept = JSON.stringify(session)
      await redis.mset(tokens.flatMap((token) => [`session:${claimsOf(token).sid}`, kept]))
    },
    keepList: async (token, list) => void (await redis.set(`rooms:${claimsOf(token).sub}`, list)),
    startWorker: async (concurrency) => {
      const worker = await startNode(
        "bench/references/worker.ts",
        {
          ...env,
          GEMINI_BASE_URL: stage.simulatorUrl,
          MODEL: "gemini-3.8-flash",
          WORKER_CONCURRENCY: String(concurrency)
        },
        /Working/
      )
      workers.push(worker)
      return worker
    },
    stop: async () => {
      redis.disconnect()
      await Promise.all([server, ...workers].map((running) => running.stop()))
    }
  }
}
