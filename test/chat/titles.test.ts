import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { openStream, placeOf, readAll, type SseStream } from "../stream/SseClient.ts"
import { startBackend, startProcess } from "../support/Backend.ts"
import type { Person } from "../support/Client.ts"
import { awaitEnd, readEnded, usedToday } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { TcpProxy } from "../support/TcpProxy.ts"
import { newUser } from "../support/Users.ts"
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

/** Of the process without a worker. */
const url = () => backends.urls[0] ?? ""

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

  it("may take ten seconds, and the room's replies do not wait for it", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await awaitEnd(ada, await ada.ask(room, "[slow] Hello? [[title latency 10000]] [[title At last]]"))
    await awaitEnd(ada, await ada.ask(room, "[slow] And now?"))
    assert.strictEqual((await shown(ada, room))[1], "words")
    await untilNamed(ada, room)
    assert.deepStrictEqual(await shown(ada, room), ["At last", "model"])
    assert.strictEqual(titleCalls("[slow]").length, 1)
  })

  it("has no control characters, whatever the model writes", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ada.ask(room, "Hello? [[title <b>Looms</b>\u0007\r\n\u202eand\u2028weavers\u0085]]")
    await untilNamed(ada, room)
    // Marks of HTML are text, which the client escapes.
    assert.deepStrictEqual(await shown(ada, room), ["<b>Looms</b> and weavers", "model"])
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

describe("the streams of a room that gets a title", () => {
  const long = "[[length 600]] [[chunks 120 delay 50]]"
  const titlesOf = ({ events }: SseStream) => events.filter(({ name }) => name === "title").map(({ data }) => data)

  it("send it while the reply is written, without an id, and again after a reconnect", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const first = placeOf(await ada.ask(room, `Hello? ${long} [[title latency 1000]] [[title Looms and weavers]]`))
    const second = placeOf(await ada.ask(room, "And now?"))
    const [stream, waiting] = [await openStream(url(), ada, first), await openStream(url(), ada, second)]
    for (const open of [stream, waiting]) {
      const event = await open.first(({ name }) => name === "title")
      assert.deepStrictEqual([event?.data, event?.id], [{ title: "Looms and weavers" }, undefined])
    }
    // Text follows it, so that it came by a notification and not with the end.
    const place = stream.events.findIndex(({ name }) => name === "title")
    await until("text", () => stream.events.slice(place).some(({ name }) => name === "delta"))
    stream.leave()
    await stream.closed
    assert.match(stream.parser.lastId ?? "", /^1:\d+$/)
    await waiting.closed
    const resumed = await readAll(url(), ada, first, { lastEventId: stream.parser.lastId ?? "", having: stream.text() })
    for (const read of [stream, resumed, waiting]) assert.deepStrictEqual(titlesOf(read), [{ title: "Looms and weavers" }])
    assert.strictEqual(resumed.text(), (await readEnded(ada, first)).content)

    // A question that is accepted afterwards knows the title.
    assert.deepStrictEqual(titlesOf(await readAll(url(), ada, placeOf(await ada.ask(room, "Later?")))), [])
  })

  it("send the words that replace a title, and no title of the user", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ title: "Mine" })
    const place = placeOf(await ada.ask(room, `Words? ${long} [[title status 400]]`))
    const stream = await openStream(url(), ada, place)
    await stream.first(({ name }) => name === "delta")
    await ada.call("PATCH", `/chatroom/${room}`, { title: "Still mine" })
    const { title } = (await ada.call("PATCH", `/chatroom/${room}`, { title: null })).body
    assert.deepStrictEqual((await stream.first(({ name }) => name === "title"))?.data, { title })
    await ada.call("PATCH", `/chatroom/${room}`, { title: "Mine again" })
    await stream.closed
    assert.deepStrictEqual(titlesOf(stream), [{ title }])
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
  it("asks the default `TITLE_MODEL` at its lowest level, not the model of the room", async () => {
    const plain = await startBackends({ AUTO_TITLES: "model", LOG_LEVEL: "none" })
    try {
      const ada = await plain.newUser()
      const room = await ada.room()
      await ada.ask(room, "[default] Hello? [[title Looms]]")
      await until("the title", async () => (await shown(ada, room))[0] === "Looms")
      const call = plain.gemini.log("[default]").find(({ model }) => model === "gemini-3.5-flash-lite")
      const { generationConfig } = (call?.body ?? {}) as { readonly generationConfig?: object }
      assert.deepStrictEqual(generationConfig, { maxOutputTokens: 512, thinkingConfig: { thinkingLevel: "MINIMAL" } })
    } finally {
      await plain.stop()
    }
  })

  it("adds no statement to a send", { timeout: 120_000 }, async () => {
    const questions = 20
    /** The number of statements that send first questions, and which others are as frequent. */
    const statementsOf = async (mode: string) => {
      const quiet = await startBackends({ ...settings, AUTO_TITLES: mode, ROLE: "worker" })
      const sent: Array<string> = []
      const proxy = await TcpProxy.start(quiet.database.url, (bytes) => {
        // Parse of the Postgres protocol: a length, the name of a prepared statement, the statement.
        for (const [, text = ""] of bytes.toString("latin1").matchAll(/P[^]{4}[^\0]*\0(\s*\w[^\0]+)\0/g)) sent.push(text)
      })
      const api = await startBackend({
        ...settings,
        AUTO_TITLES: mode,
        ROLE: "api",
        DATABASE_URL: proxy.through(quiet.database.url),
        // With two URLs no statement is prepared by name, so that each is sent as text.
        DATABASE_DIRECT_URL: quiet.database.url,
        GEMINI_BASE_URL: quiet.gemini.url
      })
      try {
        const ada = await newUser(api.url, quiet.database)
        // A user each: a question whose user is locked, by the end of an earlier reply, is tried again.
        const places: Array<{ readonly user: Person; readonly room: string }> = []
        for (let count = 0; count < questions; count++) {
          const user = await newUser(api.url, quiet.database)
          places.push({ user, room: await user.room() })
        }
        await awaitEnd(ada, await ada.ask(await ada.room(), "Before?"))
        sent.length = 0
        for (const { room, user } of places) {
          assert.strictEqual((await user.ask(room, "[counted] Hello?")).status, 202)
          await sleep(50)
        }
        const groups = Object.groupBy(sent, (text) => /send_message|add_jobs/.exec(text)?.[0] ?? text)
        // Announcements that wait for one another are one statement.
        const frequent = Object.entries(groups).filter(([, found = []]) => found.length >= questions)
        return {
          sends: groups["send_message"]?.length,
          others: frequent.map(([text]) => text).filter((text) => text !== "send_message" && text !== "add_jobs")
        }
      } finally {
        await api.stop()
        await proxy.stop()
        await quiet.stop()
      }
    }
    const without = await statementsOf("off")
    assert.deepStrictEqual(without, { sends: questions, others: [] })
    assert.deepStrictEqual(await statementsOf("model"), without)
  })

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
