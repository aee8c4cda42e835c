import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { createConnection, createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest"
import { type EmbeddedPostgres, type StartOptions, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { PostgresAlreadyRunning } from "../../dev/postgres/PidFile.ts"

const root = resolve(import.meta.dirname, "../..")
const postgres15 = "/usr/lib/postgresql/15/bin"
const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
const isRoot = process.getuid?.() === 0
const linux = process.platform === "linux"

// Long enough for a busy machine.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

let directory: string
let dataDir: string
const toStop: Array<EmbeddedPostgres> = []
const toKill: Array<ChildProcess> = []

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "embedded-postgres-test-"))
  dataDir = join(directory, "pg")
  vi.stubEnv("EMBEDDED_POSTGRES_BIN", "")
})

afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(toStop.splice(0).map((server) => server.stop()))
  for (const child of toKill.splice(0)) child.kill("SIGKILL")
  fs.rmSync(directory, { recursive: true, force: true, maxRetries: 20 })
})

const start = async (options: StartOptions) => {
  const server = await startPostgres(options)
  toStop.push(server)
  return server
}

const query = async (url: string, sql: string): Promise<Array<Record<string, unknown>>> => {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows
  } finally {
    await client.end()
  }
}

const isOpen = (port: number) =>
  new Promise<boolean>((answer) => {
    const socket = createConnection(port, "127.0.0.1")
      .once("error", () => answer(false))
      .once("connect", () => {
        socket.destroy()
        answer(true)
      })
  })

/** Milliseconds until the condition holds. */
const timeUntil = async (condition: () => boolean | Promise<boolean>) => {
  const from = performance.now()
  while (!(await condition())) {
    if (performance.now() - from > 8_000) throw new Error("waited for too long")
    await sleep(20)
  }
  return performance.now() - from
}

const siblings = () => fs.readdirSync(directory).filter((name) => name !== "pg" && name !== "bin")

/** A `bin` folder whose initdb starts to write `$made` and then runs `then`. */
const fakeInitdb = (then: string) => {
  const binDir = join(directory, "bin")
  fs.mkdirSync(binDir)
  const script = `#!/bin/sh
    if [ "$1" = --version ]; then echo "initdb (PostgreSQL) 18.4"; exit; fi
    made=\${1#--pgdata=}; mkdir "$made"; echo 18 > "$made/PG_VERSION"; ${then}`
  fs.writeFileSync(join(binDir, "initdb"), script, { mode: 0o755 })
  return binDir
}

/** An app in its own process group: starts Postgres, prints its address, and drains on Ctrl-C before it stops it. */
const appSource = `
import pg from "pg"
import { startPostgres } from ${JSON.stringify(join(root, "dev/EmbeddedPostgres.ts"))}
const server = await startPostgres(JSON.parse(process.argv[1]))
process.on("SIGINT", async () => {
  await new Promise((done) => setTimeout(done, 600))
  const client = new pg.Client(server.url)
  await client.connect()
  await client.query("insert into kept values ('drained')")
  await client.end()
  await server.stop()
  console.log("stopped")
  process.exit()
})
const { url, port, pid, dataDir } = server
console.log(JSON.stringify({ url, port, pid, dataDir, uid: process.getuid() }))
`

type Running = Pick<EmbeddedPostgres, "url" | "port" | "pid" | "dataDir"> & { readonly uid: number }

const spawnApp = (options: StartOptions, { prefix = [], path = "" }: { prefix?: Array<string>; path?: string } = {}) => {
  const [command = "", ...args] = [...prefix, process.execPath, "--input-type=module", "-e", appSource, JSON.stringify(options)]
  const child = spawn(command, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, NODE_OPTIONS: "", PATH: `${path}:${process.env["PATH"]}` }
  })
  toKill.push(child)
  return child
}

const startApp = async (...args: Parameters<typeof spawnApp>): Promise<[app: ChildProcess, running: Running]> => {
  const app = spawnApp(...args)
  const [line] = await Promise.race([
    once(createInterface({ input: app.stdout! }), "line"),
    once(app, "exit").then(() => Promise.reject(new Error("the app ended")))
  ])
  return [app, JSON.parse(line)]
}

const kill9 = async (app: ChildProcess) => {
  app.kill("SIGKILL")
  await once(app, "exit")
}

/** Whether a process has the name in its working directory or command line. */
const isProcessIn = (name: string) =>
  fs.readdirSync("/proc").some((pid) => {
    try {
      return (
        /^\d+$/.test(pid) &&
        [fs.readFileSync(`/proc/${pid}/cmdline`, "utf8"), fs.readlinkSync(`/proc/${pid}/cwd`)].join().includes(name)
      )
    } catch {
      return false // the process ended meanwhile
    }
  })

