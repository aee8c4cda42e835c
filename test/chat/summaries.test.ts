import { v7 as uuid } from "uuid"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { callsTo, turnsOf } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { unknownId } from "../support/responses.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

/** Exchanges of the longest test; 500 take half a minute. */
const exchanges = Number(process.env["SUMMARY_EXCHANGES"] ?? 40)
const contextTokens = 6_000
const step = 4_000
/** A dollar for a million tokens of any kind, so that a token costs a millionth. */
const prices = [{ from: "2020-01-01", input: 1, cached: 1, output: 1 }]
const summariser = plainModel("gemini-summariser", { prices })
const small = plainModel("gemini-small", {
  contextTokens: { basic: contextTokens, pro: contextTokens },
  maxOutputTokens: { basic: 1_000, pro: 1_000 },
  prices
})
const settings = {
  ROOM_SUMMARIES: "on",
  SUMMARY_MODEL: summariser.id,
  GEMINI_MODEL: small.id,
  MODELS: modelsWith(summariser, small),
  BASIC_DAILY_PROMPTS: "100000",
  LOG_LEVEL: "none"
}

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ ...settings, ROLE: "api" }, { ...settings, ROLE: "worker" })
})
afterAll(() => backends.stop())

const instructionOf = (call: ReturnType<typeof callsTo>[number] | undefined): string =>
  (call?.body as { systemInstruction?: { parts: ReadonlyArray<{ text: string }> } } | undefined)?.systemInstruction?.parts[0]
    ?.text ?? ""
const lastCall = (about: string, of = backends) => callsTo(of.gemini, about).findLast(({ model }) => model !== summariser.id)
/** Calls for summaries of exchanges that contain the text. */
const summaryCalls = (about: string, of = backends) => of.gemini.log(about).filter(({ model }) => model === summariser.id)
/** By the backend's own estimate, whose parts are rounded up. */
const tokensOf = (call: ReturnType<typeof callsTo>[number] | undefined): number =>
  Buffer.byteLength(
    turnsOf(call)
      .map((turn) => turn.replace(/^\w+: /, ""))
      .join("") + instructionOf(call)
  ) / 4

const padding = (tokens: number) => "lorem ".repeat(Math.ceil((tokens * 4) / 6))
const ask = async (person: Person, room: string, content: string) =>
  (await awaitEnd(person, await person.ask(room, content))).body
const contextOf = async (person: Person, room: string, reply: string) =>
  (await person.call("GET", `/chatroom/${room}/message/${reply}/context`)).body
const summaryOf = (person: Person, room: string) => person.call("GET", `/chatroom/${room}/summary`)
const untilSummarised = (person: Person, room: string, has = "") =>
  until("a summary", async () => {
    const { body, status } = await summaryOf(person, room)
    return status === 200 && String(body.text).includes(has) && body
  })
const jobsOf = (room: string, of = backends) =>
  of.database.query("select 1 from graphile_worker.jobs where key = $1", [`summary:${room}`])
const untilIdle = (room: string, of = backends) =>
  until("the end of the jobs", async () => (await jobsOf(room, of)).length === 0, { seconds: 60 })
const stateOf = async (room: string, of = backends) => {
  const [row] = await of.database.query<{ claim: string | null; tries: number; rests: number | null; upto: string | null }>(
    `select claim, tries, upto_id as upto, extract(epoch from rests_until - clock_timestamp())::float8 / 3600 as rests
      from room_summaries where chatroom_id = $1`,
    [room]
  )
  return row
}

/** A room whose older exchanges do not fit: 2,500 tokens each, so that the fourth reply leaves two of them out. */
const longRoom = async (person: Person, name: string, room?: string) => {
  const place = room ?? (await person.room())
  const replies = []
  for (const n of times(4, (index) => index)) {
    replies.push(
      await ask(person, place, `[${name} ${n}] [[summary ${name}-fact-${n}]] ${padding(2_450)} [[say Answer ${n} of ${name}.]]`)
    )
  }
  return { room: place, replies }
}

