import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it, vi } from "vitest"
import type { Person } from "../support/Client.ts"
import { times } from "../support/times.ts"
import { modelsWith } from "../support/Models.ts"
import { until } from "../support/wait.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { isPresent } from "../support/responses.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

// These tests wait for back-offs and pauses, so they run together.
vi.setConfig({ maxConcurrency: 60, testTimeout: 90_000 })

const apiKey = "AIza-a-very-secret-key"

let backends: TestBackends

beforeAll(async () => {
  const MODELS = modelsWith(
    "gemini-paused",
    "gemini-unaffected",
    "gemini-nameless",
    "gemini-patient",
    "gemini-exhausted",
    "gemini-daily",
    "gemini-midway",
    "no-such-model"
  )
  const settings = { GEMINI_API_KEY: apiKey, LOG_LEVEL: "none", MODELS }
  backends = await startBackends(settings, settings)
})
afterAll(() => backends.stop())

let questions = 0

/** Asks the only question of a new user, and waits for its reply to end. */
const asked = async (words: string, room: Record<string, unknown> = {}) => {
  const person = await backends.newUser()
  const about = `[question ${questions++}]`
  const sent = await person.ask(await person.room(room), `${words} ${about}`)
  const { body: reply, text } = await awaitEnd(person, sent)
  return { person, about, reply, text, calls: callsAbout(backends, about), used: await usedToday(person) }
}

/** The user sees nothing of Google's messages, of the key or of our internals. */
const assertDiscreet = (text: string) => {
  for (const secret of [
    apiKey,
    "AIza",
    "HTTP",
    "overloaded",
    "quota, please",
    "invalid argument",
    "googleapis",
    "GeminiError",
    "ApiError",
    "node_modules",
    "    at ",
    "127.0.0.1",
    '{\\"'
  ]) {
    assert.notInclude(text, secret)
  }
}

const assertFailed = ({ reply, text }: Awaited<ReturnType<typeof asked>>, code: string) => {
  assert.deepEqual([reply.status, reply.error?.code, reply.truncated], ["failed", code, false], text)
  assert.match(reply.error.message, /^[A-Z][^{}<>]{10,150}\.$/)
  assert.isNotNull(reply.completedAt)
  assertDiscreet(text)
}

/** The category whose rating the simulator marks as blocked. */
const dangerous = ["HARM_CATEGORY_DANGEROUS_CONTENT"]

