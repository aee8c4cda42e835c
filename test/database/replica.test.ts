import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { Effect, Layer } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { freePort } from "../../dev/freePort.ts"
import { startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { runAllMigrations } from "../../src/database/Database.ts"
import { environment } from "../../src/ops/Launch.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn, type Person, personAt, request } from "../support/Client.ts"
import { until } from "../support/wait.ts"
import { Postgres } from "../topology/Postgres.ts"

const adminToken = "the-token-of-the-operators"
const thisMachine = { address: "127.0.0.1", prefix: [] }

describe("reads with DATABASE_READ_URL", () => {
  let folder = ""
  let primary: Postgres
  let standby: Postgres
  const stops: Array<() => Promise<unknown>> = []
  /** Two processes, of which each can read from the replica. */
  let writer: Awaited<ReturnType<typeof startBackend>>
  let reader: Awaited<ReturnType<typeof startBackend>>
  let person: Person

  const onStandby = async (statement: string) => {
    const client = new pg.Client({ connectionString: standby.urlAt() })
    await client.connect()
    await client.query(statement)
    await client.end()
  }
  /** Statements that the reading process has read from the replica, and from the primary instead. */
  const counts = async () => {
    const { text } = await request(reader.url, "GET", "/metrics", { token: adminToken })
    const value = (name: string) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)`, "m").exec(text)?.[1])
    return { replica: value("chat_replica_reads_total"), primary: value("chat_replica_fallbacks_total") }
  }
  const history = async (room: string): Promise<ReadonlyArray<string>> => {
    const { body, status } = await personAt(reader.url, person).call("GET", historyOf(room))
    assert.strictEqual(status, 200)
    return body.data.map(({ content }: { readonly content: string }) => content)
  }
  /** Asks until the replica serves what is read, which takes a second after it was behind or away. */
  const readFromReplica = (path: string) =>
    until(`${path} from the replica`, async () => {
      const before = await counts()
      const { status, text } = await personAt(reader.url, person).call("GET", path)
      assert.strictEqual(status, 200)
      return (await counts()).replica > before.replica ? text : undefined
    })
  const historyOf = (room: string) => `/chatroom/${room}/messages?limit=100`

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "replica-"))
    primary = new Postgres({ host: thisMachine, folder: join(folder, "primary"), port: await freePort() })
    standby = new Postgres({ host: thisMachine, folder: join(folder, "standby"), port: await freePort() })
    stops.push(() => primary.stop("SIGKILL"))
    await primary.initialise()
    await primary.start()
    const url = primary.urlAt()
    const settings = environment({ APP_ENV: "test", DATABASE_URL: url })
    await Effect.runPromise(runAllMigrations.pipe(Effect.provide(AppConfig.layer.pipe(Layer.provide(settings)))))
    stops.push(() => standby.stop("SIGKILL"))
    await standby.follow(primary)
    const gemini = await startGeminiSimulator({ chunkMillis: 1 })
    stops.push(gemini.stop)
    const shared = { DATABASE_URL: url, DATABASE_READ_URL: standby.urlAt(), GEMINI_BASE_URL: gemini.url, ADMIN_TOKEN: adminToken }
    writer = await startBackend({ ...shared, BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
    stops.push(writer.stop)
    reader = await startBackend({ ...shared, ROLE: "api", LOG_LEVEL: "none" })
    stops.push(reader.stop)
    person = await logIn(writer.url)
  })
  afterAll(async () => {
    for (const stop of stops.toReversed()) await stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it("come from the replica: history, search, export and context", async () => {
    const room = await person.room()
    const { body } = await person.ask(room, "Where is the lantern?", { wait: 20 })
    for (const path of [historyOf(room), "/search?q=lantern", `/chatroom/${room}/export`, "/user/me/export"])
      assert.include(await readFromReplica(path), "lantern")
    const context = await readFromReplica(`/chatroom/${room}/message/${body.reply.id}/context`)
    assert.include(context, body.message.id)
  })

  it("show at another process what the user has just written", async () => {
    const room = await person.room()
    const asked: Array<string> = []
    for (let number = 0; number < 15; number++) {
      asked.unshift(`question ${number}`)
      const { status } = await person.ask(room, asked[0] ?? "", { wait: 20 })
      assert.strictEqual(status, 201)
      const shown = await history(room)
      assert.deepStrictEqual(
        shown.filter((content) => content.startsWith("question")),
        asked
      )
    }
  })

  it("go to the primary while the replica is behind, and back when it has caught up", async () => {
    const room = await person.room()
    await readFromReplica(historyOf(room))
    await onStandby("select pg_wal_replay_pause()")
    for (const question of ["first", "second"]) {
      await person.ask(room, question, { wait: 20 })
      const before = await counts()
      assert.include(await history(room), question)
      const after = await counts()
      assert.isAbove(after.primary, before.primary)
      assert.strictEqual(after.replica, before.replica)
    }
    await onStandby("select pg_wal_replay_resume()")
    await readFromReplica(historyOf(room))
    assert.includeMembers([...(await history(room))], ["first", "second"])
  })

  it("go to the primary while the replica is away", async () => {
    const room = await person.room()
    await person.ask(room, "still here", { wait: 20 })
    await standby.stop("SIGKILL")
    const before = await counts()
    for (let times = 0; times < 3; times++) assert.include(await history(room), "still here")
    const after = await counts()
    assert.strictEqual(after.replica, before.replica)
    assert.isAtLeast(after.primary, before.primary + 3)
    await standby.start()
    await readFromReplica(historyOf(room))
  })
})
