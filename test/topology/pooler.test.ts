import { once } from "node:events"
import { chmodSync, mkdtempSync, rmSync } from "node:fs"
import { type AddressInfo, connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { startBackend } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { times } from "../support/times.ts"
import { newUser } from "../support/Users.ts"
import { findPrograms, makePooler } from "./Proxies.ts"

const programs = findPrograms()

/** More than the messages of a login, which PgBouncer takes only as a whole. */
const pieceBytes = 601

/** Forwards what clients send in small pieces, as a network with small packets does. Returns the port. */
const startSlicer = async (target: URL) => {
  const server = createServer((inner) => {
    const outer = connect(Number(target.port), target.hostname).setNoDelay(true)
    outer.pipe(inner)
    inner.on("data", async (data: Buffer) => {
      inner.pause()
      for (let at = 0; at < data.length; at += pieceBytes) {
        outer.write(data.subarray(at, at + pieceBytes))
        await setImmediate()
      }
      inner.resume()
    })
    for (const [socket, other] of [
      [inner, outer],
      [outer, inner]
    ] as const)
      socket.on("error", () => {}).once("close", () => other.destroy())
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return { port: (server.address() as AddressInfo).port, stop: async () => void server.close() }
}

describe.skipIf(programs.missing !== undefined)(
  `reads through PgBouncer in transaction mode${programs.missing === undefined ? "" : `: ${programs.missing}`}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), "pooler-"))
    const stops: Array<() => Promise<unknown>> = []
    let database: TestDatabase
    let poolerUrl = ""
    let backend: Awaited<ReturnType<typeof startBackend>>

    beforeAll(async () => {
      if (programs.missing !== undefined) return
      chmodSync(folder, 0o755)
      database = await createDatabase()
      stops.push(database.drop)
      const host = { address: "127.0.0.1", prefix: [] }
      const pooler = makePooler(programs.pgbouncer, folder, host, new URL(database.url), await freePort())
      poolerUrl = pooler.url
      await pooler.daemon.start()
      stops.push(() => pooler.daemon.stop())
      const slicer = await startSlicer(new URL(pooler.url))
      stops.push(slicer.stop)
      const url = Object.assign(new URL(pooler.url), { port: `${slicer.port}` }).href
      backend = await startBackend({ DATABASE_URL: url, DATABASE_DIRECT_URL: database.url, ROLE: "api", LOG_LEVEL: "none" })
      stops.push(backend.stop)
    })
    afterAll(async () => {
      for (const stop of stops.toReversed()) await stop()
      rmSync(folder, { recursive: true, force: true })
    })

    it("are all answered when many come at once", async () => {
      const person = await newUser(backend.url, database)
      const room = await person.room()
      const statuses = new Map<number, number>()
      let isOver = false
      // Other processes, whose statements take the server's connections in turn.
      const others = Promise.all(
        times(16, async () => {
          const client = new pg.Client({ connectionString: poolerUrl })
          client.on("error", () => {})
          await client.connect()
          while (!isOver) await client.query("select $1::int + $2::int", [1, 2]).catch(() => (isOver = true))
          await client.end()
        })
      )
      const asking = Promise.all(
        times(32, async (client) => {
          for (let number = 0; number < 20; number++) {
            const path = `/chatroom/${room}/messages?limit=${1 + ((client + number) % 100)}`
            const { status } = await person.call("GET", number % 2 === 0 ? "/user/me" : path)
            statuses.set(status, (statuses.get(status) ?? 0) + 1)
          }
        })
      )
      await asking.finally(() => (isOver = true))
      await others
      assert.deepStrictEqual([...statuses], [[200, 32 * 20]])
    })
  }
)