const uidOf = (pid: number) => fs.statSync(`/proc/${pid}`).uid

/** A cluster to copy: ten times as fast as initdb. */
const template = fs.mkdtempSync(join(tmpdir(), "embedded-postgres-test-"))

const copyCluster = () => fs.cpSync(join(template, "data"), dataDir, { recursive: true })

/** How long a stop takes when the server does not react; started first, because it takes ten seconds. */
let stubbornStop: Promise<{ server: EmbeddedPostgres; milliseconds: number }>

beforeAll(async () => {
  await (await startPostgres({ dataDir: join(template, "data") })).stop()
  const server = await startPostgres({ ephemeral: true })
  process.kill(server.pid, "SIGSTOP")
  const from = performance.now()
  stubbornStop = server.stop().then(() => ({ server, milliseconds: performance.now() - from }))
})

afterAll(async () => {
  fs.rmSync(template, { recursive: true })
  await stubbornStop
})

describe("a persistent cluster", () => {
  test("starts, answers, and keeps its data over a restart", async () => {
    const first = await start({ dataDir })
    expect(await query(first.url, "select version()")).toMatchObject([{ version: expect.stringMatching(/^PostgreSQL 18/) }])
    await query(first.url, "create table kept as select 'Ä' as word")
    process.kill(first.pid, 0)
    await first.stop()
    await first.exited
    expect(await isOpen(first.port)).toBe(false)
    expect(() => process.kill(first.pid, 0)).toThrow("ESRCH")

    const second = await start({ dataDir })
    expect(await query(second.url, "select lower(word) from kept")).toEqual([{ lower: "ä" }])
    expect(siblings()).toEqual([])
  })

  test("is durable, listens on loopback only, and requires its password", async () => {
    copyCluster()
    const { dataDir: at, url, port } = await start({ dataDir, settings: { work_mem: "7MB" } })
    expect(at).toBe(dataDir)
    const names = ["fsync", "full_page_writes", "synchronous_commit", "listen_addresses", "unix_socket_directories", "work_mem"]
    const settings = await query(url, names.map((name) => `select current_setting('${name}') as value`).join(" union all "))
    expect(settings.map(({ value }) => value)).toEqual(["on", "on", "on", "127.0.0.1", "", "7MB"])
    expect(fs.statSync(join(dataDir, "password")).mode & 0o777).toBe(0o600)
    expect(new URL(url).password).toHaveLength(24)
    await expect(query(`postgres://postgres:wrong@127.0.0.1:${port}/postgres`, "select 1")).rejects.toThrow(
      "password authentication failed"
    )
  })

  test("uses the given port, and reports why it cannot", async () => {
    copyCluster()
    const taken = createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const address = taken.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    await expect(start({ dataDir, port })).rejects.toThrow(/did not start on .*Address already in use/s)
    await new Promise((closed) => taken.close(closed))
    expect(await start({ dataDir, port })).toMatchObject({ port })
  })

  test("refuses a second start with PostgresAlreadyRunning", async () => {
    copyCluster()
    const { pid, port, url } = await start({ dataDir })
    const refused = await start({ dataDir }).catch((error: unknown) => error)
    expect(refused).toBeInstanceOf(PostgresAlreadyRunning)
    expect(String(refused)).toBe(`PostgresAlreadyRunning: Postgres is already running on ${dataDir} (pid ${pid}, port ${port})`)
    expect(await query(url, "select 1 as one")).toEqual([{ one: 1 }])
  })

  test("lets one of two parallel starts on a new directory win", async () => {
    const both = await Promise.allSettled([start({ dataDir }), start({ dataDir })])
    const [winner] = both.filter((outcome) => outcome.status === "fulfilled")
    expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"])
    expect(both.find((outcome) => outcome.status === "rejected")?.reason).toBeInstanceOf(PostgresAlreadyRunning)
    expect(await query(winner!.value.url, "select 1 as one")).toEqual([{ one: 1 }])
    expect(siblings()).toEqual([])
  })

  test("resolves `exited` when the server crashes, and recovers", async () => {
    copyCluster()
    const server = await start({ dataDir })
    await query(server.url, "create table kept (word text)")
    process.kill(server.pid, "SIGKILL")
    await server.exited
    await server.stop()
    expect(fs.existsSync(join(dataDir, "postmaster.pid"))).toBe(true)
    expect(await query((await start({ dataDir })).url, "select * from kept")).toEqual([])
  })

  test("ignores a pid file whose pid belongs to another program", async () => {
    copyCluster()
    await (await start({ dataDir })).stop()
    const stranger = spawn("sleep", ["60"])
    toKill.push(stranger)
    fs.writeFileSync(join(dataDir, "postmaster.pid"), `${stranger.pid}\n${dataDir}\n0\n1\n\n127.0.0.1\n\nready   \n`)
    expect(await query((await start({ dataDir })).url, "select 1 as one")).toEqual([{ one: 1 }])
  })
})

