import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Person, request } from "../support/Client.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, readEnded, sendQuestion, uniquePrompt, usedToday } from "../support/messages.ts"
import { countStatuses } from "../support/responses.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { bothUrls, startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { openStream, placeOf, type SseStream } from "../stream/SseClient.ts"

/** A dollar for a million tokens, so that a token costs a millionth. */
const plain = plainModel("gemini-plain", { prices: [{ from: "2020-01-01", input: 1, cached: 1, output: 1 }] })
const searchPrice = 14_000
const perSearch = {
  ...plain,
  id: "gemini-pro-search",
  tools: { basic: ["url" as const], pro: ["search" as const, "url" as const] }
}
const toolless = plainModel("gemini-toolless", { tools: [] })
const either = plainModel("gemini-either", { jsonWithTools: false })
const settings = {
  MODELS: modelsWith(plain, perSearch, toolless, either),
  GEMINI_MODEL: "gemini-toolless",
  BASIC_DAILY_PROMPTS: "1000",
  BASIC_DAILY_SEARCHES: "5",
  PRO_DAILY_SEARCHES: "100",
  BASIC_DAILY_BUDGET: "1.0000",
  ADMIN_TOKEN: "an-operator's-token",
  LOG_LEVEL: "none"
}

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ ...settings, ROLE: "api" }, settings)
})
afterAll(() => backends.stop())

const send = (person: Person, room: string, content: string, own: object = {}) =>
  person.call("POST", `/chatroom/${room}/message`, { content, settings: own })

const room = (person: Person, tools: ReadonlyArray<string>, model = "gemini-plain") => person.room({ tools, model })

const setPro = async (person: Person, isPro: boolean) => {
  await backends.database.query(`update users set pro_until = now() + $2::interval where id = $1`, [
    person.userId,
    isPro ? "1 day" : "-1 day"
  ])
  await backends.database.query("select pg_notify('changed', $1)", [`sessions:${person.userId}`])
}

interface Grounded {
  readonly content: string
  readonly sources: ReadonlyArray<{ readonly url: string; readonly title: string; readonly domain: string | null }>
  readonly citations: ReadonlyArray<{ readonly start: number; readonly end: number; readonly sources: ReadonlyArray<number> }>
}
const citedTexts = ({ citations, content }: Grounded) => citations.map(({ end, start }) => content.slice(start, end))

const none = { sources: [], citations: [], searches: [], searchSuggestions: null, urls: [], toolsSkipped: [] }
const ofTools = ({ citations, searches, searchSuggestions, sources, toolsSkipped, urls }: typeof none) => ({
  sources,
  citations,
  searches,
  searchSuggestions,
  urls,
  toolsSkipped
})

const said = "川は海へ流れる🌊。 Rivers end there 🏽. 天気は良い。 Fin 👩‍👩‍👧!"
const cited = ["川は海へ流れる🌊。", "天気は良い。"]

