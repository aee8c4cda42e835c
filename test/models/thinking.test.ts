import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"
import type { Person, Reply } from "../support/Client.ts"

const thinker = plainModel("gemini-thinker", {
  thinking: {
    levels: { basic: ["low"], pro: ["low", "high"] },
    default: "low",
    tokens: { low: 100, high: 5_100 }
  },
  maxOutputTokens: { basic: 1_000, pro: 2_000 },
  prices: [{ from: "2026-01-01", input: 0, cached: 0, output: 1 }]
})
const plain = plainModel("gemini-plain", { thinking: null })

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({
    MODELS: modelsWith(thinker, plain),
    BASIC_DAILY_PROMPTS: "1000",
    BASIC_DAILY_BUDGET: "100",
    PRO_DAILY_BUDGET: "100",
    LOG_LEVEL: "none"
  })
})
afterAll(() => backends.stop())

const newPro = async () => {
  const person = await backends.newUser()
  await backends.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [person.userId])
  return person
}
const ask = (person: Person, room: string, content: string, settings?: object, key?: string): Promise<Reply> =>
  person.call("POST", `/chatroom/${room}/message`, { content, settings }, key === undefined ? {} : { "idempotency-key": key })
const refused = ({ body, status }: Reply) => [status, body.code, body.errors?.[0]?.path]
const generationOf = (about: string): Record<string, unknown> => {
  const body = callsAbout(backends, about)[0]?.body as { readonly generationConfig: Record<string, unknown> }
  return body.generationConfig
}

