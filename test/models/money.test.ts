import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Person, request } from "../support/Client.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { inParallel } from "../support/inParallel.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { countStatuses } from "../support/responses.ts"

/** A dollar for a million tokens of any kind, so that a token costs a millionth. */
const dear = plainModel("gemini-dear", {
  maxOutputTokens: { basic: 1_000, pro: 1_000 },
  prices: [{ from: "2020-01-01", input: 1, cached: 1, output: 1 }]
})
const dollars = (micros: number) => (micros / 1_000_000).toFixed(4)
/** What a short question reserves: its own few tokens, and the longest answer. */
const perQuestion = 1_100

/** Rounds of parallel questions; `BUDGET_ROUNDS=30` is the long form. */
const rounds = Number(process.env["BUDGET_ROUNDS"] ?? 5)

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({
    MODELS: modelsWith(dear),
    BASIC_DAILY_PROMPTS: "1000",
    BASIC_DAILY_BUDGET: dollars(3 * perQuestion + 700),
    ADMIN_TOKEN: "an-operator's-token",
    LOG_LEVEL: "none"
  })
})
afterAll(() => backends.stop())

const rooms = (person: Person, count: number) => Promise.all(times(count, () => person.room({ model: "gemini-dear" })))
const ledgerOf = (person: Person) =>
  backends.database.query<{ prompt: number; reply: number; cost: number; attempt: number; estimated: boolean }>(
    `select prompt_tokens as prompt, reply_tokens as reply, cost_micros::int as cost, attempt, is_estimated as estimated
      from model_calls where user_id = $1 order by attempt, id`,
    [person.userId]
  )
/** Bytes of an unfinished reply that its worker has stored. */
const writtenBytes = async (replyId: string) => {
  const [row] = await backends.database.query<{ bytes: number }>(
    "select coalesce(sum(octet_length(body)), 0)::int as bytes from stream_segments where reply_id = $1",
    [replyId]
  )
  return row?.bytes
}
const dayOf = async (person: Person) => (await person.call("GET", "/user/usage")).body.data[0] as Readonly<Record<string, number>>

