import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import type { Database } from "../chaos/Experiment.ts"
import { until } from "../support/wait.ts"
import type { Network } from "./Network.ts"
import { Postgres } from "./Postgres.ts"
import { Disk } from "./Disk.ts"
import { join } from "node:path"

const megabytes = 640
const port = 5432

interface Server {
  readonly postgres: Postgres
  readonly disk: Disk
}

/** A primary and a synchronous standby, behind an address that moves to the standby when it is promoted. */
export class Cluster implements Database {
  readonly url: string
  private readonly network: Network
  private readonly outages: Array<{ readonly from: number; until: number }> = []
  private readonly servers: ReadonlyMap<string, Server>
  private primaryName: string
  private standbyName: string
  private pool: pg.Pool

  private constructor(network: Network, servers: ReadonlyMap<string, Server>, [primary, standby]: readonly [string, string]) {
    this.network = network
    this.servers = servers
    this.primaryName = primary
    this.standbyName = standby
    this.url = this.primary.urlAt(network.movingAddress)
    this.pool = this.connect()
  }

  static async start(network: Network, folder: string, names: readonly [string, string]): Promise<Cluster> {
    const make = (name: string) => {
      const disk = new Disk(join(folder, name), megabytes)
      return { disk, postgres: new Postgres({ host: network.host(name), folder: disk.folder, port }) }
    }
    const servers = new Map(names.map((name) => [name, make(name)]))
    const [first] = servers.values()
    await first?.postgres.initialise()
    await first?.postgres.start()
    const cluster = new Cluster(network, servers, names)
    await cluster.replicate()
    return cluster
  }

  private server(name: string): Server {
    const server = this.servers.get(name)
    if (server === undefined) throw new Error(`no server ${name}`)
    return server
  }

  get primary(): Postgres {
    return this.server(this.primaryName).postgres
  }

  get standby(): Postgres {
    return this.server(this.standbyName).postgres
  }

  private connect(): pg.Pool {
    const pool = new pg.Pool({ connectionString: this.url, max: 3, connectionTimeoutMillis: 5_000, query_timeout: 30_000 })
    pool.on("error", () => {})
    return pool
  }

  async query<Row extends pg.QueryResultRow>(sql: string, values: ReadonlyArray<unknown> = []): Promise<Array<Row>> {
    return (await this.pool.query<Row>(sql, [...values])).rows
  }

  wasDown(from: number, until: number): boolean {
    return this.outages.some((outage) => outage.from <= until && outage.until >= from)
  }

  /** Notes that Postgres cannot be used by all processes while this runs. */
  async during<A>(outage: () => Promise<A>): Promise<A> {
    const period = { from: Date.now(), until: Infinity }
    this.outages.push(period)
    try {
      return await outage()
    } finally {
      period.until = Date.now()
    }
  }

  /** Makes the standby a copy of the primary, and has every commit of the primary wait for it. */
  async replicate(): Promise<void> {
    await this.standby.follow(this.primary)
    await until("the standby streams", async () => {
      const [row] = await this.query<{ count: number }>(
        "select count(*)::int from pg_stat_replication where state = 'streaming'"
      ).catch(() => [])
      return row?.count === 1
    })
    await this.query("alter system set synchronous_standby_names = '*'")
    await this.query("select pg_reload_conf()")
    await until("the standby is synchronous", async () => {
      const [row] = await this.query<{ count: number }>(
        "select count(*)::int from pg_stat_replication where sync_state in ('sync', 'quorum')"
      )
      return row?.count === 1
    })
  }

  /** Stops the primary for a while. */
  stopFor(milliseconds: number): Promise<void> {
    return this.during(async () => {
      await this.primary.stop("SIGINT")
      await sleep(milliseconds)
      await this.primary.start()
    })
  }

  /** Loses the primary's host, as a power failure does, and promotes the standby. */
  failOver(): Promise<void> {
    return this.during(async () => {
      const [lost, promoted] = [this.primaryName, this.standbyName]
      this.network.cut(lost)
      await this.primary.stop("SIGKILL")
      const client = new pg.Client({ connectionString: this.standby.urlAt() })
      await client.connect()
      await client.query("select pg_promote(true, 30)")
      await client.end()
      this.network.move(promoted)
      this.primaryName = promoted
      this.standbyName = lost
      void this.pool.end().catch(() => {})
      this.pool = this.connect()
    })
  }

  /** Makes the lost host a standby of the new primary. */
  async rebuild(): Promise<void> {
    this.network.join(this.standbyName)
    await this.replicate()
  }

  /** Leaves the primary no space for a while; a supervisor starts it again when it has given up. */
  fillDiskFor(milliseconds: number): Promise<void> {
    const { disk, postgres: primary } = this.server(this.primaryName)
    return this.during(async () => {
      for (const deadline = Date.now() + milliseconds; Date.now() < deadline; await sleep(200)) {
        disk.fill()
        // Uses up the segments of the log that are there already, so that a further one is needed.
        await this.query("select pg_switch_wal()").catch(() => {})
      }
      disk.free()
      // It ends after a panic whose recovery finds no space either.
      await sleep(2_000)
      if (!primary.isRunning) await primary.start()
    })
  }

  async stop(): Promise<void> {
    void this.pool.end().catch(() => {})
    await Promise.all([...this.servers.values()].map(({ postgres }) => postgres.stop("SIGKILL")))
    for (const { disk } of this.servers.values()) disk.remove()
  }
}
