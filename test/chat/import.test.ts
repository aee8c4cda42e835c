import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { request as send } from "../support/Client.ts"
import type { Person } from "../support/Client.ts"
import { upload } from "../support/files.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ LOG_LEVEL: "none", BASIC_DAILY_PROMPTS: "1000" })
})
afterAll(() => backends.stop())

const ask = async (person: Person, room: string, content: string, attachments?: ReadonlyArray<string>) =>
  (await awaitEnd(person, await person.ask(room, content, attachments === undefined ? {} : { attachments }))).body
const exportOf = async (person: Person, room: string, query = "") =>
  (await person.call("GET", `/chatroom/${room}/export${query}`)).body
const messagesOf = async (person: Person, room: string) => (await exportOf(person, room, "?branch=all&thoughts=true")).messages

/** What an import takes over, with the places of the messages that a message names. */
const shapeOf = (messages: ReadonlyArray<Record<string, unknown>>) => {
  const place = (id: unknown) => messages.findIndex((message) => message["id"] === id)
  return messages.map(
    ({ content, createdAt, error, finishReason, model, parentId, replyTo, role, status, supersededBy, versions }) => {
      const { count, index } = versions as { count: number; index: number }
      const places = [place(parentId), place(replyTo), place(supersededBy), index, count]
      return { content, createdAt, error, finishReason, model, role, status, places }
    }
  )
}

const question = (content = "Why?") => ({ id: uuid(), role: "user", content, createdAt: "2026-01-02T03:04:05.678Z" })
const reply = (to: { readonly id: string }, content = "So.") => ({
  ...question(content),
  role: "model",
  replyTo: to.id,
  completedAt: "2026-01-02T03:04:06Z"
})