describe("a long room", () => {
  it("carries its summary and its first question in every prompt, within the budget", { timeout: 240_000 }, async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ systemPrompt: "Be brief." })
    const first = `[long 0] The loom is blue. [[summary The loom is blue.]] ${padding(150)}`
    let tokens = 0
    for (let n = 0; n < exchanges; n++) {
      const reply = await ask(ada, room, n === 0 ? first : `[long ${n}] ${padding(200)} [[length 400]]`)
      assert.strictEqual(reply.status, "completed")
      tokens += 350
      const call = lastCall(`[long ${n}] `)
      assert.isAtMost(tokensOf(call), contextTokens, `${n}`)
      assert.match(instructionOf(call), /^Be brief\./)
    }
    await untilIdle(room)
    const last = await ask(ada, room, "[long end] What is blue?")
    const call = lastCall("[long end]")
    const summary = (await summaryOf(ada, room)).body
    assert.include(summary.text, "The loom is blue.")
    assert.strictEqual(
      instructionOf(call),
      `Be brief.\n\nThe conversation began with this question:\n${first}\n\nEarlier in this conversation:\n${summary.text}`
    )
    // As many of the newest exchanges as fit: another one would not.
    assert.isAtLeast(tokensOf(call), contextTokens - 400)
    assert.strictEqual(turnsOf(call).length % 2, 1)

    const calls = summaryCalls("[long ")
    assert.isAtLeast(calls.length, 1)
    assert.isAtMost(calls.length, tokens / step)
    const context = await contextOf(ada, room, last.id)
    assert.deepStrictEqual(context.summary, { upTo: summary.upTo, tokens: summary.tokens, text: summary.text })
    assert.strictEqual(context.systemPrompt, "Be brief.")
    const messages = (await ada.call("GET", `/chatroom/${room}/export`)).body.messages
    assert.strictEqual(context.included[0].id, messages[0].id)
    const reasons = new Map<string, string>(context.dropped.map(({ id, reason }: { id: string; reason: string }) => [id, reason]))
    const end = messages.findIndex(({ id }: { id: string }) => id === summary.upTo)
    assert.isAtLeast(end, 1)
    const uncovered = messages.slice(end + 1).filter(({ id }: { id: string }) => reasons.has(id))
    // The receipt lists the newest 1,000 messages.
    for (const { id } of messages.slice(1, end + 1).slice(-900)) assert.strictEqual(reasons.get(id), "summarised")
    for (const { id } of uncovered) assert.strictEqual(reasons.get(id), "budget")
    assert.isAtMost(uncovered.length, (2 * step) / 300 + 2)

    // The prompts alone are counted; the calls cost.
    assert.strictEqual(await usedToday(ada), exchanges + 1)
    const [ledger] = await backends.database.query<{ calls: number; cost: number; priced: boolean }>(
      `select count(*)::int as calls, sum(cost_micros)::int as cost, bool_and(is_priced) as priced from model_calls
        where user_id = $1 and kind = 'summary'`,
      [ada.userId]
    )
    assert.deepStrictEqual([ledger?.calls, ledger?.priced], [calls.length, true])
    const [day] = (await ada.call("GET", "/user/usage")).body.data
    const replies = messages.reduce((sum: number, message: { costMicros?: number }) => sum + (message.costMicros ?? 0), 0)
    assert.strictEqual(day.costMicros, replies + (ledger?.cost ?? 0))
  })

  it("from before there were summaries is folded in several calls, the oldest exchanges first", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const count = 300
    const ids = times(2 * count, () => uuid()).toSorted()
    await backends.database.query(
      `insert into messages (user_id, id, chatroom_id, role, content, status, reply_to, parent_id, created_at, completed_at)
      select $1, e.id, $2, case when n % 2 = 1 then 'user' else 'model' end,
        case when n % 2 = 1 then '[old ' || n || '] ' else 'Answer. ' end || repeat('lorem ', 66)
          || case n when 7 then '[[summary Old fact.]]' else '' end,
        'completed', case when n % 2 = 0 then ($3::uuid[])[n - 1] end, case when n % 2 = 1 then ($3::uuid[])[n - 1] end, now(), now()
      from unnest($3::uuid[]) with ordinality as e (id, n)`,
      [ada.userId, room, ids]
    )
    await backends.database.query("update chatrooms set head_id = $1, last_message_at = now() where id = $2", [ids.at(-1), room])
    await ask(ada, room, "[old asked] And now?")
    await until("the calls", () => summaryCalls("[old ").length >= 4, { seconds: 30 })
    await untilIdle(room)
    const [one, two] = summaryCalls("[old ")
    const promptOf = (call: typeof one) => turnsOf(call)[0] ?? ""
    assert.match(promptOf(one), /^user: User: \[old 1\] /)
    assert.match(promptOf(two), /^user: Summary so far:\nOld fact\.\n\nUser: \[old /)
    for (const call of summaryCalls("[old ")) assert.isAtMost(tokensOf(call), 18_000)
    assert.strictEqual((await summaryOf(ada, room)).body.text, "Old fact.")
    await ask(ada, room, "[old end] And then?")
    assert.match(
      instructionOf(lastCall("[old end]")),
      /^The conversation began with this question:\n\[old 1\] .*\n\n.*\nOld fact\.$/s
    )
    const taken = (promptOf(two).match(/\[old (\d+)\]/)?.[1] ?? "0") as string
    assert.isAtLeast(Number(taken), 100)
  })

  it("of which nothing is left out has no summary", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const reply = await ask(ada, room, "[short] Hello?")
    assert.strictEqual((await contextOf(ada, room, reply.id)).summary, null)
    const missing = await summaryOf(ada, room)
    assert.deepStrictEqual([missing.status, missing.body.code], [404, "summary_not_found"])
    assert.deepStrictEqual((await summaryOf(ada, unknownId)).body.code, "chatroom_not_found")
    assert.isUndefined(await stateOf(room))
  })

  it("is answered while its summary is made, without waiting for it", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    await ask(ada, room, "[[summary latency 4000]] Hello?")
    await longRoom(ada, "slow", room)
    await until("the call", () => summaryCalls("[slow 0]").length === 1)
    const reply = await ask(ada, room, "[slow asked] And now?")
    assert.strictEqual(reply.status, "completed")
    assert.isNotNull((await stateOf(room))?.claim)
    assert.strictEqual((await contextOf(ada, room, reply.id)).summary, null)
    await untilSummarised(ada, room)
    assert.lengthOf(summaryCalls("[slow 0]"), 1)
  })
})