describe("a reply made with tools", () => {
  it("has sources, citations by UTF-16 offsets, searches and read addresses", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search", "url"])
    const question = `[grounded] [[search rivers|天気 🌤]] [[url https://a.example/page paywall]] [[say ${said}]]`
    const { body } = await awaitEnd(ada, await ada.ask(id, question))
    assert.deepStrictEqual([body.status, body.content], ["completed", said])
    assert.deepStrictEqual(citedTexts(body), cited)
    const redirect = (index: number) => `https://vertexaisearch.cloud.google.com/grounding-api-redirect/simulated-${index}`
    assert.deepStrictEqual(body.sources, [
      { url: redirect(0), title: "site0.example", domain: "site0.example" },
      { url: redirect(1), title: "site1.example", domain: "site1.example" },
      { url: redirect(2), title: "vertexaisearch.cloud.google.com", domain: null }
    ])
    assert.deepStrictEqual(
      body.citations.map(({ sources }: Grounded["citations"][number]) => sources),
      [
        [0, 2],
        [1, 2]
      ]
    )
    assert.deepStrictEqual(body.searches, ["rivers", "天気 🌤"])
    assert.strictEqual(body.searchSuggestions, '<style>.chip{}</style><div class="chip">rivers 天気 🌤</div>')
    assert.deepStrictEqual([body.urls, body.toolsSkipped], [[{ url: "https://a.example/page", status: "paywall" }], []])
    const call = callsAbout(backends, "[grounded]")[0]?.body as { readonly tools?: unknown }
    assert.deepStrictEqual(call.tools, [{ googleSearch: {} }, { urlContext: {} }])

    const context = await ada.call("GET", `/chatroom/${id}/message/${body.id}/context`)
    assert.deepStrictEqual(context.body.settings.tools, ["search", "url"])
    const listed = (await ada.call("GET", `/chatroom/${id}/messages`)).body.data
    const { thoughts: _, ...withoutThoughts } = body
    assert.deepStrictEqual([listed[0], ofTools(listed[1])], [withoutThoughts, none])
    const found = (await ada.call("GET", `/search?q=${encodeURIComponent("Rivers end")}`)).body.data
    assert.deepStrictEqual(found[0]?.sources, body.sources)
  })

  it("is counted and billed by its searches", async () => {
    const ada = await backends.newUser()
    const { body } = await awaitEnd(ada, await ada.ask(await room(ada, ["search"]), "[[search one|two|three]] [[say Yes.]]"))
    const { promptTokens, replyTokens, toolTokens } = body.usage
    assert.strictEqual(toolTokens, 300)
    assert.strictEqual(body.costMicros, promptTokens + replyTokens + toolTokens + 3 * searchPrice)
    const day = (await ada.call("GET", "/user/usage")).body.data[0]
    assert.deepStrictEqual([day.searches, day.toolTokens, day.costMicros], [3, 300, body.costMicros])
    const ledger = await backends.database.query<object>(
      "select searches, tool_tokens, cost_micros::int as cost from model_calls where user_id = $1 and kind = 'reply'",
      [ada.userId]
    )
    assert.deepStrictEqual(ledger, [{ searches: 3, tool_tokens: 300, cost: body.costMicros }])
  })

  it("counts the searches of attempts that failed, and shows only those of the last", async () => {
    const ada = await backends.newUser()
    const question = uniquePrompt(`[[search one|two]] [[chunks 6 delay 1]] [[drop 6 times 1]] [[say ${said}]]`)
    const { body } = await awaitEnd(ada, await ada.ask(await room(ada, ["search"]), question))
    assert.deepStrictEqual([body.status, body.attempt, body.searches], ["completed", 2, ["one", "two"]])
    assert.deepStrictEqual(citedTexts(body), cited)
    await until("both calls are in the ledger", async () => (await ada.call("GET", "/user/usage")).body.data[0].searches === 4)
  })

  it("keeps the places of citations over several requests", async () => {
    const ada = await backends.newUser()
    const sentences = times(9, (index) => `文${index}🌊は海へ。`).join(" ")
    for (const hops of [1, 2, 3]) {
      const question = uniquePrompt(`[[search one]] [[continue ${hops}]] [[say ${sentences}]]`)
      const { body } = await awaitEnd(ada, await ada.ask(await room(ada, ["search"]), question))
      assert.strictEqual(body.content, sentences)
      assert.isAbove(body.citations.length, 4)
      for (const text of citedTexts(body)) assert.match(text, /^\S.*$/su)
      assert.strictEqual((await ada.call("GET", "/user/usage")).body.data[0].searches > 0, true)
      await backends.database.query("update usage_daily set searches = 0")
    }
  })

  it("omits and counts citations whose text is not at its offset", async () => {
    const dropped = async () => {
      const answers = await Promise.all(
        backends.urls.map((url) => request(url, "GET", "/metrics", { token: "an-operator's-token" }))
      )
      return answers.reduce((sum, { text }) => sum + Number(/^chat_citations_dropped_total (\d+)$/m.exec(text)?.[1] ?? 0), 0)
    }
    const before = await dropped()
    const ada = await backends.newUser()
    const { body } = await awaitEnd(ada, await ada.ask(await room(ada, ["search"]), `[[search x]] [[misplaced]] [[say ${said}]]`))
    assert.deepStrictEqual([body.citations, body.sources.length], [[], 2])
    assert.strictEqual((await dropped()) - before, cited.length)
  })

  it("is a text with marks and a list of sources in the export as Markdown", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search"])
    await awaitEnd(ada, await ada.ask(id, `[[search a|b]] [[say ${said}]]`))
    const { text } = await ada.call("GET", `/chatroom/${id}/export?format=markdown`)
    assert.include(
      text,
      `川は海へ流れる🌊。[1][3] Rivers end there 🏽. 天気は良い。[2][3] Fin 👩‍👩‍👧!\n\n1. [site0.example](<https://`
    )
    const json = JSON.parse((await ada.call("GET", `/chatroom/${id}/export`)).text)
    assert.strictEqual(json.messages[1].sources.length, 3)
  })
})

