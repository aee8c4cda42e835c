import fc from "fast-check"
import pg from "pg"
import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"

const basic = 2
const pro = 4
const active = ["queued", "processing", "waiting"]

/** What clients and workers do to one user, in the order of the array; each step names a room or a reply by chance. */
type Step = readonly [
  action: "send" | "claim" | "complete" | "postpone" | "expire" | "cancel" | "delete" | "upgrade" | "downgrade" | "sweep",
  pick: number
]
const steps = fc.array(
  fc.tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant("send" as const) },
      { weight: 4, arbitrary: fc.constant("claim" as const) },
      { weight: 4, arbitrary: fc.constant("complete" as const) },
      {
        weight: 4,
        arbitrary: fc.constantFrom(
          "postpone" as const,
          "expire" as const,
          "cancel" as const,
          "delete" as const,
          "upgrade" as const,
          "downgrade" as const,
          "sweep" as const
        )
      }
    ),
    fc.nat(1_000)
  ),
  { minLength: 20, maxLength: 60 }
)

type Reply = {
  readonly id: string
  readonly chatroom_id: string
  readonly status: string
  readonly attempt: number
  readonly priority: number
}

describe("the bound of a user's running replies", () => {
  let database: TestDatabase
  let pool: pg.Pool
  beforeAll(async () => {
    database = await createDatabase()
    pool = new pg.Pool({ connectionString: database.url, max: 8 })
  })
  afterAll(async () => {
    await pool.end()
    await database.drop()
  })

  const one = async <Row extends pg.QueryResultRow>(
    sql: string,
    values: ReadonlyArray<unknown>,
    on: pg.ClientBase | pg.Pool = pool
  ) => (await on.query<Row>(sql, [...values])).rows[0]

  const newUser = async (rooms: number) => {
    const user = uuid()
    await pool.query("insert into users (id, mobile, status, quota_key) values ($1::uuid, $1::text, 'active', $1::text)", [user])
    const ids = Array.from({ length: rooms }, () => uuid())
    for (const room of ids) {
      await pool.query("insert into chatrooms (user_id, id, title) values ($1, $2, 'Test')", [user, room])
    }
    await pool.query("update users set chatrooms = $2 where id = $1", [user, rooms])
    return { user, rooms: ids }
  }

  const send = (user: string, room: string) =>
    one<{ sent: { outcome: string; isHead: boolean; replyId: string; priority: number } }>(
      `select send_message(p_user => $1, p_room => $2, p_question => $3, p_reply => $4, p_content => 'What?', p_again => null,
        p_tier => t.tier, p_daily_limit => 1000, p_running_limit => case t.tier when 'pro' then $6 else $5 end::int, p_room_limit => 4,
        p_title => null, p_settings => '{}', p_settings_version => 0, p_context_tokens => 1, p_input_price => 0, p_output_micros => 0,
        p_daily_searches => 0, p_search_micros => 0, p_budget => null, p_key => null, p_hash => null, p_key_lifetime => '24 hours',
        p_attachments => null, p_attachment_limits => null, p_input => null) as sent
      from (select case when pro_until > clock_timestamp() then 'pro' else 'basic' end as tier from users where id = $1) t`,
      [user, room, uuid(), uuid(), basic, pro]
    )
  const finish = (user: string, reply: string, attempt: number | null, status: string, on: pg.ClientBase | pg.Pool = pool) =>
    one<{ ended: { outcome: string; nextReplies: ReadonlyArray<{ id: string }> } }>(
      `select finish_reply(p_user => $1, p_reply => $2, p_attempt => $3, p_status => $4, p_content => 'So.', p_finish_reason => null,
        p_truncated => false, p_error_code => null, p_error_message => null, p_model => null, p_prompt_tokens => $3::int,
        p_reply_tokens => $3::int, p_thought_tokens => 0, p_cached_tokens => 0, p_tool_tokens => 0, p_calls => '[]',
        p_refunds_a_day => null, p_basic_running => $5, p_pro_running => $6, p_context_ids => null, p_output => null, p_thoughts => null, p_error_detail => null,
        p_grounding => null, p_context_summary => null) as ended`,
      [user, reply, attempt, status, basic, pro],
      on
    )
  const deleteRoom = (user: string, room: string) =>
    one("select delete_chatroom(p_user => $1, p_room => $2, p_basic_running => $3, p_pro_running => $4)", [
      user,
      room,
      basic,
      pro
    ])
  const sweep = (user: string) =>
    one("select release_replies(p_user => $1, p_basic_running => $2, p_pro_running => $3)", [user, basic, pro])
  const claim = (user: string, reply: string) =>
    one("update messages set status = 'processing', attempt = attempt + 1 where user_id = $1 and id = $2 and status = 'queued'", [
      user,
      reply
    ])

  const unfinished = async (user: string) =>
    (
      await pool.query<Reply>(
        "select id, chatroom_id, status, attempt, priority from messages where user_id = $1 and completed_at is null order by id",
        [user]
      )
    ).rows

  /** What is wrong when at most `most` replies may run, and the next one is released while fewer than `limit` do. */
  const faults = async (user: string, limit: number, most = limit) => {
    const replies = await unfinished(user)
    const running = replies.filter(({ status }) => active.includes(status))
    const found: Array<string> = []
    if (running.length > most) found.push(`${running.length} of ${most} run`)
    for (const [room, of] of Map.groupBy(replies, ({ chatroom_id }) => chatroom_id)) {
      const heads = of.filter(({ status }) => active.includes(status))
      if (heads.length > 1) found.push(`room ${room} has ${heads.length} running`)
      if (heads[0] !== undefined && heads[0].id !== of[0]?.id) found.push(`room ${room} runs out of order`)
      if (heads.length === 0 && running.length < limit) found.push(`room ${room} is held with a free place`)
    }
    return found
  }

  const perform = async (user: string, rooms: Array<string>, [action, pick]: Step) => {
    const room = rooms[pick % rooms.length] ?? ""
    const of = async (...states: ReadonlyArray<string>) => {
      const some = (await unfinished(user)).filter(({ status }) => states.includes(status))
      return some[pick % some.length]
    }
    switch (action) {
      case "send":
        return send(user, room)
      case "claim": {
        const reply = await of("queued")
        return reply && claim(user, reply.id)
      }
      case "complete": {
        const reply = await of("processing")
        return reply && finish(user, reply.id, reply.attempt, "completed")
      }
      case "postpone": {
        const reply = await of("processing")
        return (
          reply &&
          one("update messages set status = 'waiting' where user_id = $1 and id = $2 and status = 'processing'", [user, reply.id])
        )
      }
      case "expire":
      case "cancel": {
        const reply = await of("held", ...active)
        return reply && finish(user, reply.id, null, action === "cancel" ? "cancelled" : "failed")
      }
      case "delete":
        return rooms.length > 2 && deleteRoom(user, rooms.splice(pick % rooms.length, 1)[0] ?? "")
      case "upgrade":
      case "downgrade":
        return one("update users set pro_until = $2 where id = $1", [user, action === "upgrade" ? "infinity" : null])
      case "sweep":
        return sweep(user)
    }
  }

  /** Ends all replies as workers do, and returns the ids in the order in which they ran. */
  const drain = async (user: string) => {
    const order: Array<string> = []
    while (true) {
      const [reply] = (await unfinished(user)).filter(({ status }) => active.includes(status))
      if (reply === undefined) return order
      order.push(reply.id)
      await finish(user, reply.id, null, "completed")
    }
  }

  it("is kept by every step, which also holds nothing while a place is free", { timeout: 120_000 }, () =>
    fc.assert(
      fc.asyncProperty(steps, async (actions) => {
        const { rooms, user } = await newUser(8)
        let limit = basic
        for (const step of actions) {
          const [action] = step
          const before = (await unfinished(user)).filter(({ status }) => active.includes(status)).length
          await perform(user, rooms, step)
          if (action === "upgrade") await sweep(user)
          limit = action === "upgrade" ? pro : action === "downgrade" ? basic : limit
          // A downgrade stops nothing: what ran before it may end.
          assert.deepStrictEqual(await faults(user, limit, Math.max(limit, before)), [], action)
        }
        await drain(user)
        assert.deepStrictEqual(await unfinished(user), [])
      }),
      { numRuns: 40 }
    )
  )

  it("is exact under parallel sends, ends, cancels and deletions, without a deadlock", { timeout: 120_000 }, async () => {
    const { rooms, user } = await newUser(12)
    let worst = 0
    let isDone = false
    const watch = (async () => {
      while (!isDone) {
        const [row] = await database.query<{ running: number }>(
          "select count(*)::int as running from messages where user_id = $1 and completed_at is null and status <> 'held'",
          [user]
        )
        worst = Math.max(worst, row?.running ?? 0)
      }
    })()
    const actor = async (seed: number) => {
      const actions = ["send", "send", "send", "claim", "complete", "cancel", "cancel", "sweep"] as const
      for (let count = 0; count < 150; count++) {
        const pick = (seed * 7_919 + count * 104_729) % 1_009
        await perform(user, rooms, [count === 75 && seed < 3 ? "delete" : (actions[pick % actions.length] ?? "send"), pick])
      }
    }
    await Promise.all(Array.from({ length: 6 }, (_, seed) => actor(seed)))
    isDone = true
    await watch
    assert.isAtMost(worst, basic)
    assert.deepStrictEqual(await faults(user, basic), [])
    await drain(user)
    assert.deepStrictEqual(await unfinished(user), [])
    const [rest] = await database.query<{ wrong: number }>(
      "select count(*)::int as wrong from chatrooms where user_id = $1 and unfinished <> 0",
      [user]
    )
    assert.strictEqual(rest?.wrong, 0)
  })

  it("gives a send the place of a reply whose end has not been committed yet", async () => {
    const { rooms, user } = await newUser(3)
    const [first] = [await send(user, rooms[0] ?? ""), await send(user, rooms[1] ?? "")]
    const other = await pool.connect()
    await other.query("begin")
    await finish(user, first?.sent.replyId ?? "", null, "cancelled", other)
    let isSent = false
    const sending = send(user, rooms[2] ?? "").finally(() => (isSent = true))
    await until("the send to wait or to end", async () => {
      const waits = await database.query(
        "select 1 from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database()"
      )
      return isSent || waits.length > 0
    })
    await other.query("commit")
    other.release()
    assert.isTrue((await sending)?.sent.isHead)
    assert.deepStrictEqual(await faults(user, basic), [])
  })

  it("releases in the order of the questions, over all rooms", async () => {
    const { rooms, user } = await newUser(6)
    const sent: Array<string> = []
    for (const room of rooms) sent.push((await send(user, room))?.sent.replyId ?? "")
    assert.deepStrictEqual(
      (await unfinished(user)).map(({ status }) => status),
      ["queued", "queued", "held", "held", "held", "held"]
    )
    const ended = await finish(user, sent[1] ?? "", null, "completed")
    assert.deepStrictEqual(
      ended?.ended.nextReplies.map(({ id }) => id),
      [sent[2]]
    )
    assert.deepStrictEqual(await drain(user), [sent[0], ...sent.slice(2)])
  })

  it("is that of the tier, whose priority each reply keeps", async () => {
    const { rooms, user } = await newUser(6)
    assert.strictEqual((await send(user, rooms[0] ?? ""))?.sent.priority, 10)
    await pool.query("update users set pro_until = 'infinity' where id = $1", [user])
    for (const room of rooms.slice(1)) assert.strictEqual((await send(user, room))?.sent.priority, 0)
    const replies = await unfinished(user)
    assert.deepStrictEqual(
      replies.map(({ priority, status }) => `${status} ${priority}`),
      ["queued 10", "queued 0", "queued 0", "queued 0", "held 0", "held 0"]
    )
  })
})
