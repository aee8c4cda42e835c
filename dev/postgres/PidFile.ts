import * as fs from "node:fs"
import { createConnection } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { signal } from "./Supervisor.ts"

/** Another server already runs on the directory. */
export class PostgresAlreadyRunning extends Error {
  override readonly name = "PostgresAlreadyRunning"
}

/** Refuses a directory in use. Waits first: the server of a killed app needs a moment to exit. */
export const refuseIfRunning = async (dataDir: string) => {
  for (const deadline = Date.now() + 1_500; ; await sleep(50)) {
    const file = readPidFile(dataDir)
    if (file === undefined) return
    // Left by a crash or a reboot. Postgres would trust it if the pid now belonged to another process of the same user.
    if (!(await isServing(dataDir, file))) return fs.rmSync(join(dataDir, "postmaster.pid"), { force: true })
    if (Date.now() > deadline) {
      throw new PostgresAlreadyRunning(`Postgres is already running on ${dataDir} (pid ${file.pid}, port ${file.port})`)
    }
  }
}

/** What the postmaster wrote into its pid file; undefined without one. */
export const readPidFile = (dataDir: string) => {
  try {
    const lines = fs.readFileSync(join(dataDir, "postmaster.pid"), "utf8").split("\n")
    return { pid: Number(lines[0]), port: Number(lines[3]) || 0, status: lines[7]?.trim() }
  } catch {
    return undefined
  }
}

/** A postmaster's working directory is its data directory, unlike that of another process with a reused pid. */
const isServing = async (dataDir: string, { pid, port }: { pid: number; port: number }): Promise<boolean> => {
  if (!signal(pid, 0)) return false
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`) === fs.realpathSync(dataDir)
  } catch {
    return accepts(port) // no /proc (macOS, Windows), or no permission
  }
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = createConnection(port, "127.0.0.1")
      .once("error", () => answer(false))
      .once("connect", () => {
        socket.destroy()
        answer(true)
      })
  })