describe("an initialisation that fails", () => {
  test("leaves nothing behind", async () => {
    const binDir = fakeInitdb(`echo "disk full" >&2; exit 1`)
    await expect(start({ dataDir, binDir })).rejects.toThrow(/initdb failed for .*disk full/s)
    expect(siblings()).toEqual([])
  })

  test("does not prevent the next start when it was killed, and is removed when old", async () => {
    // It never ends, so the kill is never too late; like the real one, it ignores INT.
    const binDir = fakeInitdb(`trap "" INT; mkdir "$made/base"; cd "$made/base"; exec sleep 600`)
    const app = spawnApp({ dataDir, binDir })
    await timeUntil(() => siblings().some((name) => fs.existsSync(join(directory, name, "data/base"))))
    await kill9(app)
    const half = siblings()
    expect(half).toHaveLength(1)
    if (linux) await timeUntil(() => !isProcessIn(half[0]!))
    expect(fs.existsSync(dataDir)).toBe(false)
    const server = await start({ dataDir })
    expect(siblings()).toEqual(half)
    await server.stop()

    fs.rmSync(dataDir, { recursive: true })
    fs.utimesSync(join(directory, half[0]!), 0, 0)
    await start({ dataDir })
    expect(siblings()).toEqual([])
  })
})

describe.skipIf(process.platform === "win32")("the life line", () => {
  test("ends Postgres when its app is killed, keeping what was committed", async () => {
    copyCluster()
    const [app, running] = await startApp({ dataDir })
    const client = new pg.Client(running.url)
    client.on("error", () => {})
    await client.connect()
    await client.query("create table kept as select generate_series(1, 200000) as number")
    await kill9(app)
    expect(await timeUntil(async () => !(await isOpen(running.port)))).toBeLessThan(5_000)
    expect(await query((await start({ dataDir })).url, "select count(*)::int from kept")).toEqual([{ count: 200_000 }])
  })

  test("ends a Postgres that does not answer", async () => {
    copyCluster()
    const [app, running] = await startApp({ dataDir })
    process.kill(running.pid, "SIGSTOP")
    await kill9(app)
    expect(await timeUntil(async () => !(await isOpen(running.port)))).toBeLessThan(5_000)
  })

  test("does not prevent an immediate next start", async () => {
    copyCluster()
    const [app] = await startApp({ dataDir })
    await kill9(app)
    expect(await query((await start({ dataDir })).url, "select 1 as one")).toEqual([{ one: 1 }])
  })

  test("removes an ephemeral directory", async () => {
    const [app, running] = await startApp({ ephemeral: true })
    expect(fs.existsSync(running.dataDir)).toBe(true)
    await kill9(app)
    expect(await timeUntil(() => !fs.existsSync(dirname(running.dataDir)))).toBeLessThan(5_000)
  })

  test("is not caused by Ctrl-C, which reaches the app only", async () => {
    copyCluster()
    const [app, running] = await startApp({ dataDir })
    await query(running.url, "create table kept (word text)")
    const ended = once(app, "exit")
    process.kill(-app.pid!, "SIGINT")
    expect(await ended).toEqual([0, null])
    expect(await isOpen(running.port)).toBe(false)
    expect(await query((await start({ dataDir })).url, "select * from kept")).toEqual([{ word: "drained" }])
  })
})

