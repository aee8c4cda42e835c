import pg from "pg"
import { afterAll, afterEach, assert, beforeAll, describe, inject, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import { request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

const role = `app_${crypto.randomUUID().slice(0, 8)}`
const asRole = (url: string) => Object.assign(new URL(url), { username: role, password: "role-password" }).href

describe("a role that lacks a right", { timeout: 60_000 }, () => {
  let database: TestDatabase
  const running: Array<Awaited<ReturnType<typeof startProcess>>> = []

  const grantAll = async () => {
    for (const schema of ["public", "graphile_worker"]) {
      await database.query(`grant usage on schema ${schema} to ${role}`)
      await database.query(`grant select, insert, update, delete on all tables in schema ${schema} to ${role}`)
      await database.query(`grant usage on all sequences in schema ${schema} to ${role}`)
    }
    await database.query(`alter role ${role} bypassrls`)
  }
  const start = async (settings: { readonly DATABASE_URL?: string; readonly MIGRATE?: string; readonly ROLE?: string } = {}) => {
    const process = await startProcess({
      DATABASE_URL: asRole(database.url),
      GEMINI_BASE_URL: "http://127.0.0.1:9",
      ROLE: "all",
      ...settings
    })
    running.push(process)
    return process
  }
  /** What a start that fails prints. */
  const failure = async (settings: Parameters<typeof start>[0] = {}) => {
    const process = await start(settings)
    assert.deepStrictEqual(await process.exited, { code: 1, signal: null })
    return process.output().trim()
  }

  beforeAll(async () => {
    database = await createDatabase()
    await database.query(`create role ${role} login password 'role-password'`)
    await grantAll()
  })
  afterEach(async () => {
    for (const process of running.splice(0)) await process.kill("SIGKILL")
    await grantAll()
  })
  afterAll(async () => {
    await database.query(`drop owned by ${role}`)
    await database.drop()
    const admin = new pg.Client({ connectionString: inject("postgresUrl") })
    await admin.connect()
    await admin.query(`drop role ${role}`)
    await admin.end()
  })

  for (const [what, sql, expected] of [
    [
      "a privilege on a table",
      `revoke insert, update on messages from ${role}`,
      `no INSERT, UPDATE on the table messages. Run as the owner: GRANT INSERT, UPDATE ON messages TO ${role}`
    ],
    [
      "the right to use the schema of the queue",
      `revoke usage on schema graphile_worker from ${role}`,
      `no USAGE on the schema graphile_worker. Run as the owner: GRANT USAGE ON SCHEMA graphile_worker TO ${role}`
    ],
    [
      "the right to see rows behind row security",
      `alter role ${role} nobypassrls`,
      `row security hides rows of the table graphile_worker._private_job_queues (and 3 more). Run as the owner: ALTER ROLE ${role} BYPASSRLS`
    ],
    [
      "the right to use the sequence",
      `revoke usage on sequence worker_numbers from ${role}`,
      `no USAGE on the sequence worker_numbers. Run as the owner: GRANT USAGE ON SEQUENCE worker_numbers TO ${role}`
    ]
  ] as const) {
    it(`ends the start with one line that names it: ${what}`, async () => {
      await database.query(sql)
      assert.strictEqual(await failure(), `cannot start: DATABASE_URL: the role lacks a right: ${expected}`)
    })
  }

  it("ends the start with one line that names it: the right to use the product's own schema", async () => {
    await database.query(`revoke usage on schema public from public, ${role}`)
    assert.include(await failure(), "cannot start: DATABASE_URL: the role lacks a right: no USAGE on the schema public.")
  })

  it("ends the start with one line that names it: the right to create what migrations create", async () => {
    const name = `empty_${crypto.randomUUID().slice(0, 8)}`
    await database.query(`create database ${name}`)
    const line = await failure({
      DATABASE_URL: asRole(Object.assign(new URL(database.url), { pathname: name }).href),
      MIGRATE: "on"
    })
    await database.query(`drop database ${name} with (force)`)
    assert.match(
      line,
      /^cannot start: DATABASE_URL: the role may not migrate: permission denied for database \w+\. Remedy: GRANT CREATE .* MIGRATE=off here$/
    )
  })

  it("ends the start with one line that names it: the right to change the tables", async () => {
    const [newest] = await database.query<{ id: number; name: string }>(
      "delete from migrations where migration_id = (select max(migration_id) from migrations) returning migration_id as id, name"
    )
    const line = await failure({ MIGRATE: "on" })
    assert.match(line, /^cannot start: DATABASE_URL: the role may not migrate: .+\. Remedy: GRANT CREATE .*$/)
    await database.query("insert into migrations (migration_id, name) values ($1, $2)", [newest?.id, newest?.name])
  })

  it("is found by readiness while the process runs, and is ready again when the right is back", async () => {
    const process = await start()
    await process.started()
    const checks = async () => (await request(process.url, "GET", "/readyz")).body
    await until("readiness", async () => (await request(process.url, "GET", "/readyz")).status === 200)
    await database.query(`revoke update on messages from ${role}`)
    await until("a failed check", async () => (await checks()).checks.rights === "failed", { seconds: 15 })
    assert.strictEqual((await checks()).status, 503)
    assert.include(process.output(), "the role lacks a right: no UPDATE on the table messages.")
    await database.query(`grant update on messages to ${role}`)
    await until("readiness", async () => (await request(process.url, "GET", "/readyz")).status === 200, { seconds: 15 })
    await database.query(`alter role ${role} nobypassrls`)
    await until("a failed check", async () => (await checks()).checks.rights === "failed", { seconds: 15 })
  })
})
