import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { pdf, png, sha256, wav } from "../files/samples.ts"
import type { Person } from "../support/Client.ts"
import { upload } from "../support/files.ts"
import { callsTo, turnsOf } from "../support/geminiCalls.ts"
import { uniquePrompt } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { clientAt, model, refusalOf, user } from "./Clients.ts"

let backends: TestBackends
let base: string

beforeAll(async () => {
  backends = await startBackends({ BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none", AUTO_TITLES: "model" })
  base = backends.urls[0] ?? ""
})
afterAll(() => backends.stop())

const create = (person: Person, content: string) =>
  clientAt(base, person.token).chat.completions.create({ model, messages: user(content) })
const roomsOf = (person: Person) => backends.database.query("select id, kind from chatrooms where user_id = $1", [person.userId])
const bodyOf = async (person: Person, path: string) => (await person.call("GET", path)).body

describe("a completion", () => {
  it("is in no list, no search, no export and no count, and gets no title", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ title: "Hay" })
    await ada.ask(room, "A needle in a chat", { wait: 20 })
    const before = await bodyOf(ada, "/chatroom")
    const prompt = uniquePrompt("A needle in a completion")
    await create(ada, prompt)
    assert.deepStrictEqual((await roomsOf(ada)).map(({ kind }) => kind).sort(), ["chat", "completion"])

    assert.deepStrictEqual(await bodyOf(ada, "/chatroom"), before)
    assert.lengthOf((await bodyOf(ada, "/chatroom?limit=99")).data, 1)
    assert.lengthOf((await bodyOf(ada, "/chatroom?archived=true")).data, 0)
    const found = (await bodyOf(ada, "/search?q=needle")).data
    assert.isNotEmpty(found)
    for (const { chatroomId } of found) assert.strictEqual(chatroomId, room)
    const exported = (await ada.call("GET", "/user/me/export")).text
    assert.include(exported, "A needle in a chat")
    assert.notInclude(exported, prompt)
    const [counted] = await backends.database.query("select chatrooms from users where id = $1", [ada.userId])
    assert.strictEqual(counted?.["chatrooms"], 1)
    assert.lengthOf(backends.gemini.log(prompt), 1, "only the answer")
    const day = (await bodyOf(ada, "/user/usage")).data[0]
    assert.strictEqual(day.prompts, 2)
    assert.isAbove(day.costMicros, 0)
  })

  it("has a room that the routes of chats do not know", async () => {
    const ada = await backends.newUser()
    await create(ada, "Hidden?")
    const [room] = await roomsOf(ada)
    const id = String(room?.["id"])
    for (const [method, path, body] of [
      ["GET", `/chatroom/${id}`],
      ["PATCH", `/chatroom/${id}`, { title: "Mine" }],
      ["POST", `/chatroom/${id}/message`, { content: "More?" }],
      ["GET", `/chatroom/${id}/export`],
      ["DELETE", `/chatroom/${id}`]
    ] as const) {
      const refused = await ada.call(method, path, body)
      assert.strictEqual(`${refused.status} ${refused.body?.code}`, "404 chatroom_not_found", `${method} ${path}`)
    }
  })

  it("waits for no other completion of the user below the number that run at once", async () => {
    const ada = await backends.newUser()
    const prompt = uniquePrompt("[[latency 60000]] at once")
    const controller = new AbortController()
    const options = { signal: controller.signal }
    const asking = times(4, () =>
      clientAt(base, ada.token)
        .chat.completions.create({ model, messages: user(prompt) }, options)
        .catch(() => undefined)
    )
    await until("three run, and one waits", async () => {
      const states = await backends.database.query(
        "select status from messages where user_id = $1 and role = 'model' order by status",
        [ada.userId]
      )
      return states.map(({ status }) => status).join() === "held,processing,processing,processing"
    })
    await until("the model is asked for three", () => callsTo(backends.gemini, prompt).length === 3)
    controller.abort()
    await Promise.all(asking)
  })

  it("is deleted with its files after a day", async () => {
    const ada = await backends.newUser()
    const image = png({ seed: "expired" })
    const url = `data:image/png;base64,${image.toString("base64")}`
    await clientAt(base, ada.token).chat.completions.create({
      model,
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }]
    })
    await create(ada, "Young")
    const chat = await ada.room()
    await backends.database.query(
      `update chatrooms set created_at = created_at - interval '25 hours'
       where user_id = $1 and (kind = 'chat' or exists (select from messages m where m.user_id = $1 and m.chatroom_id = chatrooms.id and m.attachments is not null))`,
      [ada.userId]
    )
    assert.lengthOf((await bodyOf(ada, "/files")).data, 1)
    await backends.database.query("select id from graphile_worker.add_job('expire_completions')")
    await until("the old one is deleted", async () => (await roomsOf(ada)).length === 2)
    assert.deepStrictEqual((await roomsOf(ada)).map(({ kind }) => kind).sort(), ["chat", "completion"])
    assert.strictEqual((await ada.call("GET", `/chatroom/${chat}`)).status, 200)
    assert.lengthOf((await bodyOf(ada, "/files")).data, 0)
    const [row] = await backends.database.query("select chatrooms, file_bytes::int as bytes from users where id = $1", [
      ada.userId
    ])
    assert.deepStrictEqual(row, { chatrooms: 1, bytes: 0 })
  })

  it("is deleted with its user", async () => {
    const ada = await backends.newUser()
    await create(ada, "Mine")
    assert.strictEqual((await ada.call("DELETE", "/user/me")).status, 204)
    assert.lengthOf(await roomsOf(ada), 0)
  })
})