describe("tools of a room", () => {
  const toolsOfCalls = (about: string) => callsAbout(backends, about).map(({ body }) => (body as { tools?: unknown }).tools)

  it("are sent only where they are on", async () => {
    const ada = await backends.newUser()
    const off = await ada.room({ model: "gemini-plain" })
    const { body } = await awaitEnd(ada, await ada.ask(off, "[tools off] [[search x]] [[url https://a.example/]]"))
    assert.deepStrictEqual(ofTools(body), none)
    await awaitEnd(ada, await send(ada, off, "[tools of one]", { tools: ["url"] }))
    const unknown = await ada.room({ model: "gemini-plain" })
    await awaitEnd(ada, await send(ada, unknown, "[tools of the first]", { tools: ["url"] }))
    assert.deepStrictEqual((await ada.call("GET", `/chatroom/${off}`)).body.tools, [])
    assert.deepStrictEqual((await ada.call("PATCH", `/chatroom/${off}`, { tools: ["search"] })).body.tools, ["search"])
    await awaitEnd(ada, await ada.ask(off, "[tools on]"))
    const none1 = await awaitEnd(ada, await send(ada, off, "[tools off again]", { tools: [] }))
    const again = await ada.call("POST", `/chatroom/${off}/message/${none1.body.id}/regenerate`, { settings: { tools: ["url"] } })
    await awaitEnd(ada, again)
    const search = [{ googleSearch: {} }]
    const url = [{ urlContext: {} }]
    assert.deepStrictEqual(
      ["[tools off]", "[tools of one]", "[tools of the first]", "[tools on]", "[tools off again]"].map(toolsOfCalls),
      [[undefined], [url], [url], [search], [undefined, url]]
    )
  })

  it("are refused when the model does not have them, or twice", async () => {
    const ada = await backends.newUser()
    const id = await ada.room({ model: "gemini-toolless" })
    const refusals = [
      await ada.call("POST", "/chatroom", { tools: ["search"], model: "gemini-toolless" }),
      await ada.call("PATCH", `/chatroom/${id}`, { tools: ["url"] }),
      await send(ada, id, "x", { tools: ["search"] }),
      await ada.call("POST", "/chatroom", { tools: ["draw"] }),
      await ada.call("POST", "/chatroom", { tools: ["url", "url"] })
    ]
    assert.deepStrictEqual(
      refusals.map(({ body, status }) => [status, body.code, body.errors?.[0]?.path]),
      ["/tools/0", "/tools/0", "/settings/tools/0", "/tools/0", "/tools"].map((path) => [400, "validation_failed", path])
    )
    assert.strictEqual(await usedToday(ada), 0)
    assert.deepStrictEqual((await ada.call("GET", "/chatroom")).body.data.length, 1)
  })

  it("are skipped, and the reply says so, when the room's model changes to one without", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search", "url"])
    await ada.call("PATCH", `/chatroom/${id}`, { model: "gemini-toolless" })
    const { body } = await awaitEnd(ada, await ada.ask(id, "[skipped tools] [[search x]]"))
    assert.deepStrictEqual([body.status, body.toolsSkipped, body.sources], ["completed", ["search", "url"], []])
    assert.deepStrictEqual(toolsOfCalls("[skipped tools]"), [undefined])
  })

  it("are refused beyond the plan, and at the next question after a downgrade", async () => {
    const ada = await backends.newUser()
    const wanted = { tools: ["search"], model: "gemini-pro-search" }
    const basic = await ada.call("POST", "/chatroom", wanted)
    const { code, tool, upgradeUrl } = basic.body
    assert.deepStrictEqual([basic.status, code, tool], [403, "tool_not_in_plan", "search"])
    assert.match(upgradeUrl, /^http.*\/subscribe\/pro$/)
    const toolsOf = async () => {
      const models = (await ada.call("GET", "/models")).body.data as ReadonlyArray<{ id: string; tools: ReadonlyArray<string> }>
      return models.find(({ id }) => id === "gemini-pro-search")?.tools
    }
    assert.deepStrictEqual(await toolsOf(), ["url"])
    await setPro(ada, true)
    const id = await until("Pro", async () => (await ada.call("POST", "/chatroom", wanted)).body.id)
    assert.deepStrictEqual(await toolsOf(), ["search", "url"])
    await awaitEnd(ada, await ada.ask(id, "[before the downgrade]"))
    const used = await usedToday(ada)
    await setPro(ada, false)
    await until("Basic", async () => (await ada.call("GET", "/user/me")).body.tier === "basic")
    const refused = await ada.ask(id, "[after the downgrade]")
    assert.deepStrictEqual([refused.status, refused.body.code, refused.body.tool], [403, "tool_not_in_plan", "search"])
    assert.deepStrictEqual([await usedToday(ada), callsAbout(backends, "[after the downgrade]").length], [used, 0])
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${id}`, { tools: ["url"] })).status, 200)
    assert.strictEqual((await ada.ask(id, "[after the change]")).status, 202)
  })

  it("go with JSON where the catalogue says so", async () => {
    const ada = await backends.newUser()
    const responseFormat = { type: "json" }
    const id = await room(ada, ["search"])
    const { body } = await awaitEnd(ada, await send(ada, id, '[[search x]] [[say {"a":1}]]', { responseFormat }))
    assert.deepStrictEqual([body.status, body.searches], ["completed", ["x"]])
    const refused = await send(ada, id, "x", { responseFormat, model: "gemini-either" })
    assert.deepStrictEqual([refused.status, refused.body.errors?.[0]?.path], [400, "/settings/responseFormat/type"])
    assert.strictEqual((await send(ada, id, "x", { responseFormat, model: "gemini-either", tools: [] })).status, 202)
  })
})

describe("the searches of a day", () => {
  const skippedOf = async (person: Person, content: string) => {
    const sent = await person.ask(await room(person, ["search", "url"]), content)
    const { body } = await awaitEnd(person, sent)
    assert.deepStrictEqual(body.toolsSkipped, sent.body.reply.toolsSkipped)
    return { skipped: body.toolsSkipped, searches: body.searches }
  }

  it("end with replies made without search, until the next day", async () => {
    const ada = await backends.newUser()
    assert.deepStrictEqual(await skippedOf(ada, "[[search 1|2|3|4]]"), { skipped: [], searches: ["1", "2", "3", "4"] })
    assert.deepStrictEqual(await skippedOf(ada, "[[search 5|6]]"), { skipped: [], searches: ["5", "6"] })
    assert.deepStrictEqual(await skippedOf(ada, "[used up] [[search 7]]"), { skipped: ["search"], searches: [] })
    const call = callsAbout(backends, "[used up]")[0]?.body as { readonly tools?: unknown }
    assert.deepStrictEqual(call.tools, [{ urlContext: {} }])
    await backends.database.query(
      "update usage_daily d set day = day - 1 from users u where u.id = $1 and d.quota_key = u.quota_key",
      [ada.userId]
    )
    assert.deepStrictEqual(await skippedOf(ada, "[[search 8]]"), { skipped: [], searches: ["8"] })
  })

  it("count replies on their way, so that parallel questions do not pass", async () => {
    const ada = await backends.newUser()
    const rooms = await Promise.all(times(10, () => room(ada, ["search"])))
    const sent = await Promise.all(rooms.map((id) => ada.ask(id, "[[search x]] [[latency 300]]")))
    assert.deepStrictEqual(countStatuses(sent), { 202: 10 })
    assert.strictEqual(sent.filter(({ body }) => body.reply.toolsSkipped.length > 0).length, 5)
  })

  it("are shown again by a repetition of the request", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search"])
    await awaitEnd(ada, await ada.ask(id, "[[search 1|2|3|4|5]]"))
    const first = await ada.ask(id, "again", { key: "k1" })
    const second = await ada.ask(id, "again", { key: "k1" })
    assert.deepStrictEqual(first.body.reply.toolsSkipped, ["search"])
    assert.deepStrictEqual(second.body.reply, first.body.reply)
  })

  it("are reserved of the budget as four a question", async () => {
    const ada = await backends.newUser()
    const reservedFor = async (tools: ReadonlyArray<string>) => {
      const sent = await ada.ask(await room(ada, tools), "[[latency 1500]] same words")
      const reserved: number = sent.body.quota.budget.reservedMicros
      await awaitEnd(ada, sent)
      return reserved
    }
    assert.strictEqual((await reservedFor(["search"])) - (await reservedFor([])), 4 * searchPrice)
    assert.strictEqual((await ada.call("GET", "/user/me")).body.quota.budget.reservedMicros, 0)
  })
})

describe("the stream of a reply made with tools", () => {
  const isSources = ({ name }: { readonly name: string }) => name === "sources"
  /** The sources are sent once, just before the end, and are those of the stored reply. */
  const assertSources = (stream: SseStream, reply: object) => {
    const names = stream.events.map(({ name }) => name)
    assert.deepStrictEqual(names.slice(-2), ["sources", "completed"])
    const { toolsSkipped: _, ...grounding } = ofTools(reply as typeof none)
    assert.deepStrictEqual(
      stream.events.filter(isSources).map(({ data }) => data),
      [grounding]
    )
  }

  it("has its sources once, before the end, on every process and after a reconnect", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search"])
    const sent = await ada.ask(id, `[[search x|y]] [[chunks 12 delay 60]] [[say ${said}]]`)
    const [one, other] = bothUrls(backends)
    const place = placeOf(sent)
    const [first, second, left] = await Promise.all([
      openStream(one, ada, place),
      openStream(other, ada, place),
      openStream(one, ada, place)
    ])
    await left.first(({ text }) => text.length > 3)
    left.leave()
    const resumed = await openStream(other, ada, place, { lastEventId: left.parser.lastId ?? "", having: left.text() })
    const reply = await readEnded(ada, place)
    await Promise.all([first.closed, second.closed, resumed.closed])
    for (const stream of [first, second, resumed]) {
      assertSources(stream, reply)
      assert.strictEqual(stream.parser.text, said)
    }
    const late = await openStream(one, ada, place)
    await late.closed
    assertSources(late, reply)
  })

  it("has no sources of an attempt that was given up", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search"])
    const sent = await ada.ask(id, uniquePrompt(`[[search x]] [[chunks 6 delay 30]] [[drop 6 times 1]] [[say ${said}]]`))
    const stream = await openStream(bothUrls(backends)[0], ada, placeOf(sent))
    await stream.closed
    assert.strictEqual(stream.events.filter(({ name }) => name === "replace").length, 1)
    assertSources(stream, await readEnded(ada, placeOf(sent)))
  })

  it("has none without tools", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[search x]] [[say Yes.]]")
    const stream = await openStream(bothUrls(backends)[0], ada, place)
    await stream.closed
    assert.strictEqual(stream.events.filter(isSources).length, 0)
  })

  it("has those that had come when it was stopped", async () => {
    const ada = await backends.newUser()
    const id = await room(ada, ["search"])
    const place = placeOf(await ada.ask(id, `[[search x]] [[chunks 3 delay 1]] [[stall 3]] [[say ${said}]]`))
    const stream = await openStream(bothUrls(backends)[0], ada, place)
    await stream.first(({ text }) => text === said)
    await ada.call("POST", `/chatroom/${id}/message/${place.reply}/cancel`)
    await stream.closed
    const reply = await readEnded(ada, place)
    assert.deepStrictEqual([reply.status, reply.searches], ["cancelled", ["x"]])
    assert.deepStrictEqual(citedTexts(reply), cited)
    assert.strictEqual((await ada.call("GET", "/user/usage")).body.data[0].searches, 1)
  })
})
