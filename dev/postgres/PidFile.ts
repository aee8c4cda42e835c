import * as fs from "node:fs"
import { createConnection } from "node:net"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { signal } from "./Supervisor.ts"

/** A directory serves one server at a time, and this one has its server. */
export class PostgresAlreadyRunning extends Error {
  override readonly name = "PostgresAlreadyRunning"
}

/** Refuses a directory in use, after the moment that a server needs to end when its app was just killed. */
export const refuseIfRunning = async (dataDir: string) => {
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

/** What the postmaster tells of itself; nothing when there is none. */
export const readPidFile = (dataDir: string) => {
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

const accepts = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const socket = createConnection(port, "127.0.0.1")
      .once("error", () => answer(false))
      .once("connect", () => {
        socket.destroy()
        answer(true)
      })
  })
