import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { readEnded, sendQuestion } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

const narrow = plainModel("gemini-narrow", { contextTokens: { basic: 1_000, pro: 4_000 } })
const wide = plainModel("gemini-wide", { contextTokens: { basic: 2_000, pro: 8_000 } })
/** Exchanges of about 400 tokens each. */
const exchanges = 6

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ MODELS: modelsWith(narrow, wide), BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

const setTier = async (person: Person, tier: "basic" | "pro") => {
  const until = tier === "pro" ? "now() + interval '1 day'" : "null"
  await backends.database.query(`update users set pro_until = ${until} where id = $1`, [person.userId])
}

/** Asks in the room, and returns how many turns the model received, and the receipt. */
const ask = async (person: Person, room: string, about: string) => {
  const place = await sendQuestion(person, `[[say yes]] ${about}`, room)
  await readEnded(person, place)
  const { body } = await person.call("GET", `/chatroom/${room}/message/${place.reply}/context`)
  const reasons = body.dropped.map(({ reason }: { reason: string }) => reason)
  return { turns: turnsOf(callsAbout(backends, about)[0]).length, receipt: body, reasons }
}

describe("contextTokens", () => {
  it("bounds what the model gets of a long room, by its model and the user's tier", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ model: "gemini-narrow" })
    await setTier(ada, "pro")
    for (let number = 0; number < exchanges; number++) {
      await readEnded(ada, await sendQuestion(ada, `[[say answer ${number}]] ${"x".repeat(1_570)}`, room))
    }
    const budget = (count: number) => Array.from({ length: count }, () => "budget")

    const asPro = await ask(ada, room, "[as pro]")
    assert.deepStrictEqual([asPro.turns, asPro.reasons], [2 * exchanges + 1, []])
    assert.strictEqual(asPro.receipt.settings.contextTokens, 4_000)

    await setTier(ada, "basic")
    const asBasic = await ask(ada, room, "[as basic]")
    // Two long exchanges, and the short one of the question before.
    assert.deepStrictEqual([asBasic.turns, asBasic.reasons], [7, budget(2 * (exchanges - 2))])
    assert.strictEqual(asBasic.receipt.settings.contextTokens, 1_000)
    const tokens = asBasic.receipt.included.reduce((sum: number, { tokens }: { tokens: number }) => sum + tokens, 0)
    assert.isAtMost(tokens, 1_000)

    await ada.call("PATCH", `/chatroom/${room}`, { model: "gemini-wide" })
    const byWide = await ask(ada, room, "[by the wide model]")
    assert.deepStrictEqual([byWide.turns, byWide.reasons], [13, budget(2 * (exchanges - 4))])

    await setTier(ada, "pro")
    await ada.call("PATCH", `/chatroom/${room}`, { model: "gemini-narrow" })
    const again = await ask(ada, room, "[as pro again]")
    assert.deepStrictEqual([again.turns, again.reasons], [2 * (exchanges + 3) + 1, []])
  })

  it("is that of the tier at the moment of acceptance", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ model: "gemini-narrow" })
    await setTier(ada, "pro")
    for (let number = 0; number < 3; number++) {
      await readEnded(ada, await sendQuestion(ada, `[[say answer ${number}]] ${"x".repeat(1_570)}`, room))
    }
    const running = await sendQuestion(ada, "[[latency 1500]] [[say slow]]", room)
    const held = await sendQuestion(ada, "[[say yes]] [held as pro]", room)
    await setTier(ada, "basic")
    await readEnded(ada, running)
    await readEnded(ada, held)
    assert.lengthOf(turnsOf(callsAbout(backends, "[held as pro]")[0]), 9)
  })
})
