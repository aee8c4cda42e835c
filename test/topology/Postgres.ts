import { execFileSync } from "node:child_process"
import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { packagedBinDir } from "../../dev/postgres/Binaries.ts"
import { initialise } from "../../dev/postgres/Cluster.ts"
import { type Identity, unprivileged } from "../../dev/postgres/Identity.ts"
import { readPidFile } from "../../dev/postgres/PidFile.ts"
import { signal, supervise, type Supervised } from "../../dev/postgres/Supervisor.ts"
import type { Host } from "../chaos/SupervisedProcess.ts"

const settings = {
  listen_addresses: "*",
  unix_socket_directories: "",
  max_connections: "300",
  shared_buffers: "64MB",
  max_wal_size: "160MB",
  min_wal_size: "32MB",
  wal_keep_size: "96MB",
  tcp_keepalives_idle: "3",
  tcp_keepalives_interval: "1",
  tcp_keepalives_count: "3",
  tcp_user_timeout: "5000",
  wal_sender_timeout: "5s",
  wal_receiver_timeout: "5s",
  wal_retrieve_retry_interval: "500ms"
}

/** Runs as the identity on a host: changing the ids is left to a command, because entering the host needs root. */
const inside = ({ prefix }: Host, { ids, prefix: own }: Identity): Identity => {
  const change = ids === undefined ? [] : ["setpriv", `--reuid=${ids.uid}`, `--regid=${ids.gid}`, "--clear-groups"]
  return { prefix: [...prefix, ...change, ...own] }
}

export interface PostgresOptions {
  readonly host: Host
  readonly folder: string
  readonly port: number
}

/** A Postgres on a host, which can be a standby of another one. */
export class Postgres {
  readonly host: Host
  readonly dataDir: string
  private readonly port: number
  private readonly binDir = process.env["EMBEDDED_POSTGRES_BIN"] || packagedBinDir()
  private server: Supervised | undefined
  private extra: Readonly<Record<string, string>> = {}

  constructor({ folder, host, port }: PostgresOptions) {
    this.host = host
    this.port = port
    this.dataDir = join(folder, "data")
  }

  /** The URL of this server, at its host or at another address that leads to it. */
  urlAt(address = this.host.address): string {
    const password = readFileSync(join(this.dataDir, "password"), "utf8")
    return `postgres://postgres:${password}@${address}:${this.port}/postgres`
  }

  /** Makes an empty cluster that takes connections from all hosts. */
  async initialise(): Promise<void> {
    await initialise(this.dataDir, this.binDir, unprivileged(this.dataDir), false)
    const all = (database: string) => `host ${database} all samenet scram-sha-256\n`
    appendFileSync(join(this.dataDir, "pg_hba.conf"), all("all") + all("replication"))
  }

  async start(extra: Readonly<Record<string, string>> = this.extra): Promise<void> {
    this.extra = extra
    rmSync(join(this.dataDir, "postmaster.pid"), { force: true })
    const all = Object.entries({ ...settings, ...extra }).flatMap(([name, value]) => ["-c", `${name}=${value}`])
    const identity = inside(this.host, unprivileged(this.dataDir))
    const server = supervise(join(this.binDir, "postgres"), ["-D", this.dataDir, "-p", `${this.port}`, ...all], identity)
    this.server = server
    for (const deadline = Date.now() + 60_000; ; await sleep(20)) {
      const file = readPidFile(this.dataDir)
      if (file?.pid === server.pid() && file.status === "ready") return
      if (server.ended() || Date.now() > deadline) throw new Error(`Postgres did not start:\n${server.tail()}`)
    }
  }

  get isRunning(): boolean {
    return this.server?.ended() === false
  }

  /** Stops it as an operator does, or kills it with all its processes. */
  async stop(how: "SIGINT" | "SIGKILL"): Promise<void> {
    const { server } = this
    if (server === undefined || server.ended()) return
    signal(server.pid(), how)
    await server.exited
  }

  /** The newest lines of its log. */
  log(): string {
    return this.server?.tail() ?? ""
  }

  /** Makes this server a copy of another one that follows it: an online backup by Postgres' own functions. */
  async follow(primary: Postgres): Promise<void> {
    const client = new pg.Client({ connectionString: primary.urlAt() })
    await client.connect()
    try {
      await client.query("select pg_backup_start('topology', true)")
      rmSync(this.dataDir, { recursive: true, force: true })
      mkdirSync(dirname(this.dataDir), { recursive: true })
      try {
        execFileSync("cp", ["-a", primary.dataDir, this.dataDir], { stdio: "pipe" })
      } catch {
        // A file that was deleted meanwhile: the log that is replayed says so, too.
      }
      const { rows } = await client.query<{ labelfile: string }>("select labelfile from pg_backup_stop(false)")
      writeFileSync(join(this.dataDir, "backup_label"), rows[0]?.labelfile ?? "")
    } finally {
      await client.end()
    }
    for (const file of ["postmaster.pid", "postmaster.opts"]) rmSync(join(this.dataDir, file), { force: true })
    const log = join(this.dataDir, "pg_wal")
    for (const file of readdirSync(log)) if (/^[0-9A-F]{24}/.test(file)) rmSync(join(log, file))
    writeFileSync(join(this.dataDir, "postgresql.auto.conf"), "")
    writeFileSync(join(this.dataDir, "standby.signal"), "")
    const { hostname, password, port, username } = new URL(primary.urlAt())
    await this.start({ primary_conninfo: `host=${hostname} port=${port} user=${username} password=${password}` })
  }
}
