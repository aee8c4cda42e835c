import { execFileSync } from "node:child_process"
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import pg from "pg"
import { startPostgres } from "../dev/EmbeddedPostgres.ts"
import type { Settings, Stats } from "../simulators/gemini/GeminiSimulator.ts"
import { type Driver, startDriver } from "./load.ts"
import { type Running, startNode } from "./process.ts"
import { type RunningRedis, startRedis } from "./redis.ts"
import { median } from "./table.ts"

const jwtKeys = `bench:${Buffer.from("0123456789abcdef0123456789ABCDEF").toString("base64")}`

/** Settings of a product process: those of production, with a quota that is never used up and no bound of running replies. */
export const productSettings = (databaseUrl: string, simulatorUrl: string): Readonly<Record<string, string>> => ({
  APP_ENV: "production",
  APP_URL: "http://localhost",
  HOST: "127.0.0.1",
  PORT: "0",
  DATABASE_URL: databaseUrl,
  JWT_KEYS: jwtKeys,
  OTP_DELIVERY: "none",
  BILLING: "off",
  GEMINI_API_KEY: "simulated",
  GEMINI_BASE_URL: simulatorUrl,
  BASIC_DAILY_PROMPTS: "1000000",
  BASIC_CONCURRENCY: "1000"
})

/** The bundle of these sources, built into the folder beside the one package that is not in it. */
const buildBundle = (folder: string): string => {
  execFileSync(process.execPath, ["scripts/build.ts", join(folder, "dist")])
  mkdirSync(join(folder, "node_modules"))
  symlinkSync(resolve("node_modules/@node-rs"), join(folder, "node_modules/@node-rs"))
  return join(folder, "dist/main.mjs")
}

/** What every benchmark needs: a Postgres that writes to the disk, the Gemini simulator and the load driver. */
export interface Stage {
  readonly driver: Driver
  /** What the product's processes run: the bundle, or the file in BENCH_ENTRY. */
  readonly entry: string
  /** Undefined where `redis-server` is not on PATH. */
  readonly redis: RunningRedis | undefined
  readonly simulatorUrl: string
  readonly postgresPid: number
  readonly simulatorPid: number
  readonly simulator: {
    readonly reset: (settings: Partial<Settings>) => Promise<void>
    readonly stats: () => Promise<Stats>
  }
  /** A new, empty database; returns its URL. */
  readonly createDatabase: (name: string) => Promise<string>
  /** The same, with the tables of the product. */
  readonly productDatabase: (name: string) => Promise<string>
  /** The settings of a product process on a database. */
  readonly settings: (databaseUrl: string) => Readonly<Record<string, string>>
  /** The properties of machine and database that the figures depend on. */
  readonly describe: () => Promise<string>
  /** The statements that took most of Postgres' time, with BENCH_STATEMENTS. */
  readonly statements: () => Promise<ReadonlyArray<string>>
  readonly close: () => Promise<void>
}

const countsStatements = process.env["BENCH_STATEMENTS"] !== undefined

/** Further settings of Postgres, and what receives its log. */
interface StageOptions {
  readonly postgres?: Readonly<Record<string, string>>
  readonly log?: (line: string) => void
}

export const openStage = async ({ log, postgres: more }: StageOptions = {}): Promise<Stage> => {
  const folder = mkdtempSync(join(tmpdir(), "bench-"))
  const postgres = await startPostgres({
    dataDir: join(folder, "data"),
    log,
    settings: { ...(countsStatements ? { shared_preload_libraries: "pg_stat_statements" } : {}), ...more }
  })
  const redis = await startRedis(folder)
  const entry = process.env["BENCH_ENTRY"] ?? buildBundle(folder)
  const simulator = await startNode("simulators/gemini/main.ts", {}, /ready (http\S+)/)
  const driver = startDriver()
  const admin = new pg.Client({ connectionString: postgres.url })
  await admin.connect()
  if (countsStatements) await admin.query("create extension pg_stat_statements")

  const control = async (method: string, route: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${simulator.captured}/__control/${route}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    return response.json()
  }
  const show = async (name: string) => {
    const { rows } = await admin.query<{ value: string }>("select current_setting($1) as value", [name])
    return rows[0]?.value ?? "?"
  }
  const createDatabase = async (name: string, template = "template1") => {
    await admin.query(`create database ${name} template ${template}`)
    const url = new URL(postgres.url)
    url.pathname = `/${name}`
    return url.href
  }
  const settings = (databaseUrl: string) => productSettings(databaseUrl, simulator.captured)
  let migrated: Promise<string> | undefined
  const migrate = async (name: string) => {
    const migrating = await startApi(settings(await createDatabase(name)), "api", entry)
    await migrating.stop()
    return name
  }

  return {
    driver,
    entry,
    redis,
    simulatorUrl: simulator.captured,
    postgresPid: postgres.pid,
    simulatorPid: simulator.pid,
    simulator: {
      reset: async (settings) => {
        await control("POST", "reset")
        await control("PUT", "settings", settings)
      },
      stats: async () => (await control("GET", "stats")) as Stats
    },
    createDatabase,
    productDatabase: async (name) => createDatabase(name, await (migrated ??= migrate("bench_product"))),
    settings,
    describe: async () =>
      `Postgres ${await show("server_version")}, fsync ${await show("fsync")}, synchronous_commit ` +
      `${await show("synchronous_commit")}; ${redis === undefined ? "no redis-server on PATH" : `Redis ${redis.version}, appendfsync everysec`}; one fsync of a file beside it takes ${fsyncMillis(folder).toFixed(2)} ms (median).`,
    statements: async () => {
      if (!countsStatements) return []
      const { rows } = await admin.query<{ line: string }>(
        `select format('%s s, %s × %s ms, %s blocks each: %s %s', round(total_exec_time::numeric / 1000, 1), calls,
           round(mean_exec_time::numeric, 3), (shared_blks_hit + shared_blks_read) / calls, d.datname,
           left(regexp_replace(query, '[[:space:]]+', ' ', 'g'), 150)) as line
         from pg_stat_statements s join pg_database d on d.oid = s.dbid order by total_exec_time desc limit 25`
      )
      return rows.map(({ line }) => line)
    },
    close: async () => {
      driver.stop()
      await Promise.all([admin.end(), simulator.stop(), redis?.stop()])
      await postgres.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Milliseconds that this disk needs to make eight kilobytes durable, which every commit costs. */
const fsyncMillis = (folder: string): number => {
  const file = openSync(join(folder, "fsync"), "w")
  const page = Buffer.alloc(8192)
  const taken = Array.from({ length: 100 }, () => {
    const startedAt = performance.now()
    writeSync(file, page)
    fsyncSync(file)
    return performance.now() - startedAt
  })
  closeSync(file)
  return median(taken)
}

/** A process of the product that serves HTTP. */
export interface Api extends Running {
  readonly port: number
  readonly url: string
}

/** The production entry, run from the sources. */
export const sourceEntry = "src/main.ts"

export const startApi = async (
  settings: Readonly<Record<string, string>>,
  role: "all" | "api",
  entry = sourceEntry
): Promise<Api> => {
  const running = await startNode(entry, { ...settings, ROLE: role }, /ready http:\/\/[^:]+:(\d+)/)
  return { ...running, port: Number(running.captured), url: `http://127.0.0.1:${running.captured}` }
}

export const startWorker = (settings: Readonly<Record<string, string>>, entry = sourceEntry): Promise<Running> =>
  startNode(entry, { ...settings, ROLE: "worker" }, /Working/)
