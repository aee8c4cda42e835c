import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import type { Person, Reply } from "../support/Client.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd, awaitStatus, sendQuestion, uniquePrompt, usedToday } from "../support/messages.ts"
import { unknownId } from "../support/responses.ts"
import { atEveryBackend, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"

vi.setConfig({ maxConcurrency: 4 })

let backends: TestBackends
beforeAll(async () => {
  backends = await startTwoBackends({ BASIC_DAILY_PROMPTS: "1000" })
})
afterAll(() => backends.stop())

const only = { index: 1, count: 1, previous: null, next: null }

/** A user in a room. */
const inRoom = async () => {
  const [one, other] = atEveryBackend(backends, await backends.newUser())
  assert.isDefined(one)
  assert.isDefined(other)
  const room = await one.room()
  const call = (method: string, path: string, body?: object, headers?: Record<string, string>, person = one) =>
    person.call(method, `/chatroom/${room}${path}`, body, headers)
  return {
    one,
    other,
    room,
    call,
    /** Asks, and waits for the end of the reply. */
    ask: async (content: string) => {
      const sent = await one.ask(room, content)
      assert.strictEqual(sent.status, 202, sent.text)
      const { body } = await awaitEnd(one, sent)
      return { question: sent.body.message.id as string, reply: body.id as string, content: body.content as string }
    },
    edit: (id: string, content: string, headers: Record<string, string> = {}, person: Person = one) =>
      call("POST", `/message/${id}/edit`, { content }, headers, person),
    head: async (): Promise<string | null> => (await call("GET", "")).body.headId,
    texts: async (query = "?branch=active"): Promise<ReadonlyArray<string>> =>
      (await call("GET", `/messages${query}`)).body.data.map(({ content }: { content: string }) => content)
  }
}

const codeOf = ({ body, status }: Reply) => `${status} ${body?.code}`

describe.concurrent("an edited question", () => {
  it("is accepted like a sent one, on a branch of its own, also the first question", async () => {
    const { ask, call, edit, head, one, room, texts } = await inRoom()
    const name = uniquePrompt("edited")
    const old = await ask("[[say One.]] first")
    const next = await ask("[[say Two.]] second")
    const sent = await edit(old.question, `[[say Other.]] ${name}`)
    assert.strictEqual(sent.status, 202, sent.text)
    assert.strictEqual(sent.headers.get("location"), `/chatroom/${room}/message/${sent.body.reply.id}`)
    assert.strictEqual(sent.headers.get("retry-after"), "1")
    assert.strictEqual(sent.body.quota.used, 3)
    const { message, reply } = sent.body
    assert.deepInclude(message, { role: "user", status: "completed", parentId: null, content: `[[say Other.]] ${name}` })
    assert.deepStrictEqual(message.versions, { index: 2, count: 2, previous: old.question, next: null })
    assert.deepInclude(reply, { parentId: message.id, replyTo: message.id, status: "queued", versions: only })
    await awaitEnd(one, sent)
    assert.deepStrictEqual(turnsOf(callsAbout(backends, name).at(-1)), [`user: [[say Other.]] ${name}`])
    assert.strictEqual(await head(), reply.id)
    assert.deepStrictEqual(await texts(), ["Other.", `[[say Other.]] ${name}`])
    // Nothing is deleted, and an old client sees all of it.
    assert.deepStrictEqual(await texts(""), [
      "Other.",
      `[[say Other.]] ${name}`,
      "Two.",
      "[[say Two.]] second",
      "One.",
      "[[say One.]] first"
    ])
    const first = (await call("GET", `/message/${old.question}`)).body
    assert.deepStrictEqual(first.versions, { index: 1, count: 2, previous: null, next: message.id })
    assert.strictEqual((await call("GET", `/message/${next.question}`)).body.parentId, old.reply)
    assert.strictEqual(await usedToday(one), 3)
  })

  it("has the context of its place, and the settings of its request", async () => {
    const { ask, call, edit, one } = await inRoom()
    await ask("[[say One.]] place a")
    const second = await ask("[[say Two.]] place b")
    await ask("[[say Three.]] place c")
    const name = uniquePrompt("place d")
    const body = { content: name, settings: { temperature: 0.25, systemPrompt: "Be a pirate." } }
    const sent = await call("POST", `/message/${second.question}/edit`, body)
    await awaitEnd(one, sent)
    const made = callsAbout(backends, name).at(-1)
    assert.deepStrictEqual(turnsOf(made), ["user: [[say One.]] place a", "model: One.", `user: ${name}`])
    assert.include(JSON.stringify(made?.body), '"temperature":0.25')
    assert.include(JSON.stringify(made?.body), "Be a pirate.")
    const later = uniquePrompt("place e")
    const answer = (await call("GET", `/message/${sent.body.reply.id}`)).body.content
    await ask(later)
    assert.deepStrictEqual(turnsOf(callsAbout(backends, later).at(-1)), [
      "user: [[say One.]] place a",
      "model: One.",
      `user: ${name}`,
      `model: ${answer}`,
      `user: ${later}`
    ])
    assert.strictEqual((await edit(second.question, " ")).body.code, "validation_failed")
  })

  it("waits for its reply, and is replayed by its idempotency key without quota", async () => {
    const { ask, call, one, other } = await inRoom()
    const { question } = await ask("[[say x]]")
    const path = `/message/${question}/edit?wait=20`
    const key = { "idempotency-key": "edit-1" }
    const first = await call("POST", path, { content: "[[say y]]" }, key)
    assert.strictEqual(first.status, 201, first.text)
    assert.strictEqual(first.body.reply.content, "y")
    const again = await call("POST", path, { content: "[[say y]]" }, key, other)
    assert.strictEqual(again.status, 201)
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    assert.deepStrictEqual(again.body, first.body)
    assert.strictEqual(codeOf(await call("POST", path, { content: "[[say z]]" }, key)), "422 idempotency_key_reused")
    // A key belongs to its route.
    assert.strictEqual(
      (await call("POST", "/message?wait=20", { content: "[[say y]]" }, key)).headers.get("idempotent-replayed"),
      null
    )
    const many = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        call(
          "POST",
          `/message/${question}/edit`,
          { content: "[[say w]]" },
          { "idempotency-key": "edit-2" },
          index % 2 ? other : one
        )
      )
    )
    assert.strictEqual(new Set(many.map(({ body }) => body.reply?.id)).size, 1)
    assert.strictEqual(await usedToday(one), 4)
  })

  it("exists beside another one that is made at the same time; the room stands on the later", async () => {
    const { ask, call, edit, head, one, other } = await inRoom()
    const old = await ask("[[say x]] race")
    const sent = await Promise.all([edit(old.question, "[[say a]] race"), edit(old.question, "[[say b]] race", {}, other)])
    assert.deepStrictEqual(
      sent.map(({ status }) => status),
      [202, 202]
    )
    for (const answer of sent) assert.strictEqual((await awaitEnd(one, answer)).body.status, "completed")
    const ids = sent.map(({ body }) => body.message.id as string).toSorted()
    const later = sent.find(({ body }) => body.message.id === ids[1])
    assert.strictEqual(await head(), later?.body.reply.id)
    const versions = await Promise.all(
      [old.question, ...ids].map(async (id) => (await call("GET", `/message/${id}`)).body.versions)
    )
    assert.deepStrictEqual(versions, [
      { index: 1, count: 3, previous: null, next: ids[0] },
      { index: 2, count: 3, previous: old.question, next: ids[1] },
      { index: 3, count: 3, previous: ids[0], next: null }
    ])
    assert.strictEqual(await usedToday(one), 3)
  })

  it("is refused while a reply to it, or to a question that follows it, has not ended, and takes no quota", async () => {
    const { ask, call, edit, one, room } = await inRoom()
    const old = await ask("[[say x]] running")
    const slow = await sendQuestion(one, "[[latency 60000]] running", room)
    assert.strictEqual(codeOf(await edit(old.question, "too early")), "409 not_finished")
    const question = (await call("GET", `/message/${slow.reply}`)).body.replyTo
    assert.strictEqual(codeOf(await edit(question, "too early")), "409 not_finished")
    assert.strictEqual(codeOf(await call("DELETE", `/message/${old.question}`)), "409 not_finished")
    assert.strictEqual(codeOf(await call("DELETE", `/message/${question}`)), "409 not_finished")
    assert.strictEqual(codeOf(await call("POST", "/fork", {})), "409 not_finished")
    assert.strictEqual(await usedToday(one), 2)
    await call("POST", `/message/${slow.reply}/cancel`)
    assert.strictEqual((await edit(question, "[[say y]]")).status, 202)
  })

  it("is refused for a reply, and beyond 50 versions", async () => {
    const { ask, call, edit, one, room } = await inRoom()
    const { question, reply } = await ask("[[say x]] versions")
    assert.strictEqual(codeOf(await edit(reply, "words")), "409 not_a_question")
    assert.strictEqual(codeOf(await call("DELETE", `/message/${reply}`)), "409 not_a_question")
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, created_at, completed_at)
        select $1, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $2, 'user', 'version', 'completed', now(), now()
        from generate_series(1, 48) n`,
      [one.userId, room]
    )
    const last = await edit(question, "[[say y]]")
    assert.strictEqual(last.status, 202, last.text)
    assert.strictEqual(last.body.message.versions.count, 50)
    await awaitEnd(one, last)
    const refused = await edit(question, "one more")
    assert.strictEqual(codeOf(refused), "409 too_many_branches")
    assert.strictEqual(refused.body.limit, 50)
    assert.strictEqual(await usedToday(one), 2)
  })
})

describe.concurrent("moving a room to another branch", () => {
  it("goes down to the newest message of the branch, and changes the list of rooms", async () => {
    const { ask, call, edit, head, one, other, room, texts } = await inRoom()
    const first = await ask("[[say One.]] move")
    const second = await ask("[[say Two.]] move")
    const etag = (await other.call("GET", "/chatroom")).headers.get("etag") ?? ""
    const edited = await edit(first.question, "[[say Other.]] move")
    await awaitEnd(one, edited)
    const listed = async () =>
      (await other.call("GET", "/chatroom")).body.data.find(({ id }: { id: string }) => id === room)?.headId
    await until("the list to follow the edit", async () => (await listed()) === edited.body.reply.id)
    assert.strictEqual((await other.call("GET", "/chatroom", undefined, { "if-none-match": etag })).status, 200)
    for (const target of [first.question, first.reply, second.question, second.reply]) {
      const moved = await call("PATCH", "", { headId: target })
      assert.strictEqual(moved.status, 200, moved.text)
      assert.strictEqual(moved.body.headId, second.reply)
      assert.deepStrictEqual(await texts(), ["Two.", "[[say Two.]] move", "One.", "[[say One.]] move"])
      await call("PATCH", "", { headId: edited.body.message.id, pinned: true })
      assert.strictEqual(await head(), edited.body.reply.id)
    }
    await until("the list to follow the move", async () => (await listed()) === edited.body.reply.id)
    assert.isTrue((await call("GET", "")).body.pinned)
  })

  it("is refused while a reply of the room runs, and for a message of another room; other settings stay", async () => {
    const { ask, call, head, one, room } = await inRoom()
    const { question, reply } = await ask("[[say x]] switch")
    const elsewhere = await one.room()
    const foreign = await sendQuestion(one, "[[say y]]", elsewhere)
    const refused = await call("PATCH", "", { headId: foreign.reply, title: "Moved" })
    assert.strictEqual(codeOf(refused), "400 validation_failed")
    assert.deepStrictEqual(
      refused.body.errors.map(({ path }: { path: string }) => path),
      ["/headId"]
    )
    assert.strictEqual(codeOf(await call("PATCH", "", { headId: unknownId })), "400 validation_failed")
    const slow = await sendQuestion(one, "[[latency 60000]] switch", room)
    await awaitStatus(one, slow, "processing")
    assert.strictEqual(codeOf(await call("PATCH", "", { headId: question, title: "Moved" })), "409 not_finished")
    assert.strictEqual((await call("PATCH", "", { pinned: true })).status, 200)
    assert.notStrictEqual((await call("GET", "")).body.title, "Moved")
    await call("POST", `/message/${slow.reply}/cancel`)
    assert.strictEqual((await call("PATCH", "", { headId: reply })).status, 200)
    // The question with the cancelled reply is the newest child of the first reply.
    assert.strictEqual(await head(), slow.reply)
  })
})

describe.concurrent("a page of the active branch", () => {
  it("has messages of that branch alone, in both directions, and ends with the first question", async () => {
    const { ask, call, edit, one } = await inRoom()
    await ask("[[say 1]] page")
    const second = await ask("[[say 2]] page")
    await awaitEnd(one, await edit(second.question, "[[say 3]] page"))
    await ask("[[say 4]] page")
    const contents = async (query: string) => {
      const { body } = await call("GET", `/messages?branch=active${query}`)
      return body.data.map(({ content }: { content: string }) => content.replace(/\[\[say (\d)\]\] page/, "ask $1"))
    }
    assert.deepStrictEqual(await contents(""), ["4", "ask 4", "3", "ask 3", "1", "ask 1"])
    const page = (await call("GET", "/messages?branch=active&limit=3")).body
    assert.isTrue(page.hasMore)
    assert.deepStrictEqual(await contents(`&limit=3&cursor=${page.nextCursor}`), ["ask 3", "1", "ask 1"])
    const [, oldest] = (await call("GET", "/messages?branch=active")).body.data.toReversed()
    assert.deepStrictEqual(await contents(`&after=${oldest.id}&limit=3`), ["ask 3", "3", "ask 4"])
    const forwards = (await call("GET", `/messages?branch=active&after=${oldest.id}&limit=3`)).body
    assert.deepStrictEqual(await contents(`&limit=3&cursor=${forwards.nextCursor}`), ["4"])
    assert.deepStrictEqual(await contents(`&before=${page.data[0].id}&limit=2`), ["ask 4", "3"])
    // A cursor is that of its list.
    assert.strictEqual(codeOf(await call("GET", `/messages?cursor=${page.nextCursor}`)), "400 validation_failed")
    assert.strictEqual(codeOf(await call("GET", "/messages?branch=both")), "400 validation_failed")
  })

  it("is empty in an empty room", async () => {
    const { call } = await inRoom()
    const { body } = await call("GET", "/messages?branch=active")
    assert.deepStrictEqual(body, { data: [], hasMore: false, nextCursor: null })
    assert.deepStrictEqual((await call("GET", "/export")).body.messages, [])
  })
})

describe.concurrent("the export and the receipt", () => {
  it("have the active branch, and name messages of other branches", async () => {
    const { ask, call, edit, one } = await inRoom()
    const first = await ask("[[say 1]] export")
    const second = await ask("[[say 2]] export")
    const edited = await edit(first.question, "[[say 3]] export")
    await awaitEnd(one, edited)
    const last = await ask("[[say 4]] export")
    const texts = async (query: string) => {
      const { body } = await call("GET", `/export${query}`)
      return body.messages.map(({ content }: { content: string }) => (content.at(0) === "[" ? "?" : content)).join("")
    }
    assert.strictEqual(await texts(""), "?3?4")
    assert.strictEqual(await texts("?branch=all"), "?1?2?3?4")
    const { text } = await call("GET", "/export?format=markdown")
    assert.include(text, "[[say 3]] export")
    assert.notInclude(text, "[[say 2]] export")
    assert.include((await call("GET", "/export?format=markdown&branch=all")).text, "[[say 2]] export")
    const receipt = (await call("GET", `/message/${last.reply}/context`)).body
    assert.deepStrictEqual(
      receipt.included.map(({ id }: { id: string }) => id),
      [edited.body.message.id, edited.body.reply.id, last.question]
    )
    assert.deepStrictEqual(
      receipt.dropped,
      [first.question, first.reply, second.question, second.reply].map((id) => ({ id, reason: "other_branch" }))
    )
    const { body } = await one.call("GET", "/search?q=export")
    assert.strictEqual(body.data.length, 4)
  })

  it("list the newest 200 of the messages on other branches", async () => {
    const { ask, call, edit, one, room } = await inRoom()
    const { question, reply } = await ask("[[say 1]] many")
    await backends.database.query(
      `with ids as (
        select n, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
          ('01980000-0000-7000-8000-' || lpad(to_hex(n - 1), 12, '0'))::uuid as before from generate_series(1, 300) n
      )
      insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, created_at, completed_at)
      select $1, id, $2, case when n % 2 = 1 then 'user' else 'model' end, 'text', 'completed', case when n % 2 = 0 then before end,
        case when n = 1 then $3::uuid when n % 2 = 1 then before end, now(), now() from ids`,
      [one.userId, room, reply]
    )
    const sent = await edit(question, "[[say 2]] many")
    await awaitEnd(one, sent)
    const { dropped } = (await call("GET", `/message/${sent.body.reply.id}/context`)).body
    assert.strictEqual(dropped.length, 200)
    assert.deepStrictEqual(dropped.at(-1), { id: reply, reason: "other_branch" })
  })
})

describe.concurrent("a copy of a branch", () => {
  it("has the messages up to the named one, continues there, and takes no quota", async () => {
    const { ask, call, edit, one, room } = await inRoom()
    await call("PATCH", "", { systemPrompt: "Be brief.", temperature: 0.5, title: "Origin" })
    const first = await ask("[[say One.]] fork")
    await ask("[[say Two.]] fork")
    await awaitEnd(one, await edit(first.question, "[[say Other.]] fork"))
    await call("PUT", `/message/${first.reply}/feedback`, { rating: "up" })
    const key = { "idempotency-key": "fork-1" }
    const made = await call("POST", "/fork", { messageId: first.reply, title: "Copy" }, key)
    assert.strictEqual(made.status, 201, made.text)
    assert.strictEqual(made.headers.get("location"), `/chatroom/${made.body.id}`)
    assert.deepInclude(made.body, { title: "Copy", titleSource: "user", systemPrompt: "Be brief.", temperature: 0.5 })
    const again = await call("POST", "/fork", { messageId: first.reply, title: "Copy" }, key)
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    assert.deepStrictEqual(again.body, made.body)
    assert.strictEqual(codeOf(await call("POST", "/fork", {}, key)), "422 idempotency_key_reused")
    const copy = (await one.call("GET", `/chatroom/${made.body.id}`)).body
    assert.deepStrictEqual(
      copy.messages.map(({ content }: { content: string }) => content),
      ["[[say One.]] fork", "One."]
    )
    assert.deepInclude(copy.messages[1], {
      status: "completed",
      feedback: null,
      costMicros: null,
      replyTo: copy.messages[0].id,
      versions: only
    })
    assert.strictEqual(copy.headId, copy.messages[1].id)
    const all = await call("POST", "/fork", {})
    assert.deepInclude(all.body, { title: "Origin", titleSource: "user" })
    assert.strictEqual(await usedToday(one), 3)
    assert.isTrue((await one.call("GET", "/chatroom")).body.data[0].id === all.body.id)

    const name = uniquePrompt("fork")
    await awaitEnd(one, await one.ask(made.body.id, name))
    assert.deepStrictEqual(turnsOf(callsAbout(backends, name).at(-1)), [
      "user: [[say One.]] fork",
      "model: One.",
      `user: ${name}`
    ])
    assert.deepInclude((await one.call("GET", `/chatroom/${room}`)).body, { title: "Origin" })
  })

  it("ends with a question whose reply can be made", async () => {
    const { ask, call, one } = await inRoom()
    const name = uniquePrompt("unanswered copy")
    const { question } = await ask(`[[say One.]] ${name}`)
    const copy = (await call("POST", "/fork", { messageId: question })).body
    assert.strictEqual(copy.headId, (await one.call("GET", `/chatroom/${copy.id}/messages`)).body.data[0].id)
    const answered = await one.call("POST", `/chatroom/${copy.id}/message/${copy.headId}/regenerate`)
    assert.strictEqual(answered.status, 202, answered.text)
    assert.strictEqual((await awaitEnd(one, answered)).body.content, "One.")
  })

  it("is refused beyond 2,000 messages and 1,000 rooms", async () => {
    const { ask, call, one, room } = await inRoom()
    const { reply } = await ask("[[say 1]] long")
    await backends.database.query(
      `with ids as (
        select n, ('01f80000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
          ('01f80000-0000-7000-8000-' || lpad(to_hex(n - 1), 12, '0'))::uuid as before from generate_series(1, 2000) n
      )
      insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, created_at, completed_at)
      select $1, id, $2, case when n % 2 = 1 then 'user' else 'model' end, 'text', 'completed', case when n % 2 = 0 then before end,
        case when n = 1 then $3::uuid when n % 2 = 1 then before end, now(), now() from ids`,
      [one.userId, room, reply]
    )
    const end = (n: number) => `01f80000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`
    const refused = await call("POST", "/fork", { messageId: end(2_000) })
    assert.strictEqual(codeOf(refused), "409 too_many_messages")
    const copied = await call("POST", "/fork", { messageId: end(1_998) })
    assert.strictEqual(copied.status, 201, copied.text)
    const [count] = await backends.database.query<{ count: number }>(
      "select count(*)::int as count from messages where chatroom_id = $1",
      [copied.body.id]
    )
    assert.strictEqual(count?.count, 2_000)
    await backends.database.query("update users set chatrooms = 1000 where id = $1", [one.userId])
    assert.strictEqual(codeOf(await call("POST", "/fork", { messageId: reply })), "409 too_many_chatrooms")
  })
})

describe.concurrent("deleting a question", () => {
  it("deletes everything under it, and moves a room that stands there", async () => {
    const { ask, call, edit, head, one, texts } = await inRoom()
    const first = await ask("[[say 1]] delete")
    const second = await ask("[[say 2]] delete")
    const edited = await edit(second.question, "[[say 3]] delete")
    await awaitEnd(one, edited)
    const third = await ask("[[say 4]] delete")
    assert.strictEqual((await call("DELETE", `/message/${edited.body.message.id}`)).status, 204)
    assert.strictEqual(await head(), second.reply)
    assert.deepStrictEqual(await texts(""), ["2", "[[say 2]] delete", "1", "[[say 1]] delete"])
    assert.strictEqual(codeOf(await call("GET", `/message/${third.reply}`)), "404 message_not_found")
    assert.deepStrictEqual((await call("GET", `/message/${second.question}`)).body.versions, only)
    assert.strictEqual(codeOf(await call("DELETE", `/message/${third.question}`)), "404 message_not_found")
    assert.strictEqual((await call("DELETE", `/message/${first.question}`)).status, 204)
    assert.isNull(await head())
    assert.deepStrictEqual(await texts(""), [])
    const name = uniquePrompt("after the deletion")
    await ask(name)
    assert.deepStrictEqual(turnsOf(callsAbout(backends, name).at(-1)), [`user: ${name}`])
    assert.strictEqual(await usedToday(one), 5)
  })

  it("leaves a room where it stands, when that is on another branch", async () => {
    const { ask, call, edit, head, one } = await inRoom()
    const first = await ask("[[say 1]] leave")
    const edited = await edit(first.question, "[[say 2]] leave")
    await awaitEnd(one, edited)
    assert.strictEqual((await call("DELETE", `/message/${first.question}`)).status, 204)
    assert.strictEqual(await head(), edited.body.reply.id)
  })
})

describe.concurrent("another user's room, or a message of another room,", () => {
  it("does not exist", async () => {
    const { ask, call, one, room } = await inRoom()
    const bob = await backends.newUser()
    const { question } = await ask("[[say x]] mine")
    const foreign = await one.room()
    const place = `/chatroom/${room}`
    const answers = [
      await bob.call("POST", `${place}/message/${question}/edit`, { content: "x" }),
      await bob.call("PATCH", place, { headId: question }),
      await bob.call("POST", `${place}/fork`, {}),
      await bob.call("POST", `${place}/fork`, { messageId: question }),
      await bob.call("DELETE", `${place}/message/${question}`),
      await bob.call("GET", `${place}/messages?branch=active`),
      await bob.call("GET", `${place}/export`),
      await one.call("POST", `/chatroom/${unknownId}/message/${question}/edit`, { content: "x" })
    ]
    for (const answer of answers) assert.strictEqual(codeOf(answer), "404 chatroom_not_found")
    const own = await bob.room()
    const others = [
      await one.call("POST", `/chatroom/${foreign}/message/${question}/edit`, { content: "x" }),
      await one.call("POST", `/chatroom/${foreign}/fork`, { messageId: question }),
      await one.call("DELETE", `/chatroom/${foreign}/message/${question}`),
      await bob.call("POST", `/chatroom/${own}/message/${question}/edit`, { content: "x" }),
      await bob.call("POST", `/chatroom/${own}/fork`, { messageId: question }),
      await bob.call("DELETE", `/chatroom/${own}/message/${question}`)
    ]
    for (const answer of others) assert.strictEqual(codeOf(answer), "404 message_not_found")
    assert.strictEqual(codeOf(await bob.call("PATCH", `/chatroom/${own}`, { headId: question })), "400 validation_failed")
    assert.strictEqual((await call("GET", `/message/${question}`)).status, 200)
    assert.strictEqual(await usedToday(bob), 0)
    assert.strictEqual((await bob.call("GET", `/chatroom/${own}/messages?branch=active&before=${question}`)).body.data.length, 0)
  })
})