describe("the levels of thinking", () => {
  it("are listed for the user's tier", async () => {
    const levelsOf = async (person: Person) => {
      const models: ReadonlyArray<{ id: string; thinking: unknown }> = (await person.call("GET", "/models")).body.data
      return models.find(({ id }) => id === "gemini-thinker")?.thinking
    }
    assert.deepStrictEqual(await levelsOf(await backends.newUser()), { levels: ["low"], default: "low" })
    assert.deepStrictEqual(await levelsOf(await newPro()), { levels: ["low", "high"], default: "low" })
  })

  it("are refused with their path when model or tier do not have them, and nothing is stored", async () => {
    const [ada, pro] = [await backends.newUser(), await newPro()]
    const wrong = [400, "validation_failed", "/thinking/level"]
    const room = (person: Person, settings: object) => person.call("POST", "/chatroom", settings)
    assert.strictEqual((await room(pro, { model: "gemini-thinker", thinking: { level: "high" } })).status, 201)
    assert.deepStrictEqual(refused(await room(ada, { model: "gemini-thinker", thinking: { level: "high" } })), wrong)
    assert.deepStrictEqual(refused(await room(pro, { model: "gemini-thinker", thinking: { level: "medium" } })), wrong)
    assert.deepStrictEqual(refused(await room(pro, { model: "gemini-plain", thinking: { level: "low" } })), wrong)
    assert.deepStrictEqual(refused(await room(ada, { thinking: { level: "minimal" } })), wrong)
    assert.deepStrictEqual(refused(await room(ada, { thinking: { level: "utmost" } })), wrong)
    assert.deepStrictEqual((await ada.call("GET", "/chatroom")).body.data, [])

    const id = (await room(ada, { model: "gemini-3.5-flash", thinking: { level: "minimal", summaries: true } })).body.id
    const patch = (change: object) => ada.call("PATCH", `/chatroom/${id}`, change)
    // The room's level must be one of its model's after the change.
    assert.deepStrictEqual(refused(await patch({ model: "gemini-3.8-flash" })), wrong)
    assert.deepStrictEqual(refused(await patch({ model: "gemini-plain" })), wrong)
    assert.deepStrictEqual((await patch({ model: "gemini-3.8-flash", thinking: { level: "low" } })).body.thinking, {
      level: "low",
      summaries: true
    })
    assert.deepStrictEqual(refused(await patch({ thinking: { level: "minimal" } })), wrong)
    assert.deepStrictEqual((await patch({ thinking: { summaries: false } })).body.thinking, { level: "low", summaries: false })
    assert.strictEqual((await patch({ thinking: { level: null }, model: "gemini-plain" })).status, 200)
    assert.deepStrictEqual((await ada.call("GET", `/chatroom/${id}`)).body.thinking, { level: null, summaries: false })
    assert.strictEqual((await ada.call("PATCH", `/chatroom/${pro.userId}`, { thinking: { level: "low" } })).status, 404)

    const asked = (settings: object) => ask(ada, id, "x", settings)
    const wrongSetting = [400, "validation_failed", "/settings/thinking/level"]
    assert.deepStrictEqual(refused(await asked({ thinking: { level: "low" } })), wrongSetting)
    assert.deepStrictEqual(refused(await asked({ model: "gemini-thinker", thinking: { level: "high" } })), wrongSetting)
    assert.deepStrictEqual(refused(await asked({ thinking: { level: 3 } })), wrongSetting)
    assert.strictEqual(await usedToday(ada), 0)
  })

  it("reach the model with room for their thoughts, which the reservation has, too", async () => {
    const pro = await newPro()
    const room = await pro.room({ model: "gemini-thinker" })
    const expected = [
      [{}, undefined, 2_000],
      [{ thinking: { level: "low" } }, { thinkingLevel: "LOW" }, 2_000],
      [{ thinking: { level: "high" } }, { thinkingLevel: "HIGH" }, 7_000],
      [{ thinking: { level: "high" }, maxOutputTokens: 3_000 }, { thinkingLevel: "HIGH" }, 3_000],
      [{ thinking: { level: "high", summaries: true } }, { thinkingLevel: "HIGH", includeThoughts: true }, 7_000],
      [{ thinking: { summaries: true } }, { includeThoughts: true }, 2_000]
    ] as const
    for (const [index, [settings, thinkingConfig, maxOutputTokens]] of expected.entries()) {
      const sent = await ask(pro, room, `[thinking ${index}]`, settings)
      // At a price of 0 for input and a dollar for a million tokens of output.
      assert.strictEqual(sent.body.quota.budget.reservedMicros, maxOutputTokens)
      await awaitEnd(pro, sent)
      const generation = generationOf(`[thinking ${index}]`)
      assert.deepStrictEqual([generation["thinkingConfig"], generation["maxOutputTokens"]], [thinkingConfig, maxOutputTokens])
    }
  })

  it("are the room's at the moment of acceptance, and shown with the context", async () => {
    const pro = await newPro()
    const room = await pro.room({ model: "gemini-thinker", thinking: { level: "high" } })
    const thinkingOf = async (sent: Reply) => {
      const { body } = await awaitEnd(pro, sent)
      return (await pro.call("GET", `/chatroom/${room}/message/${body.id}/context`)).body.settings.thinking
    }
    assert.deepStrictEqual(await thinkingOf(await ask(pro, room, "one")), { level: "high", summaries: false })
    const meanwhile = await ask(pro, room, "two", { thinking: { summaries: true } })
    await pro.call("PATCH", `/chatroom/${room}`, { thinking: { level: "low" } })
    assert.deepStrictEqual(await thinkingOf(meanwhile), { level: "high", summaries: true })
    assert.deepStrictEqual(await thinkingOf(await ask(pro, room, "three")), { level: "low", summaries: false })
    assert.isUndefined(await thinkingOf(await ask(pro, room, "four", { thinking: { level: null } })))
    // A model that the question chooses need not have the room's level.
    assert.isUndefined(await thinkingOf(await ask(pro, room, "five", { model: "gemini-plain" })))
    const again = await pro.call("POST", `/chatroom/${room}/message/${meanwhile.body.reply.id}/regenerate`, {
      settings: { thinking: { level: "high" } }
    })
    assert.deepStrictEqual(await thinkingOf(again), { level: "high", summaries: false })
  })

  it("fall back to the default after a downgrade", async () => {
    const pro = await newPro()
    const room = await pro.room({ model: "gemini-thinker", thinking: { level: "high" } })
    await backends.database.query("update users set pro_until = null where id = $1", [pro.userId])
    const sent = await ask(pro, room, "[as basic again]")
    assert.strictEqual((await awaitEnd(pro, sent)).body.status, "completed")
    assert.isUndefined(generationOf("[as basic again]")["thinkingConfig"])
  })

  it("are part of what an idempotency key stands for", async () => {
    const pro = await newPro()
    const room = await pro.room({ model: "gemini-thinker" })
    const first = await ask(pro, room, "keyed", { thinking: { level: "high", summaries: true } }, "one")
    const same = await ask(pro, room, "keyed", { thinking: { summaries: true, level: "high" } }, "one")
    assert.deepStrictEqual([first.status, same.body.reply.id], [202, first.body.reply.id])
    assert.strictEqual((await ask(pro, room, "keyed", { thinking: { level: "low" } }, "one")).body.code, "idempotency_key_reused")
  })
})