describe("a budget", () => {
  it("lets exactly as many parallel questions pass as it pays for", { timeout: 30_000 + rounds * 30_000 }, async () => {
    for (let round = 0; round < rounds; round++) {
      const ada = await backends.newUser()
      const opened = await rooms(ada, 25)
      const answers = await Promise.all(
        opened.flatMap((room) => [0, 1].map(() => ada.ask(room, "[[latency 1500]] [[say Yes.]]")))
      )
      assert.deepStrictEqual(countStatuses(answers), { 202: 3, 429: 47 })
      const refused = answers.find(({ status }) => status === 429)
      assert.strictEqual(refused?.body.code, "budget_exceeded")
      assert.deepStrictEqual(Object.keys(refused?.body ?? {}).toSorted(), [
        "code",
        "detail",
        "requestId",
        "resetsAt",
        "retryAfter",
        "status",
        "title",
        "type",
        "upgradeUrl"
      ])
      assert.strictEqual(await usedToday(ada), 3)
      await Promise.all(answers.filter(({ status }) => status === 202).map((sent) => awaitEnd(ada, sent)))
      const { budget } = (await ada.call("GET", "/user/me")).body
      assert.strictEqual(budget.reservedMicros, 0)
      const ledger = await ledgerOf(ada)
      assert.strictEqual(
        budget.spentMicros,
        ledger.reduce((sum, { cost }) => sum + cost, 0)
      )
      assert.strictEqual(ledger.length, 3, `round ${round}`)
    }
  })

  it("shows what is reserved, and gives it back with a deleted room", async () => {
    const ada = await backends.newUser()
    const [room = ""] = await rooms(ada, 1)
    const sent = await ada.ask(room, "[[latency 3000]]")
    const { budget } = sent.body.quota
    assert.deepStrictEqual([budget.limitMicros, budget.spentMicros], [3 * perQuestion + 700, 0])
    assert.isAtLeast(budget.reservedMicros, 1_000)
    assert.isAtMost(budget.reservedMicros, perQuestion)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}`)).status, 204)
    assert.strictEqual((await ada.call("GET", "/user/me")).body.budget.reservedMicros, 0)
  })

  it("ends a reply before its attempt is repeated, once the money is spent", async () => {
    const ada = await backends.newUser()
    const [room = ""] = await rooms(ada, 1)
    const { body } = await awaitEnd(ada, await ada.ask(room, "[[length 24000]] [[chunks 5 delay 1]] [[drop 5 times 4]]"))
    assert.deepStrictEqual([body.status, body.error.code], ["failed", "budget_exceeded"])
    assert.strictEqual(await usedToday(ada), 0)
  })
})

describe("the ledger", () => {
  it("has every attempt, and a reply costs what they cost together", async () => {
    const ada = await backends.newUser()
    const [room = ""] = await rooms(ada, 1)
    const { body } = await awaitEnd(ada, await ada.ask(room, "[[length 100]] [[chunks 5 delay 1]] [[drop 2 times 2]] [ledger]"))
    assert.deepStrictEqual([body.status, body.attempt], ["completed", 3])
    const calls = callsAbout(backends, "[ledger]")
    const ledger = await ledgerOf(ada)
    assert.deepStrictEqual(
      ledger.map(({ attempt, estimated, reply }) => [attempt, estimated, reply]),
      calls.map(({ textSent }, index) => [index + 1, false, Math.ceil(textSent.length / 4)])
    )
    assert.strictEqual(
      body.costMicros,
      ledger.reduce((sum, { cost }) => sum + cost, 0)
    )
    const day = await dayOf(ada)
    assert.deepStrictEqual(
      [day["costMicros"], day["replyTokens"], day["promptTokens"]],
      [body.costMicros, ledger.reduce((sum, { reply }) => sum + reply, 0), ledger.reduce((sum, { prompt }) => sum + prompt, 0)]
    )
  })

  it("has a reply that is cancelled after any piece of it at what the model last counted", { timeout: 60_000 }, async () => {
    const pieces = 6
    const pieceCounts = times(pieces + 1, (count) => count)
    await inParallel(3, pieceCounts, async (piece) => {
      const ada = await backends.newUser()
      const [room = ""] = await rooms(ada, 1)
      const about = `[cancelled ${piece}]`
      const sent = await ada.ask(room, `[[length 120]] [[chunks ${pieces}]] [[stall ${piece}]] ${about}`)
      await until("all pieces", () => callsAbout(backends, about)[0]?.chunksSent === piece)
      await until("the pieces in the database", async () => (await writtenBytes(sent.body.reply.id)) === 20 * piece)
      const { body } = await ada.call("POST", `/chatroom/${room}/message/${sent.body.reply.id}/cancel`)
      const ledger = await ledgerOf(ada)
      const bill = backends.gemini.bills().find(({ id }) => id === callsAbout(backends, about)[0]?.id)
      if (piece === 0) {
        assert.deepStrictEqual([body.status, body.usage, ledger, bill], ["cancelled", null, [], undefined])
        return
      }
      assert.isDefined(bill)
      assert.strictEqual(bill.replyTokens, Math.ceil((20 * piece) / 4))
      assert.deepStrictEqual(
        [body.status, body.content.length, body.usage.replyTokens],
        ["cancelled", 20 * piece, bill.replyTokens]
      )
      const cost = bill.promptTokens + bill.replyTokens
      assert.deepStrictEqual(ledger, [{ prompt: bill.promptTokens, reply: bill.replyTokens, cost, attempt: 1, estimated: false }])
      assert.strictEqual(body.costMicros, cost)
    })
  })

  it("has no call that the model refused", async () => {
    const ada = await backends.newUser()
    const [room = ""] = await rooms(ada, 1)
    await awaitEnd(ada, await ada.ask(room, "[[status 400]]"))
    assert.deepStrictEqual(await ledgerOf(ada), [])
  })

  it("counts thoughts, and asks the model for no more tokens than the tier has", async () => {
    const ada = await backends.newUser()
    const [room = ""] = await rooms(ada, 1)
    const { body } = await awaitEnd(ada, await ada.ask(room, "[[thoughts]] [bounded]"))
    assert.isAbove(body.usage.thoughtTokens, 0)
    assert.strictEqual((await dayOf(ada))["thoughtTokens"], body.usage.thoughtTokens)
    const asked = callsAbout(backends, "[bounded]")[0]?.body as {
      readonly generationConfig: { readonly maxOutputTokens: number }
    }
    assert.strictEqual(asked.generationConfig.maxOutputTokens, 1_000)
  })
})

describe("GET /admin/usage", () => {
  const report = (query: string) =>
    request(backends.urls[0] ?? "", "GET", `/admin/usage${query}`, { token: "an-operator's-token" })

  it("sums the ledger by day, model or tier, and counts calls without an exact price", async () => {
    const ada = await backends.newUser()
    const [room = ""] = await rooms(ada, 1)
    await awaitEnd(ada, await ada.ask(room, "[[version gemini-unheard-of]] [[say Yes.]]"))
    const [total] = await backends.database.query<{ calls: number; cost: number }>(
      "select count(*)::int as calls, sum(cost_micros)::int as cost from model_calls"
    )
    for (const by of ["day", "model", "tier"]) {
      const { body, status } = await report(`?by=${by}`)
      assert.deepStrictEqual([status, body.by, body.unpriced], [200, by, 1])
      const sum = (name: string) =>
        body.data.reduce((all: number, row: Readonly<Record<string, number>>) => all + (row[name] ?? 0), 0)
      assert.deepStrictEqual([sum("calls"), sum("costMicros")], [total?.calls, total?.cost])
    }
    const models = (await report("?by=model")).body.data.map(({ key }: { key: string }) => key)
    assert.includeMembers(models, ["gemini-dear", "gemini-unheard-of"])
    assert.deepStrictEqual((await report("?from=2020-01-01&to=2020-12-31")).body.data, [])
    const { text } = await request(backends.urls[0] ?? "", "GET", "/metrics", { token: "an-operator's-token" })
    assert.match(text, /^chat_model_calls_unpriced 1$/m)
  })

  it("refuses days that do not exist, periods that are too long, and callers without the token", async () => {
    for (const query of [
      "?from=2026-02-30",
      "?to=yesterday",
      "?from=2020-01-01&to=2026-01-01",
      "?from=2026-02-01&to=2026-01-01"
    ]) {
      assert.strictEqual((await report(query)).status, 400, query)
    }
    assert.strictEqual((await request(backends.urls[0] ?? "", "GET", "/admin/usage")).status, 401)
  })
})
