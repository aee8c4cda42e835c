import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { LogEntry } from "../../simulators/gemini/GeminiSimulator.ts"
import { builtInModels } from "../../src/config/BuiltInModels.ts"
import { startBackend } from "../support/Backend.ts"
import type { Person, Reply } from "../support/Client.ts"
import { upload } from "../support/files.ts"
import { awaitEnd, uniquePrompt, usedToday } from "../support/messages.ts"
import { unknownId } from "../support/responses.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { pdf, png, sha256, wav } from "./samples.ts"

const mebibyte = 1_048_576
const textOnly = { ...builtInModels[0], id: "gemini-text", default: false, input: ["text"] }
const small = { ...builtInModels[0], id: "gemini-small", default: false, contextTokens: { basic: 1_500, pro: 1_500 } }

let backends: TestBackends
let url: string
beforeAll(async () => {
  backends = await startBackends({
    BASIC_DAILY_PROMPTS: "1000",
    LOG_LEVEL: "none",
    MODELS: JSON.stringify([...builtInModels, textOnly, small])
  })
  url = backends.urls[0] ?? ""
})
afterAll(() => backends.stop())

const put = async (person: Person, type: string, bytes: Uint8Array, name?: string): Promise<string> => {
  const reply = await upload(url, person, type, bytes, name === undefined ? {} : { name })
  if (reply.status > 201) throw new Error(reply.text)
  return reply.body.id
}
const outcome = ({ body, status }: Reply) => `${status} ${body?.errors?.[0]?.path ?? body?.code ?? ""}`.trim()

const inRoom = async (settings: Record<string, unknown> = {}) => {
  const person = await backends.newUser()
  const room = await person.room(settings)
  return {
    person,
    room,
    ask: async (content: string, attachments: ReadonlyArray<string> = []) => {
      const sent = await person.ask(room, content, { attachments })
      if (sent.status !== 202) throw new Error(sent.text)
      return { sent: sent.body, ended: (await awaitEnd(person, sent)).body }
    }
  }
}

const callsAbout = (text: string): ReadonlyArray<LogEntry> =>
  backends.gemini.log(text).filter(({ method }) => method === "streamGenerateContent")
const bodyOf = (call: LogEntry | undefined) =>
  call?.body as { contents: ReadonlyArray<{ role: string; parts: ReadonlyArray<Record<string, unknown>> }> }
/** The kinds of the parts of each user's turn; of text, the text. */
const partsOf = (call: LogEntry | undefined) =>
  bodyOf(call)
    .contents.filter(({ role }) => role === "user")
    .map(({ parts }) => parts.map((part) => ("text" in part ? part["text"] : "inlineData" in part ? "inline" : "address")))