describe.concurrent("a blocked prompt", () => {
  for (const reason of ["SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "OTHER", "IMAGE_SAFETY"]) {
    it(`fails as blocked at once, without a refund: ${reason}`, async () => {
      const outcome = await asked(`[[blocked ${reason}]]`)
      assertFailed(outcome, "blocked")
      assert.deepEqual([outcome.reply.finishReason, outcome.reply.content], [reason, ""])
      assert.deepEqual([outcome.calls.length, outcome.used], [1, 1])
      const { about, categories, reason: given } = outcome.reply.error
      assert.deepEqual([given, about, categories], [reason, "question", reason === "SAFETY" ? dangerous : []])
    })
  }
})

describe.concurrent("a candidate that was stopped", () => {
  for (const reason of [
    "SAFETY",
    "RECITATION",
    "PROHIBITED_CONTENT",
    "SPII",
    "BLOCKLIST",
    "MODEL_ARMOR",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "SAFETY_OF_TOMORROW",
    "BLOCKED_BY_POLICY"
  ]) {
    it(`fails the reply as blocked at once for ${reason}, with or without text, without a refund`, async () => {
      for (const after of [0, 3]) {
        const outcome = await asked(`[[finish ${reason} ${after}]]`)
        assertFailed(outcome, "blocked")
        assert.strictEqual(outcome.reply.finishReason, reason)
        assert.deepEqual([outcome.calls.length, outcome.used], [1, 1])
        assert.isAbove(outcome.reply.usage.promptTokens, 0)
        const { about, categories, reason: given } = outcome.reply.error
        assert.deepEqual([outcome.reply.content, given, about], ["", reason, "answer"])
        assert.deepEqual(categories, reason === "SAFETY" ? dangerous : [])
      }
    })
  }

  for (const reason of ["LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL", "WHATEVER"]) {
    it(`is retried once for ${reason}, with or without text, and refunded`, async () => {
      for (const after of [0, 3]) {
        const outcome = await asked(`[[finish ${reason} ${after}]]`)
        assertFailed(outcome, "model_stopped")
        assert.deepEqual([outcome.reply.finishReason, outcome.calls.length, outcome.used], [reason, 2, 0])
      }
    })
  }

  it("is retried for an unknown reason", async () => {
    const { calls, reply } = await asked("[[finish WHATEVER 1 times 1]] [[say Fine.]]")
    assert.deepEqual([reply.status, reply.content, reply.finishReason, calls.length], ["completed", "Fine.", "STOP", 2])
  })
})

describe.concurrent("a reply that reaches its token limit", () => {
  it("is completed and truncated when it has text", async () => {
    const { calls, reply, used } = await asked("[[finish MAX_TOKENS 3]]")
    assert.deepEqual([reply.status, reply.truncated, reply.finishReason, reply.error], ["completed", true, "MAX_TOKENS", null])
    assert.strictEqual(reply.content, calls[0]?.textSent)
    assert.isNotEmpty(reply.content)
    assert.deepEqual([calls.length, used], [1, 1])
  })

  it("fails when it has no text", async () => {
    const outcome = await asked("[[finish MAX_TOKENS]]")
    assertFailed(outcome, "max_tokens")
    assert.strictEqual(outcome.reply.finishReason, "MAX_TOKENS")
    assert.strictEqual(outcome.calls.length, 1)
  })

  it("fails when it has only thoughts", async () => {
    const outcome = await asked("[[finish MAX_TOKENS]] [[thoughts]]")
    assertFailed(outcome, "max_tokens")
    assert.isAbove(outcome.reply.usage.thoughtTokens, 0)
  })
})

describe.concurrent("a stream that breaks", () => {
  const whole = "The whole of it, from its beginning to its very end."
  for (const word of ["cut 1", "cut 0", "drop 1", "garbage 1", "truncate 1", "error 1", "error 1 status 500"]) {
    it(`is retried after [[${word}]], and the first attempt's text is discarded`, async () => {
      const { calls, reply, used } = await asked(`[[${word} times 1]] [[say ${whole}]]`)
      assert.deepEqual([reply.status, reply.content, reply.error, reply.truncated], ["completed", whole, null, false])
      assert.deepEqual([calls.length, reply.attempt, used], [2, 2, 1])
    })
  }

  it("fails the reply after four attempts, and refunds it", async () => {
    const outcome = await asked("[[cut 2]]")
    assertFailed(outcome, "model_unavailable")
    assert.deepEqual([outcome.calls.length, outcome.used], [4, 0])
  })
})

describe.concurrent("an empty answer", () => {
  it("is asked for once more", async () => {
    const { calls, reply, used } = await asked("[[empty times 1]] [[say Here.]]")
    assert.deepEqual([reply.status, reply.content, calls.length, used], ["completed", "Here.", 2, 1])
  })

  it("fails the reply the second time, and refunds it", async () => {
    const outcome = await asked("[[empty]]")
    assertFailed(outcome, "empty_response")
    assert.deepEqual([outcome.calls.length, outcome.used, outcome.reply.finishReason], [2, 0, "STOP"])
    assert.strictEqual(outcome.reply.model, "gemini-3.8-flash")
    assert.isAbove(outcome.reply.usage.promptTokens, 0)
  })
})

describe.concurrent("an outage", () => {
  for (const word of ["status 500", "status 503", "status 504", "reset", "html"]) {
    it(`is retried after [[${word}]]`, async () => {
      const { calls, reply, used } = await asked(`[[${word} times 1]] [[say Up again.]]`)
      assert.deepEqual([reply.status, reply.content, reply.error], ["completed", "Up again.", null])
      assert.deepEqual([calls.length, reply.attempt, used], [2, 2, 1])
      assert.isAtLeast((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0), 500)
    })
  }

  it("is retried three times", async () => {
    const { calls, reply } = await asked("[[status 503 times 1]] [[reset times 1]] [[html times 1]] [[say At last.]]")
    assert.deepEqual([reply.status, reply.content, calls.length], ["completed", "At last.", 4])
  })

  it("fails the reply after four attempts with growing delays within a minute, and refunds it", async () => {
    const began = Date.now()
    const outcome = await asked("[[status 503]]")
    assertFailed(outcome, "model_unavailable")
    assert.isBelow(Date.now() - began, 60_000)
    assert.deepEqual([outcome.calls.length, outcome.used], [4, 0])
    const gaps = outcome.calls.slice(1).map(({ at }, index) => at - (outcome.calls[index]?.at ?? 0))
    for (const [index, gap] of gaps.entries()) assert.isAtLeast(gap, 500 * 2 ** index, String(gaps))
    await sleep(3_000)
    assert.strictEqual(callsAbout(backends, outcome.about).length, 4)
    assert.strictEqual(
      (await backends.database.query("select 1 from graphile_worker.jobs where key = $1", [outcome.reply.id])).length,
      0
    )
  })

  it("counts from the start of the failed attempt", async () => {
    const { calls, reply } = await asked("[[latency 1500]] [[status 503 times 1]]")
    const [row] = await backends.database.query<{ since: Date }>("select failing_since as since from messages where id = $1", [
      reply.id
    ])
    assert.isAtMost(row?.since.getTime() ?? Infinity, (calls[0]?.at ?? 0) + 200)
  })

  it("is retried after the delay that Google asks for", async () => {
    const { calls, reply } = await asked("[[status 503 retry 3 times 1]]")
    assert.deepEqual([reply.status, calls.length], ["completed", 2])
    assert.isAtLeast((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0), 3_000)
  })

  it("makes the room's next question wait, not fail", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const first = await ada.ask(room, "[[status 503 times 2]] [[say One.]] in order")
    const second = await ada.ask(room, "[[say Two.]] in order")
    assert.strictEqual((await awaitEnd(ada, second)).body.content, "Two.")
    assert.strictEqual((await awaitEnd(ada, first)).body.content, "One.")
    const calls = callsAbout(backends, "in order").map(({ status }) => status)
    assert.deepEqual(calls, [503, 503, 200, 200])
  })
})

