import { readFileSync } from "node:fs"
import { Effect, Layer } from "effect"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { migrations } from "../../migrations/index.ts"
import { readSchema, schemaFile } from "../../scripts/catalogue.ts"
import { AppConfig } from "../../src/config/Settings.ts"
import { runAllMigrations } from "../../src/database/Database.ts"
import { environment } from "../../src/ops/Launch.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

/**
 * The schema of the previous release and how many migrations made it. A release replaces the file by its
 * `migrations/schema.sql`: then a function whose text was edited without a migration is found, too.
 */
const previous = { file: new URL("schema-0006.sql", import.meta.url), migrations: 6 }
const committed = new URL("../../migrations/schema.sql", import.meta.url)

const empty = () => createDatabase("template0")

/** A database as processes of the previous release made it. */
const ofPreviousRelease = async (): Promise<TestDatabase> => {
  const database = await empty()
  await database.query(readFileSync(previous.file, "utf8"))
  for (const key of Object.keys(migrations).slice(0, previous.migrations)) {
    await database.query("insert into migrations (migration_id, name) values ($1, $2)", [Number(key.slice(0, 4)), key.slice(5)])
  }
  return database
}

const migrate = ({ url }: TestDatabase) =>
  Effect.runPromise(
    runAllMigrations.pipe(
      Effect.provide(AppConfig.layer.pipe(Layer.provide(environment({ APP_ENV: "test", LOG_LEVEL: "error", DATABASE_URL: url }))))
    )
  )

const schemaOf = (database: TestDatabase) => readSchema((sql) => database.query(sql))

describe("the schema", () => {
  it("is what migrations/schema.sql says: run `npm run schema` and commit it", async () => {
    const database = await createDatabase()
    assert.strictEqual(schemaFile(await schemaOf(database)), readFileSync(committed, "utf8"))
    await database.drop()
  })

  it("is the same in a database that the previous release migrated", async () => {
    const [fresh, old] = await Promise.all([createDatabase(), ofPreviousRelease()])
    await migrate(old)
    assert.strictEqual(await schemaOf(old), await schemaOf(fresh))
    assert.deepStrictEqual(
      await old.query("select migration_id, name from migrations order by 1"),
      await fresh.query("select migration_id, name from migrations order by 1")
    )
    await Promise.all([fresh.drop(), old.drop()])
  })

  it("is whole in migrations/schema.sql: running it makes the same schema", async () => {
    const database = await empty()
    await database.query(readFileSync(committed, "utf8"))
    assert.strictEqual(schemaFile(await schemaOf(database)), readFileSync(committed, "utf8"))
    await database.drop()
  })
})

describe("rooms of the previous release", () => {
  const jobs = (database: TestDatabase) =>
    database.query("select task_identifier, key from graphile_worker.jobs where task_identifier = 'fill_branches'")

  it("keep their messages, and are filled by a job", async () => {
    const database = await ofPreviousRelease()
    const [user, room, q1, r1, q2, r2, q3, r3] = Array.from({ length: 8 }, () => uuid())
    await database.query("insert into users (id, mobile, status, quota_key) values ($1, '+1', 'active', 'q')", [user])
    await database.query("insert into chatrooms (user_id, id, title, last_message_at) values ($1, $2, 'T', now())", [user, room])
    const rows = [
      [q1, "user", "completed", null],
      [r1, "model", "completed", q1],
      [q2, "user", "completed", null],
      [r2, "model", "failed", q2],
      [q3, "user", "completed", null],
      [r3, "model", "cancelled", q3]
    ]
    for (const row of rows) {
      await database.query(
        `insert into messages (user_id, chatroom_id, id, role, status, reply_to, content, created_at, completed_at)
          values ($1, $2, $3, $4, $5, $6, 'text', now(), now())`,
        [user, room, ...row]
      )
    }
    const old = "select to_jsonb(m) as message from messages m order by id"
    const before = await database.query<{ message: object }>(old)
    await migrate(database)
    for (const [index, { message }] of (await database.query<{ message: object }>(old)).entries()) {
      assert.deepInclude(message, before[index]?.message ?? {})
    }
    assert.deepStrictEqual(await jobs(database), [{ task_identifier: "fill_branches", key: "fill_branches" }])
    assert.deepStrictEqual(await database.query("select fill_branches($1, $2) as head", [user, room]), [{ head: r3 }])
    assert.deepStrictEqual(await database.query("select id, parent_id from messages where role = 'user' order by id"), [
      { id: q1, parent_id: null },
      { id: q2, parent_id: r1 },
      { id: q3, parent_id: r1 }
    ])
    await database.drop()
  })

  it("are no job in an empty database", async () => {
    const database = await createDatabase()
    assert.deepStrictEqual(await jobs(database), [])
    await database.drop()
  })
})

