import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { type EmbeddedPostgres, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { stablePort } from "./StablePort.ts"

/** A Postgres with fsync, on a directory and a port that it keeps across restarts. */
export class RestartablePostgres {
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

  static async start(): Promise<RestartablePostgres> {
    const directory = mkdtempSync(join(tmpdir(), "chaos-"))
    return new RestartablePostgres(await RestartablePostgres.serve(directory, await stablePort()), directory)
  }

  private static serve(directory: string, port: number) {
    return startPostgres({ dataDir: join(directory, "data"), port, settings: { max_connections: "200" } })
  }

  async query<Row extends pg.QueryResultRow>(sql: string, values: ReadonlyArray<unknown> = []): Promise<Array<Row>> {
    return (await this.pool.query<Row>(sql, [...values])).rows
  }

  /** Stops it as an operator does, or crashes it, and starts it again after `downFor` milliseconds. */
  async restart(how: "stop" | "crash", downFor: number): Promise<void> {
    const outage = { from: Date.now(), until: Infinity }
    this.outages.push(outage)
    if (how === "stop") await this.server.stop()
    else process.kill(this.server.pid, "SIGKILL")
    await this.server.exited
    await sleep(downFor)
    this.server = await RestartablePostgres.serve(this.directory, this.server.port)
    outage.until = Date.now()
  }

  /** Whether it was down at any moment of this period. */
  wasDown(from: number, until: number): boolean {
    return this.outages.some((outage) => outage.from <= until && outage.until >= from)
  }

  async stop(): Promise<void> {
    await this.pool.end()
    await this.server.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