describe.concurrent("a rejection of our own requests", () => {
  for (const status of [400, 401, 403, 404]) {
    it(`fails the reply for ${status} without a retry, and refunds it`, async () => {
      const outcome = await asked(`[[status ${status}]]`)
      assertFailed(outcome, "model_misconfigured")
      assert.deepEqual([outcome.calls.length, outcome.used, outcome.reply.attempt], [1, 0, 1])
    })
  }

  it("fails the reply for an unknown model, and refunds it", async () => {
    const outcome = await asked("hello", { model: "no-such-model" })
    assertFailed(outcome, "model_misconfigured")
    assert.strictEqual(outcome.used, 0)
  })
})

describe.concurrent("a rate limit of a model", () => {
  const seen = async (person: Person, sent: Awaited<ReturnType<Person["ask"]>>, status: string) => {
    const path = `/chatroom/${sent.body.reply.chatroomId}/message/${sent.body.reply.id}`
    return until(`the status ${status}`, async () => {
      const reply = await person.call("GET", path)
      return reply.body.status === status ? reply : undefined
    })
  }

  it("pauses the model for all users, and no other model", async () => {
    const [ada, bob, eve] = [await backends.newUser(), await backends.newUser(), await backends.newUser()]
    const model = "gemini-paused"
    const rooms = [await ada.room({ model }), await bob.room({ model }), await eve.room({ model: "gemini-unaffected" })]
    const first = await ada.ask(rooms[0] ?? "", "[[status 429 retry 8 times 1]] [[say Through.]] first of the pause")
    const waiting = await seen(ada, first, "waiting")
    assert.deepEqual([waiting.headers.get("retry-after"), waiting.body.error, waiting.body.completedAt], ["1", null, null])
    const refusedAt = callsAbout(backends, "first of the pause")[0]?.at ?? 0

    const others = await Promise.all(
      times(3, async (index) =>
        bob.ask(index === 0 ? (rooms[1] ?? "") : await bob.room({ model }), `second of the pause ${index}`)
      )
    )
    const unaffected = await eve.ask(rooms[2] ?? "", "another model", { wait: 7 })
    assert.deepEqual([unaffected.status, unaffected.body.reply.status], [201, "completed"])
    assert.isBelow(Date.now() - refusedAt, 7_500)
    for (const sent of others) await seen(bob, sent, "waiting")
    assert.deepEqual(callsAbout(backends, "second of the pause"), [])

    assert.strictEqual((await awaitEnd(ada, first)).body.content, "Through.")
    for (const sent of others) assert.strictEqual((await awaitEnd(bob, sent)).body.status, "completed")
    const later = [...callsAbout(backends, "first of the pause").slice(1), ...callsAbout(backends, "second of the pause")]
    assert.strictEqual(later.length, 4)
    for (const { at } of later) {
      assert.isAtLeast(at - refusedAt, 8_000)
      assert.isBelow(at - refusedAt, 20_000)
    }
    assert.deepEqual([await usedToday(ada), await usedToday(bob)], [1, 3])
  })

  it("pauses the model for some seconds when Google names no delay", async () => {
    const { calls, reply } = await asked("[[status 429 times 1]]", { model: "gemini-nameless" })
    assert.deepEqual([reply.status, calls.length], ["completed", 2])
    assert.isAtLeast((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0), 3_000)
  })

  it("does not count as a failed attempt, however often it occurs", async () => {
    const { calls, reply, used } = await asked("[[status 429 retry 0.5 times 6]] [[say Patience.]]", { model: "gemini-patient" })
    assert.deepEqual([reply.status, reply.content, calls.length, used], ["completed", "Patience.", 7, 1])
  })

  it("fails a reply whose deadline is before the pause's end, and refunds it", async () => {
    const outcome = await asked("[[status 429 retry 3600]]", { model: "gemini-exhausted" })
    assertFailed(outcome, "model_unavailable")
    assert.deepEqual([outcome.calls.length, outcome.used], [1, 0])
  })

  it("fails the reply at once when it is per day, refunds it, and does not pause the model", async () => {
    const outcome = await asked("[[status 429 retry 30 perday]]", { model: "gemini-daily" })
    assertFailed(outcome, "model_quota_exhausted")
    assert.deepEqual([outcome.calls.length, outcome.used], [1, 0])
    assert.strictEqual((await asked("hello", { model: "gemini-daily" })).reply.status, "completed")
  })

  it("pauses also in the middle of a stream", async () => {
    const { calls, reply } = await asked("[[error 1 status 429 times 1]] [[say Later.]]", { model: "gemini-midway" })
    assert.deepEqual([reply.status, reply.content, calls.length], ["completed", "Later.", 2])
    assert.isAtLeast((calls[1]?.at ?? 0) - (calls[0]?.at ?? 0), 3_000)
  })
})