describe("the summary of a branch", () => {
  it("is in no prompt of another branch, and in those of its own again", async () => {
    const ada = await backends.newUser()
    const { replies, room } = await longRoom(ada, "branch")
    const { upTo } = await untilSummarised(ada, room)
    assert.strictEqual(upTo, replies[1].id)
    const content = `[edited] ${padding(2_450)}`
    await awaitEnd(ada, await ada.call("POST", `/chatroom/${room}/message/${replies[0].replyTo}/edit`, { content }))
    // Of this branch, too, something is left out.
    for (const name of ["other one", "other two"]) await ask(ada, room, `[${name}] ${padding(2_450)}`)
    assert.lengthOf(turnsOf(lastCall("[other two]")), 3)
    for (const name of ["edited", "other one", "other two"]) assert.strictEqual(instructionOf(lastCall(`[${name}]`)), "")
    assert.strictEqual((await summaryOf(ada, room)).status, 200)
    await ada.call("PATCH", `/chatroom/${room}`, { headId: replies[3].id })
    await ask(ada, room, "[back] And?")
    assert.include(instructionOf(lastCall("[back]")), "branch-fact-0 branch-fact-1")
  })

  it("is not in a copy of the room", async () => {
    const ada = await backends.newUser()
    const { room } = await longRoom(ada, "fork")
    await untilSummarised(ada, room)
    const copy = (await ada.call("POST", `/chatroom/${room}/fork`, {})).body.id
    assert.strictEqual((await summaryOf(ada, copy)).status, 404)
    await ask(ada, copy, "[forked] And?")
    assert.strictEqual(instructionOf(lastCall("[forked]")), "")
  })

  it("is deleted with a question that it covers, and not with a later one", async () => {
    const ada = await backends.newUser()
    const { replies, room } = await longRoom(ada, "deleted")
    await untilSummarised(ada, room)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}/message/${replies[3].replyTo}`)).status, 204)
    assert.strictEqual((await summaryOf(ada, room)).status, 200)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}/message/${replies[1].replyTo}`)).status, 204)
    assert.strictEqual((await summaryOf(ada, room)).status, 404)
    await ask(ada, room, "[after] And?")
    assert.notInclude(instructionOf(lastCall("[after]")), "deleted-fact")
  })

  it("is not stored when a message or the summary is deleted while it is made", async () => {
    const ada = await backends.newUser()
    for (const target of ["message", "summary"]) {
      const room = await ada.room()
      await ask(ada, room, "[[summary latency 2000]] Hello?")
      const { replies } = await longRoom(ada, `gone ${target}`, room)
      await until("the call", () => summaryCalls(`[gone ${target} 0]`).length === 1)
      const path = target === "summary" ? "summary" : `message/${replies[3].replyTo}`
      assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}/${path}`)).status, 204)
      await untilIdle(room)
      assert.strictEqual((await summaryOf(ada, room)).status, 404, target)
      // Another one may be made at once.
      await ask(ada, room, `[again ${target}] ${padding(2_450)}`)
      await untilSummarised(ada, room)
    }
  })
})

describe("DELETE /chatroom/:id/summary", () => {
  it("starts over", async () => {
    const ada = await backends.newUser()
    const { room } = await longRoom(ada, "over")
    await untilSummarised(ada, room)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}/summary`)).status, 204)
    assert.strictEqual((await summaryOf(ada, room)).status, 404)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${room}/summary`)).status, 204)
    assert.strictEqual((await ada.call("DELETE", `/chatroom/${unknownId}/summary`)).status, 404)
    const reply = await ask(ada, room, "[over asked] And?")
    assert.strictEqual((await contextOf(ada, room, reply.id)).summary, null)
    await untilSummarised(ada, room)
    assert.notInclude(turnsOf(summaryCalls("[over 0]").at(-1))[0], "Summary so far")
  })
})

describe("the room's setting `summary`", () => {
  it("decides for the room, and null leaves it to the server", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ summary: false })
    assert.strictEqual((await ada.call("GET", `/chatroom/${room}`)).body.summary, false)
    await longRoom(ada, "off", room)
    assert.lengthOf(await jobsOf(room), 0)
    assert.isUndefined(await stateOf(room))
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${room}`, { summary: null })).body.summary, null)
    await ask(ada, room, "[off asked] And?")
    await untilSummarised(ada, room)
    await ada.call("PATCH", `/chatroom/${room}`, { summary: false })
    await ask(ada, room, "[off again] And?")
    assert.strictEqual(instructionOf(lastCall("[off again]")), "")

    const quiet = await startBackends({ ...settings, ROOM_SUMMARIES: "off" })
    try {
      const bob = await quiet.newUser()
      const silent = await bob.room()
      await longRoom(bob, "silent", silent)
      assert.lengthOf(await jobsOf(silent, quiet), 0)
      await bob.call("PATCH", `/chatroom/${silent}`, { summary: true })
      await ask(bob, silent, "[silent asked] And?")
      await untilSummarised(bob, silent)
    } finally {
      await quiet.stop()
    }
  })
})