describe("a process of the previous release, while a deploy rolls,", () => {
  let before: TestDatabase
  let after: TestDatabase
  beforeAll(async () => {
    before = await ofPreviousRelease()
    after = await ofPreviousRelease()
    await migrate(after)
  })
  afterAll(() => Promise.all([before.drop(), after.drop()]))

  const user = uuid()
  const rooms = [uuid(), uuid()]

  interface Send {
    readonly room?: string | undefined
    readonly question: string
    readonly reply: string
    readonly limit?: number
    readonly roomLimit?: number
    readonly key?: string
    readonly hash?: string
    readonly again?: string | undefined
  }
  /** The previous release's own statement. */
  const send = (database: TestDatabase, sent: Send) =>
    database.query(
      "select * from send_message($1::uuid, $2::uuid, $3::uuid, $4::uuid, $5, $6::int, $7::int, $8::int, $9, $10, $11::uuid)",
      [
        user,
        sent.room ?? rooms[0],
        sent.question,
        sent.reply,
        "What is a wrapper?",
        sent.limit ?? 5,
        0,
        sent.roomLimit ?? 4,
        sent.key ?? null,
        sent.hash ?? null,
        sent.again ?? null
      ]
    )

  interface Finish {
    readonly reply: string
    readonly attempt?: number
    readonly content?: string
    readonly refund?: boolean
    readonly ids?: ReadonlyArray<string>
  }
  const finish = (database: TestDatabase, { attempt, content, ids, refund, reply }: Finish) =>
    database.query(
      `select * from finish_reply($1::uuid, $2::uuid, $3::int, $4, $5, $6, $7::boolean, $8, $9, $10, $11::int, $12::int, $13::int,
        $14::int, $15::boolean, $16::int, $17::uuid[], $18)`,
      [
        user,
        reply,
        attempt ?? null,
        refund === true ? "failed" : "completed",
        content ?? "",
        "STOP",
        false,
        refund === true ? "model_unavailable" : null,
        refund === true ? "Ask again." : null,
        "gemini",
        refund === true ? null : 11,
        refund === true ? null : 12,
        refund === true ? null : 13,
        refund === true ? null : 14,
        refund === true,
        5,
        ids ?? null,
        ids === undefined ? null : "Be brief."
      ]
    )

  /** The previous release's own statement, without what it returns of the room. */
  const claim = (database: TestDatabase, reply: string) =>
    database.query(
      `update messages m set status = 'processing', attempt = m.attempt + 1, worker_id = $3, retry_at = null,
        lease_until = clock_timestamp() + make_interval(secs => 30), started_at = coalesce(m.started_at, clock_timestamp())
      from chatrooms c
      where m.user_id = $1 and m.id = $2 and c.user_id = m.user_id and c.id = m.chatroom_id
        and (m.status = 'queued' or m.status = 'waiting' and m.retry_at <= clock_timestamp()
          or m.status = 'processing' and m.lease_until < clock_timestamp())
      returning m.attempt`,
      [user, reply, uuid()]
    )

  const inBoth = async <A>(work: (database: TestDatabase) => Promise<A>): Promise<A> => {
    const [old, now] = [await work(before), await work(after)]
    // The clock differs between the two; everything else is the same.
    const timeless = (value: A) =>
      JSON.stringify(value, (key, item) => (/(_at|_since|sentAt|resetsAt)$/.test(key) && item !== null ? "a time" : item))
    assert.strictEqual(timeless(now), timeless(old))
    return now
  }

  it("sends and finishes as before, with every outcome", async () => {
    await inBoth(async (database) => {
      await database.query("insert into users (id, mobile, status, quota_key) values ($1, '+1', 'active', 'q')", [user])
      for (const room of rooms)
        await database.query("insert into chatrooms (user_id, id, title) values ($1, $2, 'T')", [user, room])
    })
    const outcomes: Array<string> = []
    const both = async (sent: Send) => {
      const [row] = await inBoth((database) => send(database, sent))
      outcomes.push(String(row?.["outcome"]))
      return row
    }
    const ids = Array.from({ length: 12 }, () => uuid())
    const [q1 = "", r1 = "", q2 = "", r2 = "", q3 = "", r3 = ""] = ids
    const first = await both({ question: q1, reply: r1, key: "k", hash: "h" })
    assert.deepInclude(first, { question_id: q1, reply_id: r1, daily_limit: 5, used: 1, status: 202, is_head: true })
    assert.instanceOf(first?.["sent_at"], Date)
    const again = await both({ question: q2, reply: r2, key: "k", hash: "h" })
    assert.deepInclude(again, { question_id: q1, reply_id: r1, status: 202, is_head: false, sent_at: first?.["sent_at"] })
    await both({ question: q2, reply: r2, key: "k", hash: "other" })
    await both({ question: q2, reply: r2, room: q2 })
    await both({ question: q2, reply: r2, again: r1 })
    await both({ question: q2, reply: r2, again: q3 })
    assert.deepInclude(await both({ question: q2, reply: r2 }), { used: 2, is_head: false })
    await both({ question: q3, reply: r3, roomLimit: 2 })
    await both({ question: q3, reply: r3, room: rooms[1], limit: 2 })
    assert.deepStrictEqual(outcomes, [
      "accepted",
      "replayed",
      "idempotency_key_reused",
      "chatroom_not_found",
      "not_finished",
      "message_not_found",
      "accepted",
      "room_busy",
      "quota_exceeded"
    ])

    await inBoth((database) => database.query("update messages set status = 'processing', attempt = 2 where id = $1", [r1]))
    const lost = await inBoth((database) => finish(database, { reply: r1, attempt: 1, content: "late" }))
    assert.deepStrictEqual(lost, [{ finished: false, next_reply: null }])
    const ended = await inBoth((database) => finish(database, { reply: r1, attempt: 2, content: "done", ids: [q1, r1] }))
    assert.deepStrictEqual(ended, [{ finished: true, next_reply: r2 }])
    assert.deepInclude(await both({ question: q3, reply: r3, again: q1 }), { question_id: q1, reply_id: r3 })
    await inBoth((database) => finish(database, { reply: r2, refund: true }))
    // A later migration may have added columns, which processes of the previous release do not read.
    const [{ columns: columnsBefore = "" } = {}] = await before.query<{ columns: string }>(
      "select string_agg(column_name, ', ' order by ordinal_position) as columns from information_schema.columns where table_name = 'messages'"
    )
    const rows = await inBoth((database) => database.query(`select ${columnsBefore} from messages order by id`))
    assert.deepInclude(
      rows.find(({ id }) => id === r1),
      {
        content: "done",
        context_ids: [q1, r1],
        context_system_prompt: "Be brief.",
        cached_tokens: 14
      }
    )
    assert.deepInclude(
      rows.find(({ id }) => id === r2),
      { status: "failed", quota_state: "refunded", context_ids: null }
    )
    await inBoth((database) =>
      database.query("select quota_key, day, used, refunded, prompts, prompt_tokens, reply_tokens from usage_daily")
    )
    await inBoth((database) =>
      database.query(
        "select user_id, route, key, request_hash, status, response - '{budget,spent,reserved,parentId,version,previousVersion}'::text[] as response from idempotency_keys"
      )
    )
    await inBoth((database) => database.query("select id, unfinished from chatrooms order by id"))
  })

  it("claims no reply that it would make without a part of the question", async () => {
    const database = await ofPreviousRelease()
    await migrate(database)
    const [room, question] = [uuid(), uuid()]
    await database.query("insert into users (id, mobile, status, quota_key) values ($1, '+2', 'active', 'p')", [user])
    await database.query("insert into chatrooms (user_id, id, title) values ($1, $2, 'T')", [user, room])
    const sent = async (into: string, input: object | null) => {
      const [row] = await database.query<{ sent: { replyId: string } }>(
        `select send_message(p_user => $1, p_room => $2, p_question => $3, p_reply => $4, p_content => 'What?', p_again => null,
          p_tier => 'basic', p_daily_limit => 10, p_running_limit => 10, p_room_limit => 4, p_title => null, p_settings => '{}',
          p_settings_version => -1, p_context_tokens => 1, p_input_price => 0, p_output_micros => 0, p_daily_searches => 0,
          p_search_micros => 0, p_budget => null, p_key => null, p_hash => null, p_key_lifetime => '24 hours',
          p_attachments => null, p_attachment_limits => null, p_input => $5) as sent`,
        [user, into, uuid(), uuid(), input]
      )
      return row?.sent.replyId ?? ""
    }
    const completion = await sent(question, { turns: [{ role: "user", text: "Hi" }], files: [] })
    const state = async () =>
      (await database.query("select status, attempt, claimed_attempt, worker_id from messages where id = $1", [completion]))[0]
    const untouched = { status: "queued", attempt: 0, claimed_attempt: 0, worker_id: null }
    assert.deepStrictEqual(await claim(database, completion), [])
    assert.deepStrictEqual(await state(), untouched)
    // A worker of this release claims it, and is lost.
    await database.query(
      "update messages set status = 'processing', attempt = 1, claimed_attempt = 1, lease_until = now() - interval '1 second' where id = $1",
      [completion]
    )
    assert.deepStrictEqual(await claim(database, completion), [])
    assert.deepInclude(await state(), { status: "processing", attempt: 1, claimed_attempt: 1 })
    assert.deepStrictEqual(await claim(database, await sent(room, null)), [{ attempt: 1 }])
    await database.drop()
  })
})