describe.concurrent("a completed reply", () => {
  it("has its text, usage, model and finish reason", async () => {
    const { about, person, reply } = await asked("[[thoughts]] [[cached 3]] [[say Sixteen letters.]]", {
      model: "gemini-2.5-flash"
    })
    const { promptTokens, ...usage } = reply.usage
    assert.deepEqual(
      [reply.status, reply.content, reply.model, reply.finishReason, reply.truncated, reply.error, reply.attempt],
      ["completed", "Sixteen letters.", "gemini-2.5-flash", "STOP", false, null, 1]
    )
    assert.deepEqual(usage, { replyTokens: 4, thoughtTokens: 14, cachedTokens: 3, toolTokens: 0 })
    assert.strictEqual(promptTokens, Math.ceil(("[[thoughts]] [[cached 3]] [[say Sixteen letters.]] ".length + about.length) / 4))
    const [day] = await backends.database.query(
      "select prompt_tokens::int, reply_tokens::int from usage_daily d join users u using (quota_key) where u.id = $1",
      [person.userId]
    )
    assert.deepEqual(day, { prompt_tokens: promptTokens, reply_tokens: 4 })
  })

  it("has what follows a finish reason after fifteen seconds of silence", async () => {
    const { calls, reply } = await asked("[[say The first half,]] [[late 15000 the second.]]")
    assert.deepEqual(
      [reply.status, reply.content, reply.finishReason, reply.truncated, calls.length],
      ["completed", "The first half,the second.", "STOP", false, 1]
    )
  })

  it("names the default model", async () => {
    assert.strictEqual((await asked("hello")).reply.model, "gemini-3.8-flash")
  })

  it("has a long text of any characters unchanged", async () => {
    const { calls, reply } = await asked("[[length 60000]] [[unicode]] [[chunks 400 delay 0]]")
    assert.strictEqual(reply.content, calls[0]?.textSent)
    assert.strictEqual(reply.content.length, 60_000)
  })
})

