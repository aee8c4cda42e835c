import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { type EmbeddedPostgres, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { type Settings, startProcess } from "../support/Backend.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

/** Whether nobody listens there. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((answer) => {
    const probe = createServer()
      .once("error", () => answer(false))
      .listen(port, "127.0.0.1", () => probe.close(() => answer(true)))
  })

let nextPort = 15_000 + (process.pid % 1_000) * 10

/** A free port below those that outgoing connections get: it has to be free still when its process comes back. */
const steadyPort = async (): Promise<number> => {
  while (!(await isFree(nextPort))) nextPort++
  return nextPort++
}

/** One life of a process. */
export interface Incarnation {
  readonly slot: string
  readonly number: number
  readonly startedAt: number
  readyAt: number | undefined
  /** The signal that was to end it. */
  told: { readonly signal: "SIGKILL" | "SIGTERM"; readonly at: number } | undefined
  stopped: boolean
  exit: { readonly code: number | null; readonly signal: string | null; readonly at: number } | undefined
  readonly output: () => string
}

/** A place in the fleet: a role and a port, and whoever fills it now. What ends is started again a second later. */
export class Slot {
  readonly name: string
  readonly role: "api" | "worker"
  readonly url: string
  readonly lives: Array<Incarnation> = []
  private readonly settings: Settings
  private process: Process | undefined
  private over = false

  constructor(name: string, role: "api" | "worker", port: number, settings: Settings) {
    this.name = name
    this.role = role
    this.url = `http://127.0.0.1:${port}`
    this.settings = { ...settings, ROLE: role, PORT: `${port}` }
    void this.supervise()
  }

  get current(): Incarnation | undefined {
    return this.lives.at(-1)
  }

  /** It is up, and nobody has told it to go or to stand still. */
  get isFree(): boolean {
    const { current } = this
    return current?.readyAt !== undefined && current.exit === undefined && current.told === undefined && !current.stopped
  }

  end(signal: "SIGKILL" | "SIGTERM"): void {
    if (this.current !== undefined) this.current.told = { signal, at: Date.now() }
    void this.process?.kill(signal)
  }

  /** Stands still for a while, and then goes on as if nothing had been. */
  async stop(milliseconds: number, hurry: AbortSignal): Promise<void> {
    const { current, process } = this
    if (current === undefined || process === undefined) return
    current.stopped = true
    void process.kill("SIGSTOP")
    await sleep(milliseconds, undefined, { signal: hurry }).catch(() => {})
    void process.kill("SIGCONT")
    current.stopped = false
  }

  async dismiss(): Promise<void> {
    this.over = true
    void this.process?.kill("SIGCONT")
    await this.process?.kill("SIGKILL")
  }

  private async awaitReady(life: Incarnation): Promise<void> {
    while (!/ready http|Working/.test(life.output())) {
      if (life.exit !== undefined) return
      await sleep(50)
    }
    life.readyAt = Date.now()
  }

  private async supervise(): Promise<void> {
    for (let number = 1; !this.over; number++) {
      const process = (this.process = await startProcess(this.settings))
      const life: Incarnation = {
        slot: this.name,
        number,
        startedAt: Date.now(),
        readyAt: undefined,
        told: undefined,
        stopped: false,
        exit: undefined,
        output: process.output
      }
      this.lives.push(life)
      void this.awaitReady(life)
      // However this process ends, none of its own stays behind.
      const reap = () => void process.kill("SIGKILL")
      globalThis.process.once("exit", reap)
      const { code, signal } = await process.exited
      globalThis.process.off("exit", reap)
      life.exit = { code, signal, at: Date.now() }
      await sleep(1_000)
    }
  }
}

/** A Postgres of one's own that writes for sure, on a directory and a port that stay when it goes. */
export class Database {
  readonly pool: pg.Pool
  readonly url: string
  readonly outages: Array<{ readonly from: number; until: number }> = []
  private server: EmbeddedPostgres
  private readonly directory: string

  private constructor(server: EmbeddedPostgres, directory: string) {
    this.server = server
    this.directory = directory
    this.url = server.url
    this.pool = new pg.Pool({ connectionString: server.url, max: 2 })
    this.pool.on("error", () => {})
  }

  static async start(): Promise<Database> {
    const directory = mkdtempSync(join(tmpdir(), "chaos-"))
    return new Database(await Database.serve(directory, await steadyPort()), directory)
  }

  private static serve(directory: string, port: number) {
    return startPostgres({ dataDir: join(directory, "data"), port, settings: { max_connections: "200" } })
  }

  async query<Row extends pg.QueryResultRow>(sql: string, values: ReadonlyArray<unknown> = []): Promise<Array<Row>> {
    return (await this.pool.query<Row>(sql, [...values])).rows
  }

  /** Stops it as an operator does, or lets it crash, and starts it again after a while. */
  async restart(how: "stop" | "crash", downFor: number): Promise<void> {
    const outage = { from: Date.now(), until: Infinity }
    this.outages.push(outage)
    if (how === "stop") await this.server.stop()
    else process.kill(this.server.pid, "SIGKILL")
    await this.server.exited
    await sleep(downFor)
    this.server = await Database.serve(this.directory, this.server.port)
    outage.until = Date.now()
  }

  /** Whether it was away at some moment of this time. */
  wasAway(from: number, until: number): boolean {
    return this.outages.some((outage) => outage.from <= until && outage.until >= from)
  }

  async stop(): Promise<void> {
    await this.pool.end()
    await this.server.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Two processes that serve and two that work, on one database. */
export const startSlots = async (settings: Settings): Promise<Array<Slot>> => {
  const slots: Array<Slot> = []
  for (const [name, role] of [
    ["api-1", "api"],
    ["api-2", "api"],
    ["worker-1", "worker"],
    ["worker-2", "worker"]
  ] as const) {
    slots.push(new Slot(name, role, await steadyPort(), settings))
  }
  return slots
}
