import http from "node:http"
import type { FileUIPart, UIMessage } from "ai"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { assertProblem } from "../auth/People.ts"
import { png } from "../files/samples.ts"
import type { Person } from "../support/Client.ts"
import { download, upload } from "../support/files.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { uniquePrompt, usedToday } from "../support/messages.ts"
import { faultPaths } from "../support/responses.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { type Chat, loadChat, newChat, textOf } from "./AiClient.ts"

let backends: TestBackends
let base: string

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "30", LOG_LEVEL: "none" })
  base = backends.urls[0] ?? ""
})
afterAll(() => backends.stop())

const problemOf = ({ errors }: Chat) => JSON.parse(errors.at(-1)?.message ?? "null")
const texts = (messages: ReadonlyArray<UIMessage>) => messages.map(textOf)
const load = async (person: Person, id: string): Promise<ReadonlyArray<UIMessage>> =>
  (await person.call("GET", `/ai/chat/${id}`)).body
const post = (person: Person, id: string, message: object, more: object = {}) =>
  person.call("POST", "/ai/chat", { id, messages: [message], ...more })
const textMessage = (id: string, text: string) => ({ id, role: "user", parts: [{ type: "text", text }] })
const dataUrl = (type: string, bytes: Buffer) => `data:${type};base64,${bytes.toString("base64")}`

describe("the question's id", () => {
  it("is the idempotency key: the same question again gets the same reply, and another text is refused", async () => {
    const ada = await backends.newUser()
    const id = crypto.randomUUID()
    for (const clientId of ["msg-Yh3kQ8sVb2", "1", "x".repeat(255), "é/#%", crypto.randomUUID()]) {
      const question = textMessage(clientId, uniquePrompt("[[length 50]]"))
      const [first, second] = [await post(ada, id, question), await post(ada, id, question)]
      assert.strictEqual(first.status, 200, first.text)
      assert.strictEqual(second.headers.get("idempotent-replayed"), "true")
      const replyOf = (text: string) => /"messageId":"([^"]+)"/.exec(text)?.[1]
      assert.strictEqual(replyOf(second.text), replyOf(first.text))
      assertProblem(await post(ada, id, textMessage(clientId, "another")), 422, "idempotency_key_reused")
    }
    assert.strictEqual(await usedToday(ada), 5)
    // Another room has questions of its own.
    assert.strictEqual((await post(ada, crypto.randomUUID(), textMessage("1", "[[say hi]]"))).status, 200)
    assertProblem(await post(ada, id, textMessage("x".repeat(256), "hi")), 400, "validation_failed")
  })

  it("has two requests at once open one room and ask once", async () => {
    const ada = await backends.newUser()
    const id = crypto.randomUUID()
    const question = textMessage("once", uniquePrompt("[[say once]]"))
    const replies = await Promise.all(Array.from({ length: 4 }, () => post(ada, id, question)))
    for (const reply of replies) assert.strictEqual(reply.status, 200, reply.text)
    assert.strictEqual(await usedToday(ada), 1)
    assert.lengthOf((await ada.call("GET", "/chatroom")).body.data, 1)
    assert.deepStrictEqual(await backends.database.query("select chatrooms from users where id = $1", [ada.userId]), [
      { chatrooms: 1 }
    ])
  })
})