describe.concurrent("the refund of a failed reply", () => {
  it("is given for at most five failures a day", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const used = []
    for (const index of times(7, (n) => n)) {
      const sent = await ada.ask(room, `[[status 400]] failure ${index}`)
      assert.strictEqual(sent.status, 202)
      await awaitEnd(ada, sent)
      used.push(await usedToday(ada))
    }
    assert.deepEqual(used, [0, 0, 0, 0, 0, 1, 2])
    const rows = await backends.database.query<{ quota_state: string }>(
      "select quota_state from messages where user_id = $1 and role = 'model' order by id",
      [ada.userId]
    )
    assert.deepEqual(
      rows.map(({ quota_state }) => quota_state),
      [...times(5, () => "refunded"), "spent", "spent"]
    )
  })

  it("goes to the day from which it was taken", async () => {
    const ada = await backends.newUser()
    const sent = await ada.ask(await ada.room(), "[[latency 1500]] [[status 400]] over midnight")
    await backends.database.query("update messages set quota_day = quota_day - 1 where id = $1", [sent.body.reply.id])
    await backends.database.query(
      "update usage_daily set day = day - 1 where quota_key = (select quota_key from users where id = $1)",
      [ada.userId]
    )
    await ada.ask(await ada.room(), "of today", { wait: 10 })
    assert.strictEqual((await awaitEnd(ada, sent)).body.status, "failed")
    const days = await backends.database.query(
      "select used, refunded from usage_daily d join users u using (quota_key) where u.id = $1 order by day",
      [ada.userId]
    )
    assert.deepEqual(days, [
      { used: 0, refunded: 1 },
      { used: 1, refunded: 0 }
    ])
  })

  it("lets the user ask again when the day's quota was used up", async () => {
    const ada = await backends.newUser()
    for (const index of [1, 2, 3, 4]) await ada.ask(await ada.room(), `question ${index}`)
    await awaitEnd(ada, await ada.ask(await ada.room(), "[[status 403]] the fifth"))
    const again = await ada.ask(await ada.room(), "the fifth again")
    assert.deepEqual([again.status, again.body.quota.remaining], [202, 0])
    assert.strictEqual((await ada.ask(await ada.room(), "the sixth")).status, 429)
  })

  it("is given once for each of several parallel failures", async () => {
    const ada = await backends.newUser()
    const sent = await Promise.all(times(5, async (index) => ada.ask(await ada.room(), `[[status 404]] together ${index}`)))
    const replies = await Promise.all(sent.filter(isPresent).map((reply) => awaitEnd(ada, reply)))
    assert.deepEqual(
      replies.map(({ body }) => body.error.code),
      times(5, () => "model_misconfigured")
    )
    assert.strictEqual(await usedToday(ada), 0)
  })
})
