import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startProcess } from "../support/Backend.ts"
import type { Person } from "../support/Client.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { until } from "../support/wait.ts"

const titleModel = "gemini-namer"
/** A dollar for a million tokens of any kind, so that a token costs a millionth. */
const namer = plainModel(titleModel, { prices: [{ from: "2020-01-01", input: 1, cached: 1, output: 1 }] })
/** A question to it reserves little. */
const small = plainModel("gemini-small", {
  maxOutputTokens: { basic: 100, pro: 100 },
  prices: [{ from: "2020-01-01", input: 1, cached: 1, output: 1 }]
})
const settings = {
  AUTO_TITLES: "model",
  TITLE_MODEL: titleModel,
  MODELS: modelsWith(namer, small),
  BASIC_DAILY_PROMPTS: "1000",
  LOG_LEVEL: "none"
}

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ ...settings, ROLE: "api" }, { ...settings, ROLE: "worker" })
})
afterAll(() => backends.stop())

const shown = async (person: Person, room: string) => {
  const { title, titleSource } = (await person.call("GET", `/chatroom/${room}`)).body
  return [title, titleSource]
}
const untilNamed = (person: Person, room: string, source = "model") =>
  until(`a title of ${source}`, async () => (await shown(person, room))[1] === source, { seconds: 30 })
/** Requests for a title whose question contains the text. */
const titleCalls = (text: string, of = backends) => of.gemini.log(text).filter(({ model }) => model === titleModel)
const queuedTitles = async (room: string, of = backends) =>
  (await of.database.query("select 1 from graphile_worker.jobs where key = $1", [`title:${room}`])).length
const ledgerOf = (person: Person, of = backends) =>
  of.database.query<{ kind: string; reply: string; attempt: number; cost: number; tokens: number }>(
    `select kind, reply_id as reply, attempt, cost_micros::int as cost, prompt_tokens + reply_tokens as tokens
      from model_calls where user_id = $1 and kind = 'title' order by at`,
    [person.userId]
  )