describe("regenerate", () => {
  it("asks for another reply to the newest question, and to an earlier one", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const [one, two] = [uniquePrompt("[[say one]]"), uniquePrompt("[[say two]]")]
    await chat.sendMessage({ text: one })
    await chat.sendMessage({ text: two })
    const before = chat.messages.map(({ id }) => id)
    await chat.regenerate()
    assert.deepStrictEqual(texts(chat.messages), [one, "one", two, "two"])
    assert.notStrictEqual(chat.messages.at(-1)?.id, before.at(-1))
    assert.lengthOf(callsAbout(backends, two), 2)
    await chat.regenerate({ messageId: before[1] ?? "" })
    assert.deepStrictEqual(texts(chat.messages), [one, "one"])
    assert.deepStrictEqual(texts(await load(ada, chat.id)), [one, "one"])
    assert.lengthOf(callsAbout(backends, one), 2)
    assert.deepStrictEqual([chat.errors, await usedToday(ada)], [[], 4])
    // The next question follows the reply that is shown.
    const three = uniquePrompt("[[say three]]")
    await chat.sendMessage({ text: three })
    assert.lengthOf(turnsOf(callsAbout(backends, three)[0]), 3)
  })

  it("asks a question that was refused before, and refuses a message that does not exist", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    await chat.sendMessage({ text: uniquePrompt("[[say late]]") }, { body: { settings: { model: "gpt-5" } } })
    assert.strictEqual(chat.status, "error")
    await chat.regenerate()
    assert.deepStrictEqual([chat.status, chat.text], ["ready", "late"])
    const question = textMessage("m", "hello")
    const again = { trigger: "regenerate-message", messageId: crypto.randomUUID() }
    assertProblem(await post(ada, chat.id, question, again), 404, "message_not_found")
    // Without the messages before it, what an unknown id stands for cannot be known.
    assertProblem(await post(ada, chat.id, question, { ...again, messageId: "m" }), 404, "message_not_found")
  })
})

describe("a question in other words", () => {
  it("is on a branch of its own, at every wording, also when a page has loaded the chat", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    await chat.sendMessage({ text: "[[say first]]" })
    await chat.sendMessage({ text: "[[say second]]" })
    const [question] = chat.messages
    for (const word of ["a", "b", "a"]) {
      await chat.sendMessage({ text: `[[say ${word}]]`, messageId: question?.id ?? "" })
      assert.deepStrictEqual(texts(chat.messages), [`[[say ${word}]]`, word])
      assert.deepStrictEqual(texts(await load(ada, chat.id)), [`[[say ${word}]]`, word])
    }
    assert.deepStrictEqual([chat.errors, await usedToday(ada)], [[], 5])
    await chat.regenerate()
    assert.deepStrictEqual(texts(await load(ada, chat.id)), ["[[say a]]", "a"])

    const loaded = await loadChat(base, ada, chat.id)
    await loaded.sendMessage({ text: "[[say c]]", messageId: loaded.messages[0]?.id ?? "" })
    assert.deepStrictEqual([loaded.errors, texts(loaded.messages)], [[], ["[[say c]]", "c"]])
    const versions = (await ada.call("GET", `/chatroom/${chat.id}/messages?branch=all&limit=100`)).body.data
    const first = versions.filter(
      ({ parentId, role }: { parentId: string | null; role: string }) => parentId === null && role === "user"
    )
    assert.lengthOf(first, 5)
  })

  it("is the same request when it comes again", async () => {
    const ada = await backends.newUser()
    const id = crypto.randomUUID()
    await post(ada, id, textMessage("m", "[[say one]]"))
    const edited = () => post(ada, id, textMessage("m", "[[say two]]"), { messageId: "m" })
    assert.strictEqual((await edited()).headers.get("idempotent-replayed"), null)
    assert.strictEqual((await edited()).headers.get("idempotent-replayed"), "true")
    assert.strictEqual(await usedToday(ada), 2)
  })

  it("is found by the reply before it when its id is forgotten", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    await chat.sendMessage({ text: "[[say one]]" })
    await chat.sendMessage({ text: "[[say two]]" })
    await backends.database.query("delete from idempotency_keys where user_id = $1", [ada.userId])
    await chat.sendMessage({ text: "[[say three]]", messageId: chat.messages[2]?.id ?? "" })
    assert.deepStrictEqual(texts(await load(ada, chat.id)), ["[[say one]]", "one", "[[say three]]", "three"])
    const all = (await ada.call("GET", `/chatroom/${chat.id}/messages?limit=100`)).body.data
    assert.lengthOf(all, 6)
  })

  it("is refused while its reply is being made, and without text", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const room = await ada.room()
    const asked = await ada.ask(room, "[[latency 60000]]")
    const question = asked.body.message.id
    assertProblem(await post(ada, room, textMessage(question, "other"), { messageId: question }), 409, "not_finished")
    const file = { type: "file", mediaType: "text/plain", url: "data:text/plain,hello" }
    const refused = await post(ada, room, { id: question, role: "user", parts: [file] }, { messageId: question })
    assertProblem(refused, 400, "validation_failed")
    assert.deepStrictEqual(faultPaths(refused), ["/messages/0/parts"])
    assertProblem(await post(ada, chat.id, textMessage("m", "x"), { messageId: "n" }), 400, "validation_failed")
    await ada.call("POST", `/ai/chat/${room}/stop`)
  })
})