describe("POST /chatroom/import", () => {
  it("makes the exported room again, with its branches, for its own user or another", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ title: "Looms", systemPrompt: "Be brief.", temperature: 0.5, thinking: { level: "low" } })
    const first = await ask(ada, room, "[import] One? [[say First.]]")
    await ask(ada, room, "[import] Two? [[say Second.]]")
    await ask(ada, room, "[import] Fails? [[blocked]]")
    await awaitEnd(ada, await ada.call("POST", `/chatroom/${room}/message/${first.id}/regenerate`, {}))
    await awaitEnd(
      ada,
      await ada.call("POST", `/chatroom/${room}/message/${first.replyTo}/edit`, { content: "[import] Else? [[say Other.]]" })
    )
    const exported = await exportOf(ada, room, "?branch=all")
    const used = await usedToday(ada)
    const bob = await backends.newUser()
    for (const person of [ada, bob]) {
      const { body, headers, status } = await person.call("POST", "/chatroom/import", exported)
      assert.strictEqual(status, 201, JSON.stringify(body))
      assert.strictEqual(headers.get("location"), `/chatroom/${body.id}`)
      const taken = ["title", "titleSource", "systemPrompt", "temperature", "thinking", "model", "tools", "summary"]
      for (const field of taken) assert.deepStrictEqual(body[field], exported[field], field)
      const copies = await messagesOf(person, body.id)
      assert.deepStrictEqual(shapeOf(copies), shapeOf(exported.messages))
      const placeOf = (messages: ReadonlyArray<{ id: string }>, id: string) => messages.findIndex((message) => message.id === id)
      assert.strictEqual(placeOf(copies, body.headId), placeOf(exported.messages, exported.headId))
      assert.strictEqual((await person.call("GET", "/chatroom")).body.data[0].id, body.id)
      // A question goes on from there, with the branch as its context.
      await ask(person, body.id, `[import ${person.userId}] And now?`)
      assert.deepStrictEqual(turnsOf(callsAbout(backends, `[import ${person.userId}]`)[0]), [
        "user: [import] Else? [[say Other.]]",
        "model: Other.",
        `user: [import ${person.userId}] And now?`
      ])
    }
    assert.strictEqual(await usedToday(ada), used + 1)
    assert.deepStrictEqual((await messagesOf(bob, (await bob.call("GET", "/chatroom")).body.data[0].id))[1].usage, null)
  })

  it("takes the export of one branch, and messages without `parentId` in their order", async () => {
    const ada = await backends.newUser()
    const [one, two] = [question("One?"), question("Two?")]
    const cancelled = { ...reply(two, "Half of"), status: "processing" }
    const three = question("Three?")
    const room = { title: "Old", messages: [one, reply(one), two, cancelled, three, reply(three)] }
    const { body } = await ada.call("POST", "/chatroom/import", room)
    const found = (await exportOf(ada, body.id)).messages
    assert.deepStrictEqual(
      found.map(({ content }: { content: string }) => content),
      ["One?", "So.", "Three?", "So."]
    )
    const all = await messagesOf(ada, body.id)
    assert.deepStrictEqual(
      all.map(({ content, status }: { content: string; status: string }) => [content, status]),
      [
        ["One?", "completed"],
        ["So.", "completed"],
        ["Two?", "completed"],
        ["Half of", "cancelled"],
        ["Three?", "completed"],
        ["So.", "completed"]
      ]
    )
    assert.strictEqual(all[0].createdAt, one.createdAt)
    const again = await ada.call("POST", "/chatroom/import", await exportOf(ada, body.id))
    assert.strictEqual((await messagesOf(ada, again.body.id)).length, 4)
    const empty = await ada.call("POST", "/chatroom/import", { title: "Empty", messages: [] })
    assert.deepStrictEqual([empty.status, empty.body.headId, empty.body.lastMessageAt], [201, null, null])
  })

  it("keeps files that are the user's, and the names of others", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const { body: file } = await upload(backends.urls[0] ?? "", ada, "text/plain", Buffer.from("A text about looms."), {
      name: "looms.txt"
    })
    const room = await ada.room()
    await ask(ada, room, "[files] What is it?", [file.id])
    const exported = await exportOf(ada, room)
    const own = (await ada.call("POST", "/chatroom/import", exported)).body.id
    assert.deepStrictEqual((await messagesOf(ada, own))[0].attachments, exported.messages[0].attachments)
    // It stays as long as one of the two rooms.
    await ada.call("DELETE", `/chatroom/${room}`)
    assert.strictEqual((await ada.call("GET", `/files/${file.id}`)).status, 200)
    await ask(ada, own, "[files again] And now?")
    assert.include(JSON.stringify(callsAbout(backends, "[files again]")[0]?.body), "A text about looms.")

    const others = (await bob.call("POST", "/chatroom/import", exported)).body.id
    const [shown] = (await messagesOf(bob, others))[0].attachments
    assert.deepInclude(shown, { name: "looms.txt", type: "text/plain", deleted: true })
    assert.notStrictEqual(shown.id, file.id)
    assert.strictEqual((await bob.call("GET", `/files/${file.id}`)).status, 404)
    await ada.call("DELETE", `/chatroom/${own}`)
    assert.strictEqual((await ada.call("GET", `/files/${file.id}`)).status, 404)
  })

  it("takes questions of files alone, also without the files", async () => {
    const ada = await backends.newUser()
    const { body: file } = await upload(backends.urls[0] ?? "", ada, "text/plain", Buffer.from("A text without words."))
    const room = await ada.room()
    await ask(ada, room, "", [file.id])
    const exported = await exportOf(ada, room)
    const bare = { ...exported, messages: exported.messages.map((message: object) => ({ ...message, attachments: [] })) }
    for (const made of [exported, bare]) {
      const { body, status, text } = await ada.call("POST", "/chatroom/import", made)
      assert.strictEqual(status, 201, text)
      assert.strictEqual((await messagesOf(ada, body.id))[0].content, "")
      const asked = await ada.ask(body.id, "And now?", { wait: 30 })
      assert.strictEqual(asked.body.reply.status, "completed")
    }
  })

  it("drops settings that the user cannot choose here", async () => {
    const ada = await backends.newUser()
    const room = {
      title: "Elsewhere",
      model: "gemini-unknown",
      thinking: { level: "minimal", summaries: true }
    }
    const { body, status } = await ada.call("POST", "/chatroom/import", { ...room, messages: [] })
    assert.strictEqual(status, 201)
    assert.deepStrictEqual([body.model, body.thinking], [null, { level: null, summaries: true }])
  })

  it("names what is wrong by its path, and stores nothing", async () => {
    const ada = await backends.newUser()
    const one = question()
    const cases: ReadonlyArray<readonly [string, unknown]> = [
      ["/messages", {}],
      ["/title", { title: "", messages: [] }],
      ["/messages/0/content", { messages: [question(" ")] }],
      ["/messages/0/content", { messages: [question("x".repeat(32_001))] }],
      ["/messages/0/createdAt", { messages: [{ ...one, createdAt: "yesterday" }] }],
      ["/messages/1/id", { messages: [one, { ...reply(one), id: one.id }] }],
      ["/messages/0/replyTo", { messages: [reply(one), one] }],
      ["/messages/1/replyTo", { messages: [one, { ...reply(one), replyTo: uuid() }] }],
      ["/messages/1/parentId", { messages: [one, { ...question(), parentId: one.id }] }],
      [
        "/messages/1/sources/0/url",
        { messages: [one, { ...reply(one), sources: [{ url: "javascript:alert(1)", title: "", domain: null }] }] }
      ],
      ["/messages", { messages: times(2_001, () => question()) }]
    ]
    for (const [path, body] of cases) {
      const refused = await ada.call("POST", "/chatroom/import", { title: "Wrong", ...(body as object) })
      assert.deepStrictEqual([refused.status, refused.body.code, refused.body.errors?.[0].path], [400, "validation_failed", path])
    }
    assert.deepStrictEqual((await ada.call("GET", "/chatroom")).body.data, [])
  })

  it("takes 2,000 messages and 8 MiB, and nothing above", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const messages = times(1_000, () => question("x".repeat(3_000))).flatMap((one) => [one, reply(one)])
    const whole = await ada.call("POST", "/chatroom/import", { title: "Large", messages })
    assert.strictEqual(whole.status, 201, whole.text)
    assert.lengthOf(await messagesOf(ada, whole.body.id), 2_000)
    const large = JSON.stringify({ title: "Too large", messages: [], filler: "x".repeat(8 * 1_048_576) })
    const refused = await send(backends.urls[0] ?? "", "POST", "/chatroom/import", { body: large, token: ada.token })
    assert.deepStrictEqual([refused.status, refused.body.code], [413, "payload_too_large"])
    assert.strictEqual((await send(backends.urls[0] ?? "", "POST", "/chatroom/import", { body: large })).status, 401)
    const usual = await ada.call("POST", "/chatroom", { title: "Too large", filler: "x".repeat(300_000) })
    assert.strictEqual(usual.status, 413)
  })

  it("imports once for one idempotency key, and at most twenty an hour", async () => {
    const ada = await backends.newUser()
    const room = { title: "Once", messages: [question()] }
    const key = { "idempotency-key": "import-1" }
    const [one, two] = [
      await ada.call("POST", "/chatroom/import", room, key),
      await ada.call("POST", "/chatroom/import", room, key)
    ]
    assert.deepStrictEqual([one.body.id, two.headers.get("idempotent-replayed")], [two.body.id, "true"])
    const other = await ada.call("POST", "/chatroom/import", { ...room, title: "Other" }, key)
    assert.deepStrictEqual([other.status, other.body.code], [422, "idempotency_key_reused"])
    for (let count = 1; count < 20; count++) {
      assert.strictEqual((await ada.call("POST", "/chatroom/import", room)).status, 201)
    }
    const limited = await ada.call("POST", "/chatroom/import", room)
    assert.deepStrictEqual([limited.status, limited.body.code], [429, "chatrooms_limited"])
    assert.isNotNull(limited.headers.get("retry-after"))
  })
})