describe("a question with files", { timeout: 60_000 }, () => {
  it("reaches the model with their bytes, before its text, and so do later questions", async () => {
    const { ask, person, room } = await inRoom()
    const picture = png({ bytes: 700_001 })
    const paper = pdf({ bytes: 300_000, pages: 3 })
    const sound = wav()
    const ids = [
      await put(person, "image/png", picture, "loom.png"),
      await put(person, "application/pdf", paper, "paper.pdf"),
      await put(person, "text/markdown", Buffer.from("# Löms\n"), "a]b\nc.md"),
      await put(person, "audio/wav", sound, "hum.wav")
    ]
    const words = uniquePrompt("What is on them?")
    const { ended, sent } = await ask(words, ids.slice(0, 3))
    const shown = [
      { id: ids[0], name: "loom.png", type: "image/png", bytes: 700_001, deleted: false },
      { id: ids[1], name: "paper.pdf", type: "application/pdf", bytes: paper.length, deleted: false },
      { id: ids[2], name: "a]bc.md", type: "text/markdown", bytes: 8, deleted: false }
    ]
    assert.deepStrictEqual([sent.message.attachments, sent.reply.attachments], [shown, []])
    assert.strictEqual(ended.status, "completed", JSON.stringify(ended.error))
    assert.include(ended.content, `I see image/png, 700,001 bytes, sha256 ${sha256(picture)}.`)
    const [first] = callsAbout(words)
    const seen = [
      { mimeType: "image/png", bytes: picture.length, sha256: sha256(picture), source: "inline" as const },
      { mimeType: "application/pdf", bytes: paper.length, sha256: sha256(paper), source: "inline" as const }
    ]
    assert.deepStrictEqual(first?.files, seen)
    assert.deepStrictEqual(partsOf(first), [["inline", "inline", "File: a bc.md\n\n# Löms\n", words]])

    const again = uniquePrompt("And now?")
    await ask(again, [ids[3] ?? ""])
    const [second] = callsAbout(again)
    assert.deepStrictEqual(partsOf(second), [
      ["inline", "inline", "File: a bc.md\n\n# Löms\n", words],
      ["inline", again]
    ])
    assert.deepStrictEqual(second?.files, [
      ...seen,
      { mimeType: "audio/wav", bytes: sound.length, sha256: sha256(sound), source: "inline" as const }
    ])
    const messages = (await person.call("GET", `/chatroom/${room}/messages`)).body.data
    assert.deepStrictEqual(messages.at(-1).attachments, shown)
    assert.deepStrictEqual((await person.call("GET", `/chatroom/${room}/message/${sent.message.id}`)).body.attachments, shown)
    const markdown = (await person.call("GET", `/chatroom/${room}/export?format=markdown`)).text
    assert.include(markdown, "> File: loom.png (image/png)")
    const context = (await person.call("GET", `/chatroom/${room}/message/${sent.reply.id}/context`)).body
    assert.deepStrictEqual(
      context.attachments.map(({ id, messageId, status, tokens }: Record<string, unknown>) => [id, messageId, status, tokens]),
      [
        [ids[0], sent.message.id, "sent", 1_100],
        [ids[1], sent.message.id, "sent", 1_680],
        [ids[2], sent.message.id, "sent", 2]
      ]
    )
    const account = JSON.parse((await person.call("GET", "/user/me/export")).text)
    assert.deepStrictEqual(
      account.files.map(({ content, id }: Record<string, unknown>) => [id, content]),
      ids.map((id) => [id, `/files/${id}/content`])
    )
  })

  it("may have no words", async () => {
    const { ask, person, room } = await inRoom()
    const id = await put(person, "image/png", png({ seed: "silent" }))
    const { ended, sent } = await ask("", [id])
    assert.deepStrictEqual([sent.message.content, ended.status], ["", "completed"])
    for (const [content, attachments] of [
      ["", []],
      [" \n", [id]]
    ] as const) {
      assert.strictEqual(outcome(await person.ask(room, content, { attachments })), "400 /content")
    }
    assert.strictEqual(outcome(await person.ask(room, "")), "400 /content")
  })

  it("keeps its files from expiring", async () => {
    const { ask, person } = await inRoom()
    const id = await put(person, "text/plain", Buffer.from("kept"))
    await ask(uniquePrompt("keep"), [id])
    assert.isNull((await person.call("GET", `/files/${id}`)).body.expiresAt)
  })

  it("is refused with files that it may not have, and stores nothing", async () => {
    const { person, room } = await inRoom()
    const other = await backends.newUser()
    const own = await put(person, "text/plain", Buffer.from("own"))
    const theirs = await put(other, "text/plain", Buffer.from("theirs"))
    const deleted = await put(person, "text/plain", Buffer.from("deleted"))
    await person.call("DELETE", `/files/${deleted}`)
    const expired = await put(person, "text/plain", Buffer.from("expired"))
    await backends.database.query("update files set expires_at = now() - interval '1 second' where id = $1", [expired])
    for (const wrong of [unknownId, theirs, deleted, expired]) {
      assert.strictEqual(outcome(await person.ask(room, "x", { attachments: [own, wrong] })), "400 /attachments/1")
    }
    assert.strictEqual(outcome(await person.ask(room, "x", { attachments: ["nothing"] })), "400 /attachments/0")
    assert.strictEqual(outcome(await person.ask(room, "x", { attachments: [own, own] })), "400 /attachments")
    const many = times(11, (n) => `01980000-0000-7000-8000-0000000000${10 + n}`)
    assert.strictEqual(outcome(await person.ask(room, "x", { attachments: many })), "400 /attachments")
    const large = await Promise.all(times(3, (n) => put(person, "image/png", png({ bytes: 7 * mebibyte, seed: `${n}` }))))
    const tooLarge = await person.ask(room, "x", { attachments: large })
    assert.deepStrictEqual([outcome(tooLarge), tooLarge.body.limit], ["413 attachments_too_large", 20 * mebibyte])
    assert.deepStrictEqual((await person.call("GET", `/chatroom/${room}/messages`)).body.data, [])
    assert.strictEqual(await usedToday(person), 0)
    assert.isNotNull((await person.call("GET", `/files/${own}`)).body.expiresAt)
  })

  it("is refused when the model does not read the file", async () => {
    const { person, room } = await inRoom({ model: "gemini-text" })
    const picture = await put(person, "image/png", png({ seed: "unread" }))
    const text = await put(person, "text/plain", Buffer.from("read"))
    assert.strictEqual(outcome(await person.ask(room, "x", { attachments: [text, picture] })), "400 /attachments/1")
    assert.strictEqual(outcome(await person.ask(room, "x", { attachments: [text] })), "202")
  })

  it("is replayed by its idempotency key, and another list of files is another question", async () => {
    const { person, room } = await inRoom()
    const [one, two] = await Promise.all(["one", "two"].map((words) => put(person, "text/plain", Buffer.from(words))))
    const ask = (id: string | undefined) => person.ask(room, "x", { key: "k", attachments: id === undefined ? [] : [id] })
    const first = await ask(one)
    const again = await ask(one)
    assert.deepStrictEqual([again.status, again.body.message], [first.status, first.body.message])
    assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
    assert.strictEqual(outcome(await ask(two)), "422 idempotency_key_reused")
  })

  it("is answered again with its files, by a model that reads them", async () => {
    const { ask, person, room } = await inRoom()
    const id = await put(person, "image/png", png({ seed: "again" }))
    const words = uniquePrompt("Again?")
    const { sent } = await ask(words, [id])
    const path = `/chatroom/${room}/message/${sent.reply.id}/regenerate`
    assert.strictEqual(outcome(await person.call("POST", path, { settings: { model: "gemini-text" } })), "400 /settings/model")
    const second = await person.call("POST", path, {})
    assert.strictEqual((await awaitEnd(person, second)).body.status, "completed")
    assert.deepStrictEqual(
      callsAbout(words).map(({ files }) => files.length),
      [1, 1]
    )
    assert.deepStrictEqual(second.body.message.attachments, sent.message.attachments)
  })

  it("leaves earlier files out that do not fit the context, and names them", async () => {
    const { ask, person, room } = await inRoom({ model: "gemini-small" })
    const old = await put(person, "image/png", png({ seed: "old" }), "old.png")
    const near = await put(person, "image/png", png({ seed: "near" }), "near.png")
    const [first, second, third] = [uniquePrompt("first"), uniquePrompt("second"), uniquePrompt("third")]
    await ask(`[[say a]] ${first}`, [old])
    await ask(`[[say b]] ${second}`, [near])
    const { sent } = await ask(third)
    assert.deepStrictEqual(partsOf(callsAbout(third)[0]), [
      ["[file: old.png]", `[[say a]] ${first}`],
      ["inline", `[[say b]] ${second}`],
      [third]
    ])
    const { attachments } = (await person.call("GET", `/chatroom/${room}/message/${sent.reply.id}/context`)).body
    assert.deepStrictEqual(
      attachments.map(({ name, status }: Record<string, unknown>) => `${name} ${status}`),
      ["old.png omitted", "near.png sent"]
    )
  })
})