describe("the parts of a question", () => {
  it("are texts and files, which are stored as files of the user", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    const picture = png({ bytes: 700_000 })
    const files: Array<FileUIPart> = [
      { type: "file", mediaType: "image/png", filename: "../loom.png", url: dataUrl("image/png", picture) },
      { type: "file", mediaType: "text/plain", url: `data:text/plain,${encodeURIComponent("a ☃ snowman")}` }
    ]
    const text = uniquePrompt("[[say seen]]")
    await chat.sendMessage({ text, files })
    assert.deepStrictEqual([chat.errors, chat.text], [[], "seen"])
    const listed = (await ada.call("GET", "/files")).body.data
    assert.sameMembers(
      listed.map(({ name }: { name: string }) => name),
      ["loom.png", "file"]
    )
    const [question] = await load(ada, chat.id)
    const urls = question?.parts.flatMap((part) => (part.type === "file" ? [part.url] : [])) ?? []
    assert.lengthOf(urls, 2)
    const id = /[0-9a-f-]{36}/.exec(urls[0] ?? "")?.[0] ?? ""
    assert.isTrue((await download(base, ada, id)).bytes.equals(picture))

    // A page that has loaded the chat names the file again, and one that has uploaded it names it first.
    const loaded = await loadChat(base, ada, chat.id)
    const own = await upload(base, ada, "text/plain", Buffer.from("uploaded"), { name: "own.txt" })
    const named: FileUIPart = { type: "file", mediaType: "text/plain", url: `${base}/files/${own.body.id}/content` }
    await loaded.sendMessage({ text: uniquePrompt("[[say both]]"), files: [{ ...named, url: urls[0] ?? "" }, named] })
    assert.deepStrictEqual([loaded.errors, loaded.text], [[], "both"])
    assert.lengthOf((await ada.call("GET", "/files")).body.data, 3)
    // An edit keeps the files of its question.
    await loaded.sendMessage({ text: uniquePrompt("[[say edited]]"), messageId: loaded.messages[2]?.id ?? "" })
    assert.deepStrictEqual([loaded.errors, loaded.text], [[], "edited"])
    const edited = (await load(ada, chat.id)).at(-2)
    assert.lengthOf(edited?.parts.filter(({ type }) => type === "file") ?? [], 2)
  })

  it("are refused with their path when they are anything else", async () => {
    const [ada, bob] = [await backends.newUser(), await backends.newUser()]
    const his = (await upload(base, bob, "text/plain", Buffer.from("his"), { name: "his.txt" })).body.id
    const id = crypto.randomUUID()
    const text = { type: "text", text: "Hello" }
    const file = (url: unknown, mediaType = "text/plain") => ({ type: "file", mediaType, url })
    const faults: ReadonlyArray<readonly [ReadonlyArray<object>, string]> = [
      [[text, { type: "reasoning", text: "hm" }], "/messages/0/parts/1"],
      [[text, { type: "tool-x", toolCallId: "1", state: "output-available" }], "/messages/0/parts/1"],
      [[{ type: "text" }], "/messages/0/parts/0/text"],
      [[{ type: "text", text: "a\u0000" }], "/messages/0/parts/0/text"],
      [[text, file("https://example.com/x.png")], "/messages/0/parts/1/url"],
      [[text, file("data:text/plain;base64,%%%")], "/messages/0/parts/1/url"],
      [[text, file("data:text/plain,%E0%A4%A")], "/messages/0/parts/1/url"],
      [[text, file(7)], "/messages/0/parts/1/url"],
      [[text, file(`/files/${his}/content`)], "/messages/0/parts/1"],
      [[text, ...Array.from({ length: 11 }, (_, n) => file(`data:text/plain,${n}`))], "/messages/0/parts"],
      [[{ type: "text", text: " \n" }], "/messages/0/parts"],
      [[], "/messages/0/parts"],
      [[{ type: "text", text: "x".repeat(32_001) }], "/messages/0/parts"]
    ]
    for (const [parts, path] of faults) {
      const refused = await post(ada, id, { id: "m", role: "user", parts })
      assertProblem(refused, 400, "validation_failed")
      assert.deepStrictEqual(faultPaths(refused), [path])
    }
    const assistant = await post(ada, id, { id: "m", role: "assistant", parts: [text] })
    assert.deepStrictEqual(faultPaths(assistant), ["/messages"])
    const parts = [text, file("data:image/gif;base64,R0lGODlhAQABAAAAACw=", "image/gif")]
    assertProblem(await post(ada, id, { id: "m", role: "user", parts }), 415, "file_type_not_supported")
    const wrong = [text, file("data:image/png;base64,aGVsbG8=", "image/png")]
    assertProblem(await post(ada, id, { id: "m", role: "user", parts: wrong }), 422, "file_unreadable")
    assert.deepStrictEqual([(await ada.call("GET", "/chatroom")).body.data, await usedToday(ada)], [[], 0])
  })

  it("may have 16 MiB with all messages, and no more", async () => {
    const ada = await backends.newUser()
    const picture = { type: "file", mediaType: "image/png", url: dataUrl("image/png", png({ bytes: 3 * 1_048_576 })) }
    const asked = await post(ada, crypto.randomUUID(), { id: "m", role: "user", parts: [picture] })
    assert.strictEqual(asked.status, 200, asked.text)
    const more = { type: "text", text: "x".repeat(17 * 1_048_576) }
    assertProblem(await post(ada, crypto.randomUUID(), { id: "m", role: "user", parts: [more] }), 413, "payload_too_large")
  })
})