describe("thoughts", () => {
  const thinking = { summaries: true }
  const thought = "The user wrote to me. I shall answer with what was said."

  it("are kept with the reply, and counted apart from it", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ thinking })
    const { body } = await awaitEnd(ada, await ask(ada, room, "[[thoughts]] [[say Yes.]]"))
    assert.deepStrictEqual([body.content, body.thoughts, body.usage.thoughtTokens], ["Yes.", thought, 14])
    assert.isNull((await awaitEnd(ada, await ask(ada, room, "[[say No.]]"))).body.thoughts)
  })

  it("are not requested without summaries, but are counted", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ model: "gemini-3.8-flash", thinking: { level: "low" } })
    for (const [index, settings] of [{}, { thinking: { level: "high" } }, { thinking: { summaries: false } }].entries()) {
      const { body } = await awaitEnd(ada, await ask(ada, room, `[[thoughts 3]] [quiet ${index}]`, settings))
      assert.deepStrictEqual([body.thoughts, body.usage.thoughtTokens > 14], [null, true])
    }
    for (const call of backends.gemini.log("[quiet")) assert.notInclude(JSON.stringify(call.body), "includeThoughts")
    assert.lengthOf(callsAbout(backends, "[quiet"), 3)
  })

  it("are in no list, search, export or history unless they are asked for", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ thinking })
    const { body } = await awaitEnd(ada, await ask(ada, room, "[[thoughts]] [[say Yes.]]"))
    await awaitEnd(ada, await ask(ada, room, "[after thoughts]"))
    assert.notInclude(JSON.stringify(callsAbout(backends, "[after thoughts]")[0]?.body), "wrote to me")
    for (const path of [
      `/chatroom/${room}`,
      `/chatroom/${room}/messages`,
      `/chatroom/${room}/messages?thoughts=false`,
      `/chatroom/${room}/export`,
      `/chatroom/${room}/export?format=markdown`,
      "/user/me/export",
      "/search?q=wrote%20to%20me",
      "/search?q=Yes"
    ]) {
      const answer = await ada.call("GET", path)
      assert.deepStrictEqual(
        [answer.status, answer.text.includes("wrote to me"), answer.text.includes('"thoughts"')],
        [200, false, false],
        path
      )
    }
    for (const path of [
      `/chatroom/${room}/messages?thoughts=true&limit=100`,
      `/chatroom/${room}/export?thoughts=true`,
      "/user/me/export?thoughts=true"
    ]) {
      assert.include((await ada.call("GET", path)).text, `"thoughts":"${thought}"`, path)
    }
    const markdown = await ada.call("GET", `/chatroom/${room}/export?format=markdown&thoughts=true`)
    assert.include(markdown.text, `\n> ${thought}\n\nYes.\n`)
    assert.strictEqual((await ada.call("GET", `/chatroom/${room}/message/${body.id}`)).body.thoughts, thought)
  })

  it("are cut to 64 KiB, the ellipsis included, and never within a character", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ thinking })
    const { body } = await awaitEnd(ada, await ask(ada, room, "[[thoughts 2000]] [[chunks 3 delay 0]] [[say Yes.]]"))
    const bytes = Buffer.byteLength(body.thoughts)
    assert.isTrue(bytes <= 65_536 && bytes > 65_536 - 4, `${bytes} bytes`)
    assert.deepStrictEqual([body.content, body.thoughts.endsWith("…"), body.thoughts.isWellFormed()], ["Yes.", true, true])
    assert.strictEqual(body.thoughts.indexOf("…"), body.thoughts.length - 1)
  })

  it("are not kept of an answer whose text is discarded", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ thinking })
    const { body } = await awaitEnd(ada, await ask(ada, room, "[[thoughts]] [[finish SAFETY 1]]"))
    assert.deepStrictEqual([body.status, body.content, body.thoughts], ["failed", "", null])
  })
})