describe("a file that Google refuses", { timeout: 60_000 }, () => {
  it("fails its reply alone, gives the prompt back, and is not sent again", async () => {
    const { ask, person } = await inRoom()
    const id = await put(person, "application/pdf", pdf({ seed: "bad" }))
    const bad = await ask(uniquePrompt("[[rejectfile]] Read it."), [id])
    assert.deepStrictEqual([bad.ended.status, bad.ended.error?.code], ["failed", "attachment_rejected"])
    assert.strictEqual(await usedToday(person), 0)
    const words = uniquePrompt("Never mind.")
    const good = await ask(words)
    assert.strictEqual(good.ended.status, "completed")
    assert.deepStrictEqual(callsAbout(words)[0]?.files, [])
  })

  it("is left out when another model of the room refuses what an earlier one has read", async () => {
    const { ask, person, room } = await inRoom()
    const id = await put(person, "application/pdf", pdf({ seed: "picky" }), "picky.pdf")
    await ask(`[[say Read.]] ${uniquePrompt("[[rejectfile gemini-3.5-flash]]")}`, [id])
    await person.call("PATCH", `/chatroom/${room}`, { model: "gemini-3.5-flash" })
    const words = uniquePrompt("Go on.")
    const { ended, sent } = await ask(words)
    assert.strictEqual(ended.status, "completed", JSON.stringify(ended.error))
    assert.strictEqual(partsOf(callsAbout(words).at(-1))[0]?.[0], "[file: picky.pdf]")
    const { attachments } = (await person.call("GET", `/chatroom/${room}/message/${sent.reply.id}/context`)).body
    assert.strictEqual(attachments[0].status, "omitted")
  })
})

