import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

/** Milliseconds; each takes some tens. A scan of the room for each question took six seconds. */
const soon = 1_000

let backends: TestBackends

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

const timed = async <A>(work: () => Promise<A>) => {
  const began = performance.now()
  const value = await work()
  return { value, millis: performance.now() - began }
}

describe("a room with 4,000 cancelled exchanges", () => {
  const prepare = async () => {
    const person = await backends.newUser()
    const room = await person.room()
    const first = await person.ask(room, "[[say Before all.]] The first question.", { wait: 20 })
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, quota_state, created_at, completed_at)
        select $1, uuid_after($3, 2 * n + k, gen_random_uuid()), $2, case k when 0 then 'user' else 'model' end, md5(n::text),
          case k when 0 then 'completed' else 'cancelled' end, null, case k when 1 then 'spent' end, now(), now()
        from generate_series(1, 4000) n, generate_series(0, 1) k`,
      [person.userId, room, first.body.reply.id]
    )
    // Each cancelled reply answers the question before it.
    await backends.database.query(
      `update messages m set reply_to = p.id from (
          select id, lead(id) over (order by id) as reply from messages where user_id = $1 and chatroom_id = $2
        ) p where m.user_id = $1 and m.id = p.reply and m.status = 'cancelled'`,
      [person.userId, room]
    )
    await backends.database.query("analyze messages")
    return { person, room, first }
  }

  it("answers, shows its context and regenerates in bounded time, with the exchange before them all", async () => {
    const { first, person, room } = await prepare()
    const asked = await timed(() => person.ask(room, "[[say After all.]] The last question.", { wait: 20 }))
    assert.deepStrictEqual([asked.value.status, asked.value.body.reply.content], [201, "After all."])
    assert.isBelow(asked.millis, soon)
    assert.deepStrictEqual(turnsOf(callsAbout(backends, "The last question.").at(-1)), [
      "user: [[say Before all.]] The first question.",
      "model: Before all.",
      "user: [[say After all.]] The last question."
    ])

    const context = await timed(() => person.call("GET", `/chatroom/${room}/message/${asked.value.body.reply.id}/context`))
    assert.strictEqual(context.value.status, 200)
    assert.isBelow(context.millis, soon)
    assert.strictEqual(context.value.body.dropped.length, 999)

    for (const id of [first.body.message.id, asked.value.body.reply.id]) {
      const again = await timed(async () =>
        awaitEnd(person, await person.call("POST", `/chatroom/${room}/message/${id}/regenerate`))
      )
      assert.strictEqual(again.value.body.status, "completed")
      assert.isBelow(again.millis, soon)
    }
  })
})
