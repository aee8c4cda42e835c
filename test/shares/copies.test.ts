import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import type { Person } from "../support/Client.ts"
import { usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { exchange, read, roomWith, share, textsOf, tokenOf } from "./sharing.ts"

let backends: TestBackends
let base: string
let ada: Person
let bob: Person

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
  base = backends.urls[0] ?? ""
  ada = await backends.newUser()
  bob = await backends.newUser()
})
afterAll(() => backends.stop())

const copy = (person: Person, token: string, headers: Record<string, string> = {}) =>
  person.call("POST", `/share/${token}/copy`, {}, headers)
const messagesOf = async (person: Person, room: string) =>
  (await person.call("GET", `/chatroom/${room}`)).body.messages as ReadonlyArray<Record<string, unknown>>

describe("POST /share/:token/copy", () => {
  it("makes a room of the caller with the shared messages, which goes on by itself, without quota", async () => {
    const room = await roomWith(ada, "[[say One.]] first?", "[[say Two.]] second?")
    const token = tokenOf(await share(ada, room, { title: "Shared" }))
    await exchange(ada, room, "[[say Three.]] third?")
    const copied = await copy(bob, token)
    assert.strictEqual(copied.status, 201, copied.text)
    assert.strictEqual(copied.headers.get("location"), `/chatroom/${copied.body.id}`)
    assert.deepEqual([copied.body.title, copied.body.systemPrompt], ["Shared", null])
    const { body } = await bob.call("GET", `/chatroom/${copied.body.id}`)
    const { messages, ...shown } = body
    assert.deepEqual(copied.body, shown)
    const originals = (await messagesOf(ada, room)).slice(0, 4)
    assert.deepEqual(
      messages.map(({ content, role, status }: Record<string, unknown>) => ({ content, role, status })),
      originals.map(({ content, role, status }) => ({ content, role, status }))
    )
    assert.deepEqual([messages[1].replyTo, messages[3].replyTo], [messages[0].id, messages[2].id])
    for (const { id } of originals) assert.notInclude(JSON.stringify(messages), String(id))
    for (const { costMicros, feedback, usage } of messages) assert.deepEqual([costMicros, feedback, usage], [null, null, null])
    assert.strictEqual(await usedToday(bob), 0)
    assert.strictEqual((await bob.call("GET", "/chatroom")).body.data[0].id, copied.body.id)
    // The model gets the copied messages, and the owner's room is unchanged.
    const { reply } = await exchange(bob, copied.body.id, "[[say Mine.]] mine?")
    const context = await bob.call("GET", `/chatroom/${copied.body.id}/message/${reply}/context`)
    assert.lengthOf(context.body.included, 5)
    assert.lengthOf(await messagesOf(ada, room), 6)
    await ada.call("DELETE", `/chatroom/${room}`)
    assert.lengthOf(await messagesOf(bob, copied.body.id), 6)
  })

  it("takes over sources, but no thoughts, settings or feedback", async () => {
    const room = await roomWith(ada, "[[say Rated.]] ?")
    await backends.database.query(
      `update messages set thoughts = 'private', feedback = '{"rating":"up","reasons":[],"comment":null}', feedback_at = now(),
        grounding = '{"sources":[{"url":"https://a.example","title":"A","domain":null}],"citations":[],"searches":[],"searchSuggestions":null,"urls":[]}'
        where chatroom_id = $1 and role = 'model'`,
      [room]
    )
    const { body } = await copy(bob, tokenOf(await share(ada, room)))
    const [row] = await backends.database.query(
      "select thoughts, feedback, settings, grounding->'sources' as sources from messages where chatroom_id = $1 and role = 'model'",
      [body.id]
    )
    const sources = [{ url: "https://a.example", title: "A", domain: null }]
    assert.deepEqual(row, { thoughts: null, feedback: null, settings: null, sources })
  })

  it("replays its first response to the same idempotency key", async () => {
    const token = tokenOf(await share(ada, await roomWith(ada, "[[say Once.]] ?")))
    const headers = { "idempotency-key": "copy" }
    const first = await copy(bob, token, headers)
    const second = await copy(bob, token, headers)
    assert.deepEqual(second.body, first.body)
    assert.strictEqual(second.headers.get("idempotent-replayed"), "true")
    const other = tokenOf(await share(ada, await roomWith(ada, "[[say Other.]] ?")))
    assertProblem(await copy(bob, other, headers), 422, "idempotency_key_reused")
  })

  it("refuses an unknown link, more than 2,000 messages, and more than 16 MiB", async () => {
    assertProblem(await copy(bob, "unknown"), 404, "share_not_found")
    const room = await roomWith(ada, "[[say Large.]] ?")
    /** So many exchanges before the question. */
    const fill = async (count: number) => {
      await backends.database.query(
        `with ids as (
          select n, lpad(n::text, 12, '0') as id, lpad((n - 1)::text, 12, '0') as before from generate_series(1, 2 * $3::int) n
        )
        insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, created_at, completed_at)
          select $1, ('00000000-0000-7000-8000-' || id)::uuid, $2, case when n % 2 = 1 then 'user' else 'model' end, 'more',
            'completed', case when n % 2 = 0 then ('00000000-0000-7000-8000-' || before)::uuid end,
            case when n % 2 = 1 and n > 1 then ('00000000-0000-7000-8000-' || before)::uuid end, now(), now()
          from ids on conflict do nothing`,
        [ada.userId, room, count]
      )
      await backends.database.query(
        `update messages set parent_id = ('00000000-0000-7000-8000-' || lpad((2 * $2::int)::text, 12, '0'))::uuid
          where chatroom_id = $1 and content like '[[say Large%'`,
        [room, count]
      )
    }
    await fill(999)
    const token = tokenOf(await share(ada, room))
    const whole = await copy(bob, token)
    assert.strictEqual(whole.status, 201, whole.text)
    const [copied] = await backends.database.query("select count(*)::int from messages where chatroom_id = $1", [whole.body.id])
    assert.strictEqual(copied?.["count"], 2_000)
    await fill(1_000)
    const refused = await copy(bob, token)
    assertProblem(refused, 409, "share_too_large")
    assert.strictEqual(refused.body.limit, 2_000)
    const heavy = await roomWith(ada, "[[say Heavy.]] ?", "[[say Heavy.]] ?")
    await backends.database.query(
      "update messages set content = repeat('x', 9000000) where chatroom_id = $1 and role = 'model'",
      [heavy]
    )
    assertProblem(await copy(bob, tokenOf(await share(ada, heavy))), 409, "share_too_large")
  })

  it("counts as a new room: the limit of rooms holds", async () => {
    const token = tokenOf(await share(ada, await roomWith(ada, "[[say Full.]] ?")))
    await backends.database.query("update users set chatrooms = 1000 where id = $1", [bob.userId])
    try {
      assertProblem(await copy(bob, token), 409, "too_many_chatrooms")
    } finally {
      await backends.database.query(
        "update users set chatrooms = (select count(*) from chatrooms where user_id = $1) where id = $1",
        [bob.userId]
      )
    }
  })

  it("shows what the link shows", async () => {
    const token = tokenOf(await share(ada, await roomWith(ada, "[[say Same.]] same?")))
    const { body } = await copy(bob, token)
    const again = tokenOf(await share(bob, body.id))
    assert.deepEqual(textsOf(await read(base, again)), textsOf(await read(base, token)))
  })
})