describe("files of a request", () => {
  it("reach the model, in the turns that have them, and are stored once", async () => {
    const ada = await backends.newUser()
    const image = png({ bytes: 300_000, seed: "turns" })
    const url = `data:image/png;base64,${image.toString("base64")}`
    const stored = (await upload(base, ada, "text/plain", Buffer.from("Stored before"), { name: "note.txt" })).body
    const prompt = uniquePrompt("And this?")
    const ask = () =>
      clientAt(base, ada.token).chat.completions.create({
        model,
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "What is it?" },
              { type: "image_url", image_url: { url, detail: "low" } }
            ]
          },
          { role: "assistant", content: "A row." },
          {
            role: "user",
            content: [
              { type: "text", text: prompt },
              { type: "input_audio", input_audio: { data: wav(1).toString("base64"), format: "wav" } },
              { type: "file", file: { file_data: `data:application/pdf;base64,${pdf().toString("base64")}`, filename: "a.pdf" } },
              { type: "file", file: { file_id: stored.id } }
            ]
          }
        ]
      })
    const answer = await ask()
    assert.include(answer.choices[0]?.message.content ?? "", `I see image/png, 300,000 bytes, sha256 ${sha256(image)}.`)
    const [call] = callsTo(backends.gemini, prompt)
    assert.deepStrictEqual(
      call?.files.map(({ mimeType }) => mimeType),
      ["image/png", "audio/wav", "application/pdf"]
    )
    const turns = turnsOf(call)
    assert.lengthOf(turns, 3)
    assert.include(turns[0], "What is it?")
    assert.include(turns[2], "Stored before")
    await ask()
    assert.lengthOf((await bodyOf(ada, "/files")).data, 4)
  })

  it("are never left out: one that the model refuses fails the request", async () => {
    const ada = await backends.newUser()
    const url = `data:image/png;base64,${png({ seed: "refused" }).toString("base64")}`
    const prompt = uniquePrompt("And now?")
    const made = clientAt(base, ada.token).chat.completions.create({
      model,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "[[rejectfile]]" },
            { type: "image_url", image_url: { url } }
          ]
        },
        { role: "assistant", content: "Nothing." },
        { role: "user", content: prompt }
      ]
    })
    assert.deepInclude(await refusalOf(made), { status: 400, code: "rejected_by_model", param: "messages" })
    assert.lengthOf(callsTo(backends.gemini, prompt), 1)
  })

  it("are refused by the part that has them", async () => {
    const ada = await backends.newUser()
    const refuse = (part: object) =>
      refusalOf(
        clientAt(base, ada.token).post("/chat/completions", { body: { model, messages: [{ role: "user", content: [part] }] } })
      )
    const image = (url: string) => ({ type: "image_url", image_url: { url } })
    const at = "messages[0].content[0]"
    for (const [part, param] of [
      [image("data:image/png;base64,%%%"), `${at}.image_url.url`],
      [image(`data:image/png;base64,${Buffer.from("not an image").toString("base64")}`), `${at}.image_url.url`],
      [image("data:image/gif;base64,AAAA"), `${at}.image_url.url`],
      [{ type: "input_audio", input_audio: { data: "AAAA", format: "mp3" } }, `${at}.input_audio.data`],
      [{ type: "file", file: { file_id: "01980000-0000-7000-8000-000000000000" } }, `${at}.file.file_id`],
      [{ type: "file", file: { file_id: "file-abc" } }, `${at}.file.file_id`],
      [{ type: "file", file: {} }, `${at}.file`]
    ] as const) {
      assert.deepInclude(await refuse(part), { status: 400, code: "invalid_value", param }, JSON.stringify(part))
    }
  })
})
