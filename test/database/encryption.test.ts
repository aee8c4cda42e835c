import { chmodSync, chownSync, copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { join } from "node:path"
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type EmbeddedPostgres, startPostgres } from "../../dev/EmbeddedPostgres.ts"
import { type DatabaseEndpoint, databaseEndpoint } from "../../src/config/DatabaseUrl.ts"
import { postgresSockets } from "../../src/database/PostgresSocket.ts"

const root = "test/database/tls/ca.pem"

const endpointOf = (url: string, ca?: string) =>
  Effect.runPromiseExit(databaseEndpoint("DATABASE_URL", Redacted.make(url), { ca, mode: undefined }))

/** Whether each driver's connection is encrypted, as the server sees it, or why it could not connect. */
const encryptedBy = async (endpoint: DatabaseEndpoint, silence = 5_000) => {
  const { database, host, password, port, username } = endpoint
  const stream = postgresSockets(endpoint, silence)
  const question = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
  const login = { host, port, database, ssl: false }
  const effect = PgClient.make({ ...login, username, ...(password === undefined ? {} : { password }), stream }).pipe(
    Effect.flatMap((sql) => sql.unsafe<{ ssl: boolean }>(question)),
    Effect.map(([row]) => row?.ssl),
    Effect.catch((error) => Effect.succeed(String(error.reason.cause))),
    Effect.scoped,
    Effect.provide(Reactivity.layer),
    Effect.runPromise
  )
  const client = new pg.Client({
    ...login,
    user: username,
    password: password === undefined ? undefined : Redacted.value(password),
    stream
  })
  client.on("error", () => {})
  const queue = client
    .connect()
    .then(() => client.query<{ ssl: boolean }>(question))
    .then(
      ({ rows }) => rows[0]?.ssl,
      (error) => String(error)
    )
    .finally(() => client.end().catch(() => {}))
  return { effect: await effect, queue: await queue }
}

describe("both drivers", { timeout: 60_000 }, () => {
  let postgres: EmbeddedPostgres
  let admin: pg.Client
  let url: URL

  const allow = async (kind: "host" | "hostssl") => {
    const file = join(postgres.dataDir, "pg_hba.conf")
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(/^host(ssl)?\b/gm, kind))
    await admin.query("select pg_reload_conf()")
  }
  const serveTls = async (on: boolean) => {
    await admin.query(`alter system set ssl = ${on ? "on" : "off"}`)
    await admin.query("select pg_reload_conf()")
    for (let tries = 0; tries < 100; tries++) {
      const { rows } = await admin.query<{ ssl: string }>("show ssl")
      if (rows[0]?.ssl === (on ? "on" : "off")) return
    }
  }
  const by = async (mode: string, ca?: string, host = "localhost") => {
    const asked = Object.assign(new URL(url), { hostname: host })
    for (const [name, value] of new URLSearchParams(mode)) asked.searchParams.set(name, value)
    const exit = await endpointOf(asked.href, ca)
    if (Exit.isFailure(exit)) throw new Error(`refused: ${exit.cause}`)
    return encryptedBy(exit.value)
  }

  beforeAll(async () => {
    postgres = await startPostgres({ ephemeral: true })
    url = new URL(postgres.url)
    admin = new pg.Client({ connectionString: postgres.url })
    await admin.connect()
    const { gid, uid } = statSync(postgres.dataDir)
    for (const [from, to] of [
      ["server.pem", "server.crt"],
      ["server.key", "server.key"]
    ] as const) {
      const file = join(postgres.dataDir, to)
      copyFileSync(`test/database/tls/${from}`, file)
      chmodSync(file, 0o600)
      chownSync(file, uid, gid)
    }
  }, 120_000)
  afterAll(async () => {
    await admin.end()
    await postgres.stop()
  })

  const both = (value: boolean | string | undefined) => ({ effect: value, queue: value })

  it("use plain text on a server without TLS, unless TLS is required", async () => {
    for (const mode of ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer", "ssl=false"]) {
      assert.deepStrictEqual(await by(mode), both(false), mode)
    }
    for (const mode of ["sslmode=require", "ssl=true", "sslmode=verify-full", "sslmode=no-verify"]) {
      for (const result of Object.values(await by(mode))) assert.match(String(result), /does not offer TLS/, mode)
    }
  })

  it("encrypt on a server with TLS, by the same rules", async () => {
    await serveTls(true)
    for (const mode of ["", "sslmode=allow", "sslmode=prefer", "sslmode=require", "ssl=true", "sslmode=no-verify"]) {
      assert.deepStrictEqual(await by(mode), both(true), mode)
    }
    assert.deepStrictEqual(await by("sslmode=disable"), both(false))
  })

  it("verify the chain with a root certificate, and the host's name with verify-full", async () => {
    for (const mode of ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full"]) {
      assert.deepStrictEqual(await by(mode, root), both(true), mode)
      assert.deepStrictEqual(await by(`${mode}&sslrootcert=${root}`), both(true), mode)
      assert.deepStrictEqual(await by(mode, readFileSync(root, "utf8")), both(true), mode)
    }
    for (const mode of ["sslmode=verify-ca", "sslmode=verify-full"]) {
      for (const result of Object.values(await by(mode))) assert.match(String(result), /self-signed certificate|unable to/, mode)
    }
    assert.deepStrictEqual(await by("sslmode=verify-ca", root, "127.0.0.1"), both(true))
    for (const result of Object.values(await by("sslmode=verify-full", root, "127.0.0.1"))) {
      assert.match(String(result), /does not match|altnames/i)
    }
  })

  it("reach a server that demands TLS without a setting", async () => {
    await allow("hostssl")
    assert.deepStrictEqual(await by(""), both(true))
    await allow("host")
  })

  it("reach one database, whatever spelling names it", async () => {
    await admin.query("create database spelled")
    const asked = Object.assign(new URL(url), { pathname: "" })
    asked.searchParams.set("dbname", "spelled")
    const exit = await endpointOf(asked.href)
    assert.isTrue(Exit.isSuccess(exit) && exit.value.database === "spelled")
  })
})