describe("large bodies", () => {
  it("of one address are answered one after the other, ten of them wait, and one more is refused", async () => {
    const ada = await backends.newUser()
    const slow = http.request(`${base}/ai/chat`, {
      method: "POST",
      agent: false,
      headers: { authorization: `Bearer ${ada.token}`, "content-type": "application/json", "content-length": 1_048_576 }
    })
    slow.on("error", () => {})
    await new Promise<void>((resolve) => slow.write('{"id":', () => resolve()))
    const large = { id: "none", messages: [], padding: "x".repeat(300_000) }
    // A small request is not kept waiting, and shows that the slow one has arrived.
    for (let small = 0; small < 3; small++) assertProblem(await ada.call("POST", "/ai/chat", {}), 400, "validation_failed")
    const others = Array.from({ length: 11 }, () => ada.call("POST", "/ai/chat", large))
    const first = await Promise.race(others)
    assertProblem(first, 503, "overloaded")
    slow.destroy()
    const statuses = (await Promise.all(others)).map(({ status }) => status)
    assert.deepStrictEqual(statuses.sort(), [...Array.from({ length: 10 }, () => 400), 503])
  })
})

describe("an exhausted quota", () => {
  it("is one refused request, as problem+json, and leaves no room behind", async () => {
    const ada = await backends.newUser()
    const chat = newChat(base, ada)
    await chat.sendMessage({ text: "[[say one]]" })
    await backends.database.query(
      "update usage_daily set used = 30 where quota_key = (select quota_key from users where id = $1)",
      [ada.userId]
    )
    const prompt = uniquePrompt("refused")
    const other = newChat(base, ada)
    await other.sendMessage({ text: prompt })
    assert.deepInclude(problemOf(other), { status: 429, code: "quota_exceeded", limit: 30 })
    assert.lengthOf(other.errors, 1)
    assert.lengthOf(callsAbout(backends, prompt), 0)
    assert.lengthOf((await ada.call("GET", "/chatroom")).body.data, 1)
    assertProblem(await ada.call("GET", `/ai/chat/${other.id}`), 404, "chatroom_not_found")
  })
})
