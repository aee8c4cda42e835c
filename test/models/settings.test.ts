import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { modelsWith, plainModel } from "../support/Models.ts"
import { until } from "../support/wait.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

const small = plainModel("gemini-small", { maxOutputTokens: { basic: 1_000, pro: 1_000 } })

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ MODELS: modelsWith(small), BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

describe("settings of a question", () => {
  const configOf = (about: string) => {
    const call = callsAbout(backends, about)[0]
    const body = call?.body as {
      readonly systemInstruction?: { readonly parts: ReadonlyArray<{ readonly text: string }> }
      readonly generationConfig: { readonly temperature?: number; readonly maxOutputTokens: number }
    }
    const { maxOutputTokens, temperature } = body.generationConfig
    return [call?.model, temperature, maxOutputTokens, body.systemInstruction?.parts[0]?.text]
  }

  it("are valid for its reply alone, within the tier's limits", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ model: "gemini-3.5-flash", temperature: 1, systemPrompt: "Room." })
    const settings = { model: "gemini-small", temperature: 0, maxOutputTokens: 5_000, systemPrompt: "Mine.", colour: "red" }
    const path = `/chatroom/${room}/message`
    const { body } = await awaitEnd(ada, await ada.call("POST", path, { content: "[own settings]", settings }))
    assert.deepStrictEqual(configOf("[own settings]"), ["gemini-small", 0, 1_000, "Mine."])
    assert.deepStrictEqual((await ada.call("GET", `${path}/${body.id}/context`)).body.settings, {
      model: "gemini-small",
      temperature: 0,
      maxOutputTokens: 1_000,
      contextTokens: 32_000
    })
    await awaitEnd(ada, await ada.ask(room, "[room's settings]"))
    assert.deepStrictEqual(configOf("[room's settings]"), ["gemini-3.5-flash", 1, 2_048, "Room."])
    const again = await ada.call("POST", `${path}/${body.id}/regenerate`, { settings: { model: "gemini-3.5-flash-lite" } })
    assert.strictEqual((await awaitEnd(ada, again)).body.model, "gemini-3.5-flash-lite")
  })

  it("are refused with their path, and nothing is stored", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const [settings, path] of [
      [{ model: "gpt-5" }, "/settings/model"],
      [{ temperature: 3 }, "/settings/temperature"],
      [{ maxOutputTokens: 0 }, "/settings/maxOutputTokens"]
    ] as const) {
      const refused = await ada.call("POST", `/chatroom/${room}/message`, { content: "x", settings })
      assert.deepStrictEqual([refused.status, refused.body.errors?.[0]?.path], [400, path])
    }
    const beyond = await ada.call("POST", `/chatroom/${room}/message`, {
      content: "x",
      settings: { model: "gemini-3.1-pro-preview" }
    })
    assert.deepStrictEqual([beyond.status, beyond.body.code], [403, "model_not_in_plan"])
    assert.strictEqual(await usedToday(ada), 0)
  })

  it("are the room's, at the moment of acceptance, on every process", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const [index, model] of ["gemini-small", "gemini-3.5-flash", null, "gemini-small"].entries()) {
      await ada.call("PATCH", `/chatroom/${room}`, { model })
      const sent = await ada.ask(room, `[moment ${index}]`)
      await ada.call("PATCH", `/chatroom/${room}`, { model: "gemini-3.5-flash-lite" })
      assert.strictEqual((await awaitEnd(ada, sent)).body.model, model ?? "gemini-3.8-flash")
    }
  })

  it("take a model of Pro from the upgrade on, and refuse it after the downgrade until the room is changed", async () => {
    const ada = await backends.newUser()
    const beforehand = await ada.room()
    const askPro = () =>
      ada.call("POST", `/chatroom/${beforehand}/message`, { content: "pro", settings: { model: "gemini-3.1-pro-preview" } })
    const early = await askPro()
    assert.deepStrictEqual([early.status, early.body.code], [403, "model_not_in_plan"])
    await backends.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [ada.userId])
    await backends.database.query("select pg_notify('changed', $1)", [`sessions:${ada.userId}`])
    const room = await until("pro", async () => {
      const opened = await ada.call("POST", "/chatroom", { model: "gemini-3.1-pro-preview" })
      return opened.status === 201 ? (opened.body.id as string) : undefined
    })
    assert.strictEqual((await awaitEnd(ada, await ada.ask(room, "as pro"))).body.model, "gemini-3.1-pro-preview")
    assert.strictEqual((await awaitEnd(ada, await askPro())).body.model, "gemini-3.1-pro-preview")
    // The session's cache does not hear of it: the transaction decides.
    await backends.database.query("update users set pro_until = null where id = $1", [ada.userId])
    const refused = await ada.ask(room, "as basic")
    assert.deepStrictEqual([refused.status, refused.body.code], [403, "model_not_in_plan"])
    assert.strictEqual((await askPro()).status, 403)
    await ada.call("PATCH", `/chatroom/${room}`, { model: null })
    assert.strictEqual((await ada.ask(room, "as basic")).status, 202)
  })
})
