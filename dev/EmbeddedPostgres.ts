import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { packagedBinDir } from "./postgres/Binaries.ts"
import { initialise, isCluster } from "./postgres/Cluster.ts"
import { handOver, unprivileged } from "./postgres/Identity.ts"
import { readPidFile, refuseIfRunning } from "./postgres/PidFile.ts"
import { signal, supervise, type Supervised } from "./postgres/Supervisor.ts"
import { freePort } from "./freePort.ts"

export interface StartOptions {
  /** The directory of the cluster; created at the first start. Either this or `ephemeral`. */
  readonly dataDir?: string | undefined
  /** By default a free port, another one at each start. */
  readonly port?: number | undefined
  /** A cluster for tests: in the temporary directory, without fsync, deleted when it stops. */
  readonly ephemeral?: boolean | undefined
  /** Receives each line of the server's log. */
  readonly log?: ((line: string) => void) | undefined
  /** Server settings that override the defaults. */
  readonly settings?: Readonly<Record<string, string>> | undefined
  /** The `bin` folder of another installation; `EMBEDDED_POSTGRES_BIN` does the same. */
  readonly binDir?: string | undefined
}

export interface EmbeddedPostgres {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  /** The process id of the postmaster. */
  readonly pid: number
  /** Resolves when the server has exited, by `stop` or by itself. */
  readonly exited: Promise<void>
  /** Fast shutdown: open transactions are rolled back, a checkpoint is written; killed after ten seconds. */
  stop(): Promise<void>
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
      // Another start took the directory or the port, or the backends of a killed server still run: try again.
      const isRetryable =
        /"postmaster.pid" already exists|pre-existing shared memory/.test(server.tail()) ||
        (!options.port && /Address already in use/.test(server.tail()))
      if (!isRetryable || attempt === 5) throw new Error(`Postgres did not start on ${dataDir}:\n${server.tail()}`)
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
    removeTemporary() // on Windows, where no shell removes it
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

/** Waits until the pid file says "ready", which may take long after a crash; false when the server exits instead. */
const isReady = async (server: Supervised, dataDir: string): Promise<boolean> => {
  for (const deadline = Date.now() + 60_000; !server.ended(); await sleep(10)) {
    const file = readPidFile(dataDir)
    if (file?.pid === server.pid() && file.status === "ready") return true
    if (Date.now() > deadline) signal(server.pid(), "SIGKILL")
  }
  return false
}