describe("the title of a room that was made without one", () => {
  it("is the first words of its first question at once, and then the model's", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    assert.deepStrictEqual(await shown(ada, room), ["New chat", "default"])
    const tags = new Set<string | null>()
    const list = async () => {
      const { body, headers } = await ada.call("GET", "/chatroom")
      tags.add(headers.get("etag"))
      return body.data[0].title
    }
    assert.strictEqual(await list(), "New chat")
    const sent = await ada.ask(room, "What is\n  a loom? [[title latency 1500]] [[title Looms and weavers]]")
    assert.strictEqual(await list(), "What is a loom? [[title latency 1500]] [[title Looms and")
    assert.deepStrictEqual((await shown(ada, room))[1], "words")
    await untilNamed(ada, room)
    assert.deepStrictEqual(await shown(ada, room), ["Looms and weavers", "model"])
    await until("the list", async () => (await list()) === "Looms and weavers")
    assert.strictEqual(tags.size, 3)

    const { body } = await awaitEnd(ada, sent)
    assert.strictEqual(await usedToday(ada), 1)
    const [row, ...others] = await ledgerOf(ada)
    assert.deepStrictEqual(others, [])
    assert.deepStrictEqual([row?.reply, row?.attempt, row?.cost], [body.id, 0, row?.tokens])
    // The title is no cost of the reply, but one of the user's day.
    const [day] = (await ada.call("GET", "/user/usage")).body.data
    assert.deepStrictEqual([day.prompts, day.costMicros], [1, (body.costMicros ?? 0) + (row?.cost ?? 0)])
  })

  it("is asked for with the question alone, at the lowest level of thinking", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ systemPrompt: "Be brief." })
    await ada.ask(room, `[wire] ${"x".repeat(5_000)} [[title Never read]]`)
    await until("the call", () => titleCalls("[wire]").length === 1)
    const [call] = titleCalls("[wire]")
    const { contents, generationConfig, systemInstruction } = (call?.body ?? {}) as {
      readonly contents: ReadonlyArray<{ readonly role: string; readonly parts: ReadonlyArray<{ readonly text: string }> }>
      readonly generationConfig: object
      readonly systemInstruction: { readonly parts: ReadonlyArray<{ readonly text: string }> }
    }
    assert.deepStrictEqual(
      contents.map(({ parts, role }) => [role, parts[0]?.text.length]),
      [["user", 2_000]]
    )
    assert.match(systemInstruction.parts[0]?.text ?? "", /^Name the topic/)
    assert.deepStrictEqual(generationConfig, { maxOutputTokens: 512, thinkingConfig: { thinkingLevel: "LOW" } })
  })

  it("is asked for once, by the first question", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await awaitEnd(ada, await ada.ask(room, "[once] One? [[title First]]"))
    await untilNamed(ada, room)
    await awaitEnd(ada, await ada.ask(room, "[once] Two? [[title Second]]"))
    assert.deepStrictEqual(await shown(ada, room), ["First", "model"])
    assert.strictEqual(titleCalls("[once] Two?").length, 0)
    assert.strictEqual(await queuedTitles(room), 0)
  })

  it("stays the user's when the room is renamed while the model is asked", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ada.ask(room, "[renamed] Hello? [[title latency 2000]] [[title From the model]]")
    await until("the call", () => titleCalls("[renamed]").length === 1)
    const { body } = await ada.call("PATCH", `/chatroom/${room}`, { title: "Mine" })
    assert.deepStrictEqual([body.title, body.titleSource], ["Mine", "user"])
    await until("the end of the job", async () => (await queuedTitles(room)) === 0)
    assert.deepStrictEqual(await shown(ada, room), ["Mine", "user"])
  })

  it("is not asked for in a room that was made with a title", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ title: "Chosen" })
    assert.deepStrictEqual(await shown(ada, room), ["Chosen", "user"])
    await awaitEnd(ada, await ada.ask(room, "[chosen] Hello? [[title Other]]"))
    assert.deepStrictEqual(await shown(ada, room), ["Chosen", "user"])
    assert.strictEqual(titleCalls("[chosen]").length, 0)
  })

  it("stays the words after two tries that give none", async () => {
    const ada = await backends.newUser()
    for (const word of ["empty", "status 503", "finish SAFETY", "x".repeat(121)]) {
      const room = await ada.room()
      const about = `[none ${word.slice(0, 12)}]`
      await ada.ask(room, `${about} Hello? [[title ${word}]]`)
      await until("two calls", () => titleCalls(about).length === 2)
      await until("the end of the job", async () => (await queuedTitles(room)) === 0)
      const [title, source] = await shown(ada, room)
      assert.deepStrictEqual([String(title).startsWith(about), source], [true, "words"], word.slice(0, 20))
      assert.strictEqual(titleCalls(about).length, 2)
    }
  })

  it("is the second try's when the first one fails", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ada.ask(room, '[second] Hello? [[title status 503 times 1]] [[title **"Second thoughts"**]]')
    await untilNamed(ada, room)
    assert.deepStrictEqual(await shown(ada, room), ["Second thoughts", "model"])
  })

  it("does not depend on the reply", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const { body } = await awaitEnd(ada, await ada.ask(room, "[[status 400]] [[title Still named]]"))
    assert.strictEqual(body.status, "failed")
    await untilNamed(ada, room)
    assert.deepStrictEqual(await shown(ada, room), ["Still named", "model"])
  })
})