describe("an ephemeral cluster", () => {
  test("trades durability for speed and is deleted by stop", async () => {
    const lines: Array<string> = []
    const server = await start({ ephemeral: true, log: (line) => lines.push(line) })
    const names = ["fsync", "full_page_writes", "synchronous_commit", "max_connections"]
    const settings = await query(
      server.url,
      names.map((name) => `select current_setting('${name}') as value`).join(" union all ")
    )
    expect(settings.map(({ value }) => value)).toEqual(["off", "off", "off", "200"])
    expect(lines).toContainEqual(expect.stringMatching(/LOG: {2}database system is ready to accept connections$/))
    expect(dirname(dirname(server.dataDir))).toBe(tmpdir())
    await server.stop()
    expect(lines).toContainEqual(expect.stringContaining("received fast shutdown request"))
    expect(lines.at(-1)).toContain("database system is shut down")
    expect(fs.existsSync(dirname(server.dataDir))).toBe(false)
    await server.stop()
  })

  test("is deleted after a failed start", async () => {
    vi.stubEnv("TMPDIR", directory)
    const failing = start({ ephemeral: true, settings: { no_such: "1" } })
    expect(fs.readdirSync(directory)).toHaveLength(1)
    await expect(failing).rejects.toThrow(/unrecognized configuration parameter "no_such"/)
    await expect(start({ ephemeral: true, binDir: "/nowhere" })).rejects.toThrow("ENOENT")
    expect(fs.readdirSync(directory)).toEqual([])
  })

  test("is deleted when the server had to be killed", async () => {
    const { milliseconds, server } = await stubbornStop
    expect(milliseconds).toBeGreaterThan(9_900)
    expect(milliseconds).toBeLessThan(13_000)
    expect(await isOpen(server.port)).toBe(false)
    expect(fs.existsSync(dirname(server.dataDir))).toBe(false)
  })

  test("cannot be combined with a data directory", async () => {
    await expect(start({ ephemeral: true, dataDir })).rejects.toThrow("either dataDir or ephemeral")
    await expect(start({})).rejects.toThrow("either dataDir or ephemeral")
  })
})

describe("the user that Postgres runs as", () => {
  test.skipIf(!isRoot || !linux)("is root in a user namespace, even below a private directory", async () => {
    fs.chmodSync(directory, 0o700)
    const { pid } = await start({ dataDir })
    expect(uidOf(pid)).toBe(0)
    expect(fs.readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(fs.readlinkSync("/proc/self/ns/user"))
  })

  test.skipIf(!isRoot || !linux)("is an existing user without namespaces, who stays the owner", async () => {
    fs.chmodSync(directory, 0o755)
    const path = join(directory, "bin")
    fs.mkdirSync(path)
    fs.writeFileSync(join(path, "unshare"), "#!/bin/sh\nexit 1", { mode: 0o755 })
    const [app, running] = await startApp({ dataDir }, { path })
    expect(await query(running.url, "select 1 as one")).toEqual([{ one: 1 }])
    expect(running.uid).toBe(0)
    expect(uidOf(running.pid)).not.toBe(0)
    expect(fs.statSync(dataDir).uid).toBe(uidOf(running.pid))
    await kill9(app)
    expect(await timeUntil(async () => !(await isOpen(running.port)))).toBeLessThan(5_000)
    expect(uidOf((await start({ dataDir })).pid)).toBe(fs.statSync(dataDir).uid)

    const [temporary, { dataDir: gone }] = await startApp({ ephemeral: true }, { path })
    await kill9(temporary)
    await timeUntil(() => !fs.existsSync(dirname(gone)))
  })

  // Only root can start it as another user.
  test.skipIf(!isRoot || !linux)("is the caller if that is not root", async () => {
    fs.chmodSync(directory, 0o755)
    fs.mkdirSync(dataDir)
    fs.chownSync(dataDir, 65534, 65534)
    const own = join(dataDir, "below")
    const [app, running] = await startApp({ dataDir: own }, { prefix: asNobody })
    expect(await query(running.url, "create table kept (word text)")).toEqual([])
    expect(running.uid).toBe(65534)
    expect(uidOf(running.pid)).toBe(65534)
    app.kill("SIGINT")
    expect(await once(app, "exit")).toEqual([0, null])
    const [again, { url }] = await startApp({ dataDir: own }, { prefix: asNobody })
    expect(await query(url, "select * from kept")).toEqual([{ word: "drained" }])
    again.kill("SIGINT")
    await once(again, "exit")
  })
})

describe("the binaries", () => {
  test.skipIf(!fs.existsSync(postgres15))("can be those of another installation, such as Postgres 15", async () => {
    const server = await start({ dataDir, binDir: postgres15 })
    expect(await query(server.url, "select lower('Ä'), current_setting('server_version_num')::int / 10000 as major")).toEqual([
      { lower: "ä", major: 15 }
    ])
    await server.stop()
    await expect(start({ dataDir })).rejects.toThrow(/initialized by PostgreSQL version 15/)
    vi.stubEnv("EMBEDDED_POSTGRES_BIN", postgres15)
    await start({ dataDir })
  })

  test("are reported missing on an unsupported platform", async () => {
    const { arch } = process
    Object.defineProperty(process, "arch", { value: "mips" })
    try {
      await expect(start({ ephemeral: true })).rejects.toThrow(/^No embedded Postgres is installed for .*-mips: set DATABASE_URL/)
    } finally {
      Object.defineProperty(process, "arch", { value: arch })
    }
  })
})
