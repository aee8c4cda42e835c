import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd, readEnded, uniquePrompt } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

interface OldMessage {
  readonly id: string
  readonly role: "user" | "model"
  readonly text: string
  readonly status?: string
  readonly replyTo?: string
}

/** A room as an earlier release made it: a failed question, and a first answer that was made again after the second question. */
const olderRoom = async (person: Person) => {
  const room = await person.room()
  const [q1, r1, q2, r2, q3, r3, again, q4, r4] = Array.from({ length: 9 }, () => uuid())
  const messages: ReadonlyArray<OldMessage> = [
    { id: q1 ?? "", role: "user", text: "question one" },
    { id: r1 ?? "", role: "model", text: "first answer", replyTo: q1 ?? "" },
    { id: q2 ?? "", role: "user", text: "question two" },
    { id: r2 ?? "", role: "model", text: "second answer", replyTo: q2 ?? "" },
    { id: q3 ?? "", role: "user", text: "question three" },
    { id: r3 ?? "", role: "model", text: "", status: "failed", replyTo: q3 ?? "" },
    { id: again ?? "", role: "model", text: "first answer, better", replyTo: q1 ?? "" },
    { id: q4 ?? "", role: "user", text: "question four" },
    { id: r4 ?? "", role: "model", text: "fourth answer", replyTo: q4 ?? "" }
  ]
  for (const { id, replyTo, role, status = "completed", text } of messages) {
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, superseded_by, quota_state, created_at, completed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, now(), now())`,
      [person.userId, id, room, role, text, status, replyTo, id === r1 ? again : null, role === "model" ? "spent" : null]
    )
  }
  await backends.database.query("update chatrooms set last_message_at = now() where id = $1", [room])
  return { room, messages }
}

/** What the model got of this room in earlier releases: each answered question with its newest completed reply. */
const context = [
  "user: question one",
  "model: first answer, better",
  "user: question two",
  "model: second answer",
  "user: question four",
  "model: fourth answer"
]
const path = context.map((turn) => turn.slice(turn.indexOf(" ") + 1))

const listOf = async (person: Person, room: string) => {
  const { body } = await person.call("GET", `/chatroom/${room}/messages`)
  return body.data as ReadonlyArray<Record<string, unknown>>
}
/** Without the fields that a client of an earlier release does not know. */
const asBefore = (list: ReadonlyArray<Record<string, unknown>>) =>
  list.map((message) => ({ ...message, parentId: undefined, versions: undefined }))

const headOf = async (room: string) => {
  const [row] = await backends.database.query<{ head: string | null }>("select head_id as head from chatrooms where id = $1", [
    room
  ])
  return row?.head
}

const branch = async (person: Person, room: string) => {
  const { body } = await person.call("GET", `/chatroom/${room}/messages?branch=active`)
  return body.data.toReversed().map(({ content }: { content: string }) => content)
}

describe("a room from before there were branches", () => {
  it("shows an old client the same list before and after it is filled, and the model the same context", async () => {
    const ada = await backends.newUser()
    const { messages, room } = await olderRoom(ada)
    const before = await listOf(ada, room)
    assert.deepStrictEqual(
      before.map(({ id }) => id),
      messages.map(({ id }) => id).toReversed()
    )
    for (const { versions } of before.filter(({ role }) => role === "user")) {
      assert.deepStrictEqual(versions, { index: 1, count: 1, previous: null, next: null })
    }
    const name = uniquePrompt("question five")
    const sent = await ada.ask(room, name)
    await awaitEnd(ada, sent)
    assert.deepStrictEqual(turnsOf(callsAbout(backends, name).at(-1)), [...context, `user: ${name}`])
    const after = await listOf(ada, room)
    assert.deepStrictEqual(asBefore(after.slice(2)), asBefore(before))
    assert.strictEqual(await headOf(room), sent.body.reply.id)
  })

  it("is filled by a read of its active branch, an edit, a move and a deletion", async () => {
    const ada = await backends.newUser()
    const rooms = await Promise.all(Array.from({ length: 5 }, () => olderRoom(ada)))
    const [read, edited, moved, deleted, copied] = rooms
    assert.isDefined(read)
    assert.deepStrictEqual(await branch(ada, read.room), path)
    assert.isDefined(edited)
    const name = uniquePrompt("edited")
    const [, , second] = edited.messages
    const sent = await ada.call("POST", `/chatroom/${edited.room}/message/${second?.id}/edit`, { content: name })
    await awaitEnd(ada, sent)
    assert.deepStrictEqual(turnsOf(callsAbout(backends, name).at(-1)), [...context.slice(0, 2), `user: ${name}`])
    assert.isDefined(moved)
    // The question with the failed reply follows the second answer, beside the fourth question.
    const failed = moved.messages[5]?.id
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${moved.room}`, { headId: failed })).body.headId, failed)
    assert.deepStrictEqual(await branch(ada, moved.room), [...path.slice(0, 4), "question three", ""])
    assert.isDefined(deleted)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${deleted.room}/message/${deleted.messages[7]?.id}`)).status, 204)
    assert.deepStrictEqual(await branch(ada, deleted.room), [...path.slice(0, 4), "question three", ""])
    assert.isDefined(copied)
    const copy = await ada.call("POST", `/chatroom/${copied.room}/fork`, {})
    assert.deepStrictEqual(await branch(ada, copy.body.id), path)
  })

  it("gives a reply that was accepted before the migration the same context", async () => {
    const ada = await backends.newUser()
    const { room } = await olderRoom(ada)
    const [question, reply] = [uuid(), uuid()]
    const name = uniquePrompt("accepted earlier")
    await backends.database.query(
      `with question as (
        insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
          values ($1, $2, $3, 'user', $4, 'completed', now(), now())
      ), room as (
        update chatrooms set unfinished = 1 where id = $3
      )
      insert into messages (user_id, id, chatroom_id, role, status, reply_to, quota_day, quota_state, queued_at, created_at)
        values ($1, $5, $3, 'model', 'queued', $2, current_date, 'reserved', now() - interval '1 minute', now())`,
      [ada.userId, question, room, name, reply]
    )
    assert.strictEqual((await readEnded(ada, { room, reply })).status, "completed")
    assert.deepStrictEqual(turnsOf(callsAbout(backends, name).at(-1)), [...context, `user: ${name}`])
    assert.strictEqual(await headOf(room), reply)
  })

  it("is filled by the task that the migration queues, room after room", async () => {
    const ada = await backends.newUser()
    const rooms = await Promise.all(Array.from({ length: 3 }, () => olderRoom(ada)))
    // More rooms than one job fills.
    await backends.database.query(
      `with rooms as (
        insert into chatrooms (user_id, id, title, last_message_at)
          select $1, gen_random_uuid(), 'old', now() from generate_series(1, 600) returning id
      ), questions as (
        insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
          select $1, gen_random_uuid(), id, 'user', 'q', 'completed', now(), now() from rooms returning id, chatroom_id
      )
      insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, created_at, completed_at)
        select $1, gen_random_uuid(), chatroom_id, 'model', 'a', 'completed', id, now(), now() from questions`,
      [ada.userId]
    )
    await backends.database.query("select graphile_worker.add_job('fill_branches', '{}', job_key => 'fill_branches')")
    await until("all rooms to be filled", async () => {
      const [row] = await backends.database.query<{ left: number }>(
        "select count(*)::int as left from chatrooms where user_id = $1 and head_id is null",
        [ada.userId]
      )
      return row?.left === 0
    })
    for (const { messages, room } of rooms) {
      assert.strictEqual(await headOf(room), messages.at(-1)?.id)
      assert.deepStrictEqual(await branch(ada, room), path)
    }
  })
})