describe("a file that is deleted", { timeout: 60_000 }, () => {
  it("stays named in its messages, and is left out of later prompts", async () => {
    const { ask, person, room } = await inRoom()
    const id = await put(person, "image/png", png({ seed: "deleted" }), "deleted.png")
    const first = uniquePrompt("[[say Seen.]] See.")
    const { sent } = await ask(first, [id])
    assert.strictEqual((await person.call("DELETE", `/files/${id}`)).status, 204)
    const message = (await person.call("GET", `/chatroom/${room}/message/${sent.message.id}`)).body
    assert.deepStrictEqual(message.attachments, [{ ...sent.message.attachments[0], deleted: true }])
    const words = uniquePrompt("Still?")
    await ask(words)
    assert.deepStrictEqual(partsOf(callsAbout(words)[0])[0], ["[file: deleted.png]", first])
  })

  it("while its reply waits for its next attempt is left out of that", async () => {
    const { person, room } = await inRoom()
    const id = await put(person, "image/png", png({ seed: "during" }), "during.png")
    const words = uniquePrompt("[[status 503 retry 3 times 1]] During.")
    const sent = await person.ask(room, words, { attachments: [id] })
    await until("the first attempt has failed", async () => callsAbout(words).some(({ status }) => status === 503))
    assert.strictEqual((await person.call("DELETE", `/files/${id}`)).status, 204)
    const { body } = await awaitEnd(person, sent)
    assert.strictEqual(body.status, "completed")
    const [first, ...later] = callsAbout(words)
    assert.lengthOf(first?.files ?? [], 1)
    assert.isAbove(later.length, 0)
    for (const call of later) assert.deepStrictEqual(partsOf(call), [["[file: during.png]", words]])
  })

  it("at the same moment as it is asked about is used or refused, and nothing between", async () => {
    const { person, room } = await inRoom()
    for (const n of times(20, (each) => each)) {
      const id = await put(person, "text/plain", Buffer.from(`race ${n}`))
      const [asked, deleted] = await Promise.all([
        person.ask(room, uniquePrompt("[[say ok]]"), { attachments: [id] }),
        person.call("DELETE", `/files/${id}`)
      ])
      assert.strictEqual(deleted.status, 204)
      assert.include(["202", "400 /attachments/0"], outcome(asked))
      const uses = await backends.database.query("select 1 from file_uses where file_id = $1", [id])
      assert.lengthOf(uses, 0)
      if (asked.status === 202) await awaitEnd(person, asked)
    }
  })

  it("with its last question goes with the room, and with the account", async () => {
    const { ask, person, room } = await inRoom()
    const shared = await put(person, "text/plain", Buffer.from("shared"))
    const alone = await put(person, "text/plain", Buffer.from("alone"))
    await ask(uniquePrompt("both"), [shared, alone])
    const other = await person.room()
    await awaitEnd(person, await person.ask(other, uniquePrompt("one"), { attachments: [shared] }))
    const statuses = async () => Promise.all([shared, alone].map(async (id) => (await person.call("GET", `/files/${id}`)).status))
    await person.call("DELETE", `/chatroom/${room}`)
    assert.deepStrictEqual(await statuses(), [200, 404])
    await person.call("DELETE", `/chatroom/${other}`)
    assert.deepStrictEqual(await statuses(), [404, 404])
    const [user] = await backends.database.query("select file_bytes::int as bytes from users where id = $1", [person.userId])
    assert.strictEqual(user?.["bytes"], 0)

    const last = await put(person, "text/plain", Buffer.from("last"))
    const third = await person.room()
    await awaitEnd(person, await person.ask(third, uniquePrompt("last"), { attachments: [last] }))
    assert.strictEqual((await person.call("DELETE", "/user/me")).status, 204)
    const left = await backends.database.query("select 1 from files where user_id = $1", [person.userId])
    const uses = await backends.database.query("select 1 from file_uses where user_id = $1", [person.userId])
    const removals = await backends.database.query("select 1 from file_removals where file_id = $1", [last])
    assert.deepStrictEqual([left.length, uses.length, removals.length], [0, 0, 1])
  })
})

