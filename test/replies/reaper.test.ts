import { setTimeout as sleep } from "node:timers/promises"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { timeline } from "../../src/queue/WorkerLock.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"
import { replyOf, violatedInvariants } from "../support/Invariants.ts"

describe.concurrent("the reaper", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let backend: Awaited<ReturnType<typeof startBackend>>

  beforeAll(async () => {
    database = await createDatabase()
    // As it is left by a worker that died with it, once it was announced again and unlocked.
    await database.query("select graphile_worker.add_job('reply', '{\"superseded\": true}')")
    await database.query("update graphile_worker._private_jobs set attempts = max_attempts")
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url })
  })
  afterAll(async () => {
    await backend.stop()
    await gemini.stop()
    await database.drop()
  })

  /** Calls one of the product's SQL functions, past the product; parameters that are not given are null. */
  const call = async (name: string, given: Readonly<Record<string, unknown>>) => {
    const [known] = await database.query<{ names: Array<string> }>(
      "select proargnames as names from pg_proc where proname = $1 and prorettype = 'jsonb'::regtype",
      [name]
    )
    const names = known?.names ?? []
    await database.query(
      `select ${name}(${names.map((parameter, index) => `${parameter} => $${index + 1}`).join(", ")})`,
      names.map((parameter) => given[parameter] ?? null)
    )
  }

  const newUser = async () => {
    const id = uuid()
    await database.query("insert into users (id, mobile, status, quota_key) values ($1::uuid, $1::text, 'active', $1::text)", [
      id
    ])
    return id
  }

  const settings = { model: "gemini-3.8-flash", temperature: null, maxOutputTokens: 2_048, contextTokens: 32_000 }
  /** A room with questions of a process that died after the commit and before it announced them. */
  const unannounced = async (...questions: ReadonlyArray<string>) => {
    const user = await newUser()
    const room = uuid()
    await database.query("insert into chatrooms (user_id, id, title) values ($1, $2, 'Test')", [user, room])
    const replies: Array<string> = []
    for (const question of questions) {
      const reply = uuid()
      await call("send_message", {
        p_user: user,
        p_room: room,
        p_question: uuid(),
        p_reply: reply,
        p_content: question,
        p_tier: "basic",
        p_daily_limit: 5,
        p_running_limit: 3,
        p_room_limit: 4,
        p_settings: JSON.stringify(settings),
        p_settings_version: 0,
        p_context_tokens: settings.contextTokens,
        p_input_price: 0,
        p_output_micros: 0,
        p_search_micros: 0
      })
      replies.push(reply)
    }
    const [first = "", second = ""] = replies
    return { user, room, first, second }
  }

  const ended = (id: string, seconds: number) =>
    until(
      `the end of reply ${id}`,
      async () => {
        const reply = await replyOf(database, id)
        return ["completed", "failed"].includes(reply.status) && reply
      },
      { seconds: seconds }
    )

  const used = async (user: string) =>
    (await database.query<{ used: number }>("select used from usage_daily where quota_key = $1", [user]))[0]?.used

  it("announces a reply that was committed but not announced", async () => {
    const { first, second, user } = await unannounced("[[say one]]", "[[say two]]")
    assert.strictEqual((await ended(first, 20)).content, "one")
    assert.strictEqual((await ended(second, 10)).content, "two")
    assert.strictEqual(await used(user), 2)
  })

  it("takes over a reply whose lease expired", async () => {
    const { first } = await unannounced("[[say taken over]]")
    const dead = crypto.randomUUID()
    await database.query(
      `update messages set status = 'processing', attempt = 1, worker_id = $2, started_at = now(),
        lease_until = clock_timestamp() + interval '3 seconds' where id = $1`,
      [first, dead]
    )
    await sleep(2_000)
    assert.strictEqual((await replyOf(database, first)).worker_id, dead)
    const reply = await ended(first, 20)
    assert.strictEqual(reply.attempt, 2)
    assert.strictEqual(reply.content, "taken over")
  })

  it("ignores a reply whose lease is renewed", async () => {
    const { first } = await unannounced("[[say never]]")
    await database.query(
      "update messages set status = 'processing', attempt = 1, started_at = now(), lease_until = now() + interval '1 hour' where id = $1",
      [first]
    )
    await sleep(7_000)
    assert.strictEqual((await replyOf(database, first)).status, "processing")
    await database.query("update messages set lease_until = now() where id = $1", [first])
    assert.strictEqual((await ended(first, 20)).attempt, 2)
  })

  it("fails a reply past its deadline, refunds it, and lets the room continue", async () => {
    const { first, second, user } = await unannounced("[[say too late]]", "[[say in time]]")
    await database.query(
      "update messages set status = 'waiting', retry_at = now() - interval '5 seconds', attempt = 3, started_at = now() - interval '601 seconds' where id = $1",
      [first]
    )
    const late = await ended(first, 20)
    assert.strictEqual(late.status, "failed")
    assert.strictEqual(late.error_code, "model_unavailable")
    assert.strictEqual(late.quota_state, "refunded")
    assert.strictEqual((await ended(second, 10)).content, "in time")
    assert.strictEqual(await used(user), 1)
    assert.deepStrictEqual(
      gemini.log("too late").filter((entry) => !JSON.stringify(entry).includes("in time")),
      []
    )
  })

  it("announces the next reply when its predecessor ended without doing so", async () => {
    const { first, second, user } = await unannounced("[[say ended without news]]", "[[say next]]")
    await call("finish_reply", {
      p_user: user,
      p_reply: first,
      p_status: "failed",
      p_truncated: false,
      p_error_code: "model_unavailable",
      p_refunds_a_day: 5,
      p_basic_running: 3,
      p_pro_running: 10
    })
    assert.strictEqual((await ended(second, 20)).content, "next")
    assert.strictEqual(await used(user), 1)
  })

  it("announces a waiting reply when it is due, not before", async () => {
    const { first } = await unannounced("[[say later]]")
    const due = new Date(Date.now() + 5_000)
    await database.query("update messages set status = 'waiting', retry_at = $2, started_at = now(), attempt = 1 where id = $1", [
      first,
      due
    ])
    const reply = await ended(first, 30)
    assert.isAtLeast(reply.completed_at?.getTime() ?? 0, due.getTime())
  })

  it("ignores a reply whose job is due in the future", async () => {
    const { first, user } = await unannounced("[[say not yet]]")
    const due = new Date(Date.now() + 9_000)
    await database.query(
      "select graphile_worker.add_job('reply', json_build_object('userId', $1::text, 'replyId', $2::text), run_at => $3, job_key => $2)",
      [user, first, due]
    )
    await database.query(
      "update messages set status = 'waiting', retry_at = now() - interval '3 seconds', started_at = now(), attempt = 1 where id = $1",
      [first]
    )
    const reply = await ended(first, 40)
    assert.isAtLeast(reply.completed_at?.getTime() ?? 0, due.getTime())
  })

  it("forgets jobs that others have replaced", () =>
    until(
      "the job to go",
      async () =>
        (await database.query("select 1 from graphile_worker._private_jobs where payload::text like '%superseded%'")).length ===
        0,
      { seconds: 5 }
    ))

  it("unlocks the jobs of a dead worker", async () => {
    const { first, user } = await unannounced("[[say mine]]")
    // Old enough to be found by the sweep that unlocks its job: afterwards the job is due in an hour.
    await database.query("update messages set queued_at = queued_at - interval '10 seconds' where id = $1", [first])
    const dead = `pool-${crypto.randomUUID()}`
    await database.query(
      "select graphile_worker.add_job('reply', json_build_object('userId', $1::text, 'replyId', $2::text), job_key => $2, run_at => now() + interval '1 hour')",
      [user, first]
    )
    await database.query(
      "update graphile_worker._private_jobs set locked_at = now(), locked_by = $2, attempts = 1 where key = $1",
      [first, dead]
    )
    await database.query(
      "insert into worker_heartbeats values (gen_random_uuid(), array[$1], now(), now() - interval '46 seconds')",
      [dead]
    )
    await ended(first, 20)
    await until(
      "the dead worker's job to be unlocked",
      async () => (await database.query("select 1 from graphile_worker.jobs where locked_by = $1", [dead])).length === 0,
      { seconds: 6 }
    )
  })

  it("takes a free lock for that of a killed worker only on the server where it was taken", async () => {
    const [killed, promoted, unknown] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()]
    const [{ own } = { own: 0 }] = await database.query<{ own: number }>(`select ${timeline} as own`)
    const beat = (id: string, of: number | null) =>
      database.query(
        `insert into worker_heartbeats (id, graphile_worker_ids, seen_at, locked_since, locked_timeline)
         values ($1, '{}', now() + interval '1 hour', now(), $2)`,
        [id, of]
      )
    // As a promoted standby has it: the row is replicated, the lock is not.
    await beat(promoted, own + 1)
    // As a worker of the release before writes it.
    await beat(unknown, null)
    await beat(killed, own)
    const left = async () =>
      (
        await database.query<{ id: string }>("select id from worker_heartbeats where id = any($1)", [[killed, promoted, unknown]])
      ).map(({ id }) => id)
    // Within half a minute of the server's start a free lock says nothing.
    await until("the killed worker to be found", async () => !(await left()).includes(killed), { seconds: 60 })
    assert.sameMembers(await left(), [promoted, unknown])
    await database.query("delete from worker_heartbeats where id = any($1)", [[promoted, unknown]])
  })

  afterAll(async () => assert.deepStrictEqual(await violatedInvariants(database), []))
})
