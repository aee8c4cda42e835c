import { Effect, Exit, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { DatabaseEndpoint } from "../../src/config/DatabaseUrl.ts"
import { makePool } from "../../src/database/ConnectionPool.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { TcpProxy } from "../support/TcpProxy.ts"

const endpointOf = (url: string): DatabaseEndpoint => {
  const { hostname, password, pathname, port, username } = new URL(url)
  return {
    setting: "DATABASE_URL",
    host: hostname,
    port: Number(port),
    database: pathname.slice(1),
    username,
    password: Redacted.make(password),
    options: undefined,
    tls: "off",
    handshake: {}
  }
}

describe.each([{ multiplex: true }, { multiplex: false }])("a pool with multiplex $multiplex", ({ multiplex }) => {
  let database: TestDatabase
  let proxy: TcpProxy

  beforeAll(async () => {
    database = await createDatabase()
    proxy = await TcpProxy.start(database.url)
  })
  afterAll(async () => {
    await proxy.stop()
    await database.drop()
  })

  it("tries one connection at a time while Postgres is away, and works once it is back", async () => {
    const endpoint = endpointOf(proxy.through(database.url))
    const options = { endpoint, name: "test", statementMillis: 5_000, silenceMillis: 7_000, connections: 4, multiplex }
    await Effect.gen(function* () {
      const sql = yield* makePool(options)
      const ask = Effect.exit(sql`select 1 as one`)
      const askMany = Effect.all(
        Array.from({ length: 200 }, () => ask),
        { concurrency: "unbounded" }
      )
      assert.isTrue((yield* askMany).every(Exit.isSuccess))

      proxy.cut()
      // These begin before the pool has noticed.
      assert.isFalse((yield* askMany).some(Exit.isSuccess))
      const before = proxy.refused()
      for (let round = 0; round < 10; round++) assert.isFalse((yield* askMany).some(Exit.isSuccess))
      assert.isAtMost(proxy.refused() - before, 40)

      proxy.restore()
      const works = ask.pipe(Effect.repeat({ until: Exit.isSuccess }), Effect.timeout("10 seconds"))
      yield* works
      assert.isTrue((yield* askMany).every(Exit.isSuccess))
    }).pipe(Effect.scoped, Effect.provide(Reactivity.layer), Effect.runPromise)
  })
})