describe("a summary that cannot be made", () => {
  it("lets the room rest for a day after three failures", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const [index, fault] of ["status 503", "empty", "finish SAFETY"].entries()) {
      await ask(ada, room, `[[summary ${fault}]] Hello?`)
      if (index === 0) await longRoom(ada, "failing", room)
      else await ask(ada, room, `[failing again ${index}]`)
      await until("the calls", () => summaryCalls("[failing 0]").length >= index + 1)
      await untilIdle(room)
    }
    const calls = () => summaryCalls("[failing 0]").length
    await until("a rest", async () => ((await stateOf(room))?.rests ?? 0) > 23)
    const made = calls()
    assert.strictEqual(made, 3)
    const reply = await ask(ada, room, "[failing more] And?")
    assert.strictEqual(reply.status, "completed")
    await untilIdle(room)
    assert.strictEqual(calls(), made)
    assert.strictEqual((await contextOf(ada, room, reply.id)).summary, null)
    // The next day.
    await backends.database.query("update room_summaries set rests_until = now() where chatroom_id = $1", [room])
    await ask(ada, room, "[failing later] And?")
    await until("a call", () => calls() === made + 1)
    await untilIdle(room)
    assert.deepInclude(await stateOf(room), { claim: null, tries: 1, rests: null })
  })

  it("costs nothing when the budget is used up, and the prompt leaves out what does not fit", { timeout: 60_000 }, async () => {
    const poor = await startBackends({ ...settings, BASIC_DAILY_BUDGET: "1" })
    try {
      const ada = await poor.newUser()
      const room = await ada.room()
      const exchange = (n: number) => ask(ada, room, `[poor ${n}] ${padding(2_450)}`)
      for (const n of [0, 1, 2]) await exchange(n)
      // The next question may cost 7,000 millionths and costs about 5,000; a summary may cost 6,000.
      await poor.database.query("update usage_daily set cost_micros = 1000000 - 7050")
      const reply = await exchange(3)
      assert.strictEqual(reply.status, "completed")
      await untilIdle(room, poor)
      assert.lengthOf(summaryCalls("[poor 0]", poor), 0)
      assert.isUndefined(await stateOf(room, poor))
      const context = await contextOf(ada, room, reply.id)
      assert.strictEqual(context.summary, null)
      assert.lengthOf(
        context.dropped.filter(({ reason }: { reason: string }) => reason === "budget"),
        4
      )
    } finally {
      await poor.stop()
    }
  })

  it("is judged by the budget of the user's own plan", { timeout: 60_000 }, async () => {
    const plan = (id: string, dailyBudget: number) => ({ id, name: id, prices: { month: `price_${id}` }, dailyBudget })
    const sold = await startBackends({ ...settings, PLANS: JSON.stringify([plan("pro", 1), plan("max", 2)]) })
    try {
      for (const [tier, calls] of [
        ["max", 1],
        ["pro", 0]
      ] as const) {
        const ada = await sold.newUser()
        await sold.database.query("update users set pro_until = '9999-12-31', plans = $2::jsonb where id = $1", [
          ada.userId,
          JSON.stringify([{ plan: tier, until: "9999-12-31T00:00:00Z" }])
        ])
        const room = await ada.room()
        for (const n of [0, 1, 2]) await ask(ada, room, `[${tier} ${n}] ${padding(2_450)}`)
        // The last question still fits into Pro's budget, and the summary after it does not.
        await sold.database.query(
          "update usage_daily d set cost_micros = 1000000 - 7050 from users u where u.quota_key = d.quota_key and u.id = $1",
          [ada.userId]
        )
        assert.strictEqual((await ask(ada, room, `[${tier} 3] ${padding(2_450)}`)).status, "completed")
        await until("the calls", () => summaryCalls(`[${tier} 0]`, sold).length >= calls, { seconds: 30 })
        await untilIdle(room, sold)
        assert.lengthOf(summaryCalls(`[${tier} 0]`, sold), calls, tier)
        const ledger = await sold.database.query<{ tier: string }>(
          "select tier from model_calls where user_id = $1 and kind = 'summary'",
          [ada.userId]
        )
        assert.deepStrictEqual(
          ledger.map((call) => call.tier),
          Array.from({ length: calls }, () => tier)
        )
      }
    } finally {
      await sold.stop()
    }
  })
})