describe("PATCH /chatroom/:id with the title null", () => {
  it("takes the first question's words again and asks the model again", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ title: "Mine" })
    const first = await ada.ask(room, "[again] First? [[title latency 1500]] [[title Looms again]]")
    await ada.ask(room, "Second?")
    const { body, status } = await ada.call("PATCH", `/chatroom/${room}`, { title: null, pinned: true })
    assert.deepStrictEqual(
      [status, body.title, body.titleSource, body.pinned],
      [200, "[again] First? [[title latency 1500]] [[title Looms again]]", "words", true]
    )
    await untilNamed(ada, room)
    assert.deepStrictEqual(await shown(ada, room), ["Looms again", "model"])
    await until("the ledger", async () => (await ledgerOf(ada))[0]?.reply === first.body.reply.id)
  })

  it("is `New chat` again in a room without questions", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ title: "Mine" })
    const { body } = await ada.call("PATCH", `/chatroom/${room}`, { title: null })
    assert.deepStrictEqual([body.title, body.titleSource], ["New chat", "default"])
    await ada.ask(room, "Hello?")
    assert.notStrictEqual((await shown(ada, room))[1], "default")
    assert.strictEqual((await ada.call("PATCH", "/chatroom/00000000-0000-7000-8000-000000000000", { title: null })).status, 404)
  })
})

describe("a used-up budget", () => {
  it("leaves the words", async () => {
    const poor = await startBackends({ ...settings, BASIC_DAILY_BUDGET: "0.0005" })
    try {
      const ada = await poor.newUser()
      const room = await ada.room({ model: "gemini-small" })
      // The longest title may cost 512 millionths, which is more than the day has.
      const { body } = await awaitEnd(ada, await ada.ask(room, "[poor] Hello? [[title Rich]]"))
      assert.strictEqual(body.status, "completed")
      await until("the end of the job", async () => (await queuedTitles(room, poor)) === 0)
      assert.strictEqual((await shown(ada, room))[1], "words")
      assert.strictEqual(titleCalls("[poor]", poor).length, 0)
    } finally {
      await poor.stop()
    }
  })
})

describe("AUTO_TITLES", () => {
  it("`words` asks no model, and `off` leaves `New chat`", async () => {
    for (const [mode, ...expected] of [
      ["words", "Hello?", "words"],
      ["off", "New chat", "default"]
    ] as const) {
      const quiet = await startBackends({ ...settings, AUTO_TITLES: mode })
      try {
        const ada = await quiet.newUser()
        const room = await ada.room()
        await awaitEnd(ada, await ada.ask(room, "Hello?"))
        assert.deepStrictEqual(await shown(ada, room), [...expected])
        await ada.call("PATCH", `/chatroom/${room}`, { title: "Mine" })
        await ada.call("PATCH", `/chatroom/${room}`, { title: null })
        assert.deepStrictEqual(await shown(ada, room), [...expected])
        assert.strictEqual(titleCalls("Hello?", quiet).length, 0)
      } finally {
        await quiet.stop()
      }
    }
  })
})

describe("a worker that is killed while the model is asked", () => {
  it("leaves the words until another worker asks again", { timeout: 180_000 }, async () => {
    const fleet = await startBackends({ ...settings, ROLE: "api" })
    const start = () =>
      startProcess({
        ...settings,
        LOG_LEVEL: "info",
        DATABASE_URL: fleet.database.url,
        GEMINI_BASE_URL: fleet.gemini.url,
        ROLE: "all"
      })
    const workers = [await start()]
    try {
      await workers[0]?.started()
      const ada = await fleet.newUser()
      const room = await ada.room()
      await ada.ask(room, "[killed] Hello? [[title latency 3000]] [[title At last]]")
      await until("the call", () => titleCalls("[killed]", fleet).length === 1)
      await workers[0]?.kill("SIGKILL")
      assert.strictEqual((await shown(ada, room))[1], "words")
      workers.push(await start())
      await until("the title", async () => (await shown(ada, room))[1] === "model", { seconds: 150 })
      assert.deepStrictEqual(await shown(ada, room), ["At last", "model"])
    } finally {
      await Promise.all(workers.map((worker) => worker.kill("SIGKILL")))
      await sleep(100)
      await fleet.stop()
    }
  })
})