describe("ATTACHMENTS=pro", () => {
  it("refuses files of Basic users' questions", async () => {
    const limited = await startBackend({
      DATABASE_URL: backends.database.url,
      ROLE: "api",
      LOG_LEVEL: "none",
      ATTACHMENTS: "pro"
    })
    try {
      const ada = await newUser(limited.url, backends.database)
      const id = (await upload(url, ada, "text/plain", Buffer.from("mine"))).body.id
      const room = await ada.room()
      const asked = await ada.ask(room, "x", { attachments: [id] })
      assert.strictEqual(outcome(asked), "403 attachments_not_in_plan")
      assert.include(asked.body.upgradeUrl, "/subscribe/pro")
      await backends.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [ada.userId])
      assert.strictEqual(outcome(await ada.ask(room, "x", { attachments: [id] })), "202")
    } finally {
      await limited.stop()
    }
  })
})

describe("a question with files that is edited or copied", { timeout: 60_000 }, () => {
  it("keeps its files, which are kept as long as one of them is", async () => {
    const { ask, person, room } = await inRoom()
    const id = await put(person, "text/plain", Buffer.from("Ada's branch"))
    const { sent } = await ask(uniquePrompt("[[say First.]] branch"), [id])
    const words = uniquePrompt("[[say Second.]] edited")
    const path = `/chatroom/${room}/message/${sent.message.id}`
    const edited = await person.call("POST", `${path}/edit`, { content: words })
    assert.deepStrictEqual(edited.body.message.attachments, sent.message.attachments)
    assert.strictEqual((await awaitEnd(person, edited)).body.status, "completed")
    assert.include(JSON.stringify(callsAbout(words)[0]?.body), "Ada's branch")
    const fork = await person.call("POST", `/chatroom/${room}/fork`, {})
    assert.strictEqual(fork.status, 201, fork.text)
    const copied = (await person.call("GET", `/chatroom/${fork.body.id}/messages`)).body.data
    assert.deepStrictEqual(copied.at(-1).attachments, sent.message.attachments)
    await person.call("DELETE", `/chatroom/${room}`)
    assert.strictEqual((await person.call("GET", `/files/${id}`)).status, 200)
    await person.call("DELETE", `/chatroom/${fork.body.id}`)
    assert.strictEqual((await person.call("GET", `/files/${id}`)).status, 404)
  })
})