describe("a connection that goes silent", { timeout: 30_000 }, () => {
  for (const mode of ["disable", "prefer", "require"]) {
    it(`is destroyed after its bound, with sslmode=${mode}`, async () => {
      const open: Array<Socket> = []
      const silent = createServer((socket) => open.push(socket.on("error", () => {})))
      await new Promise<void>((listening) => silent.listen(0, "127.0.0.1", listening))
      const address = silent.address()
      const port = typeof address === "object" ? address?.port : 0
      const exit = await endpointOf(`postgres://u:p@127.0.0.1:${port}/d?sslmode=${mode}`)
      if (Exit.isFailure(exit)) throw new Error("refused")
      const startedAt = performance.now()
      const socket = postgresSockets(exit.value, 1_000)()
      const failure = new Promise<Error>((failed) => socket.once("error", failed))
      socket.write("a question")
      assert.match((await failure).message, /has not answered for 1 seconds/)
      const millis = performance.now() - startedAt
      assert.isAtLeast(millis, 1_000)
      assert.isBelow(millis, 4_000)
      for (const each of open) each.destroy()
      await new Promise((closed) => silent.close(closed))
    })
  }

  it("stays open while it is answered, or idle", async () => {
    const echo = createServer((socket) => socket.on("error", () => {}).pipe(socket))
    await new Promise<void>((listening) => echo.listen(0, "127.0.0.1", listening))
    const address = echo.address()
    const port = typeof address === "object" ? address?.port : 0
    const exit = await endpointOf(`postgres://u:p@127.0.0.1:${port}/d?sslmode=disable`)
    if (Exit.isFailure(exit)) throw new Error("refused")
    const socket = postgresSockets(exit.value, 800)()
    let failed = false
    socket.on("error", () => (failed = true)).on("data", () => {})
    for (let turn = 0; turn < 10; turn++) {
      socket.write("?")
      await new Promise((later) => setTimeout(later, 200))
    }
    await new Promise((later) => setTimeout(later, 2_000))
    assert.isFalse(failed)
    socket.destroy()
    await new Promise((closed) => echo.close(closed))
  })
})
