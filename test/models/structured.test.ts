import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, uniquePrompt, usedToday } from "../support/messages.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

let backends: TestBackends
beforeAll(async () => {
  const text = plainModel("gemini-text", { json: false })
  backends = await startBackends({ MODELS: modelsWith(text), BASIC_DAILY_PROMPTS: "1000", LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

const schema = {
  type: "object",
  properties: { zebra: { type: "string" }, some_key: { type: "integer", minimum: 3 }, a: { enum: ["x", "y"] } },
  required: ["zebra", "some_key", "a"]
}
const responseFormat = { type: "json", schema }

const send = (person: Person, room: string, content: string, settings: object, headers = {}) =>
  person.call("POST", `/chatroom/${room}/message`, { content, settings }, headers)

describe("responseFormat", () => {
  it("makes the reply's output, in the order of the model's members", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const { body } = await awaitEnd(ada, await send(ada, room, "[fits] please", { responseFormat }))
    assert.deepStrictEqual(body.output, { zebra: "", some_key: 3, a: "x" })
    assert.deepStrictEqual(Object.keys(body.output), ["zebra", "some_key", "a"])
    assert.deepStrictEqual([body.status, body.content], ["completed", '{"zebra":"","some_key":3,"a":"x"}'])
    const path = `/chatroom/${room}/message/${body.id}`
    assert.deepStrictEqual((await ada.call("GET", `${path}/context`)).body.settings.responseFormat, responseFormat)
    const call = callsAbout(backends, "[fits]")[0]?.body as { readonly generationConfig: object }
    assert.deepInclude(call.generationConfig, { responseMimeType: "application/json", responseJsonSchema: schema })

    const again = await awaitEnd(
      ada,
      await ada.call("POST", `${path}/regenerate`, { settings: { responseFormat: { type: "json" } } })
    )
    assert.deepStrictEqual(again.body.output, { said: "[fits] please" })
    const text = await awaitEnd(ada, await send(ada, room, "text", { responseFormat: { type: "text" } }))
    assert.deepStrictEqual([text.body.status, text.body.output], ["completed", null])
  })

  it("takes every string of JSON", async () => {
    const ada = await backends.newUser()
    const said = String.raw`{"a":"\u0000\ud800","n":1e300,"__proto__":1}`
    const { body } = await awaitEnd(
      ada,
      await send(ada, await ada.room(), `[[say ${said}]]`, { responseFormat: { type: "json" } })
    )
    assert.deepStrictEqual([body.status, body.output?.a, body.output?.n], ["completed", "\u0000\ud800", 1e300])
  })

  it.each(["badjson", "notfit"])("asks once more after [[%s]], and refunds the second failure", async (word) => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const once = await awaitEnd(ada, await send(ada, room, uniquePrompt(`[[${word} times 1]]`), { responseFormat }))
    assert.deepStrictEqual([once.body.status, once.body.attempt, once.body.output?.some_key], ["completed", 2, 3])
    assert.strictEqual(once.body.content, '{"zebra":"","some_key":3,"a":"x"}')
    const { body } = await awaitEnd(ada, await send(ada, room, uniquePrompt(`[[${word}]]`), { responseFormat }))
    assert.deepStrictEqual([body.status, body.error?.code, body.attempt, body.output], ["failed", "invalid_output", 2, null])
    assert.strictEqual(body.content, word === "badjson" ? '{"half":' : '"This fits no schema."')
    assert.strictEqual(await usedToday(ada), 1)
  })

  it("leaves a truncated answer without output", async () => {
    const ada = await backends.newUser()
    const { body } = await awaitEnd(ada, await send(ada, await ada.room(), "[[finish MAX_TOKENS 1]]", { responseFormat }))
    assert.deepStrictEqual([body.status, body.truncated, body.output, body.attempt], ["completed", true, null, 1])
  })

  it("blames the schema for Google's 400, and only for that", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const [settings, status, code] of [
      [{ responseFormat }, 400, "schema_rejected"],
      [{ responseFormat }, 403, "model_misconfigured"],
      [{ responseFormat: { type: "json" } }, 400, "model_misconfigured"]
    ] as const) {
      const { body } = await awaitEnd(ada, await send(ada, room, `[[status ${status}]]`, settings))
      assert.deepStrictEqual([body.status, body.error?.code, body.attempt], ["failed", code, 1])
    }
    assert.strictEqual(await usedToday(ada), 0)
  })

  it("is refused with the path of its fault, and nothing is stored", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const path = "/settings/responseFormat"
    for (const [settings, fault] of [
      [{ responseFormat: { type: "xml" } }, `${path}/type`],
      [{ responseFormat: { type: "text", schema } }, `${path}/schema`],
      [{ responseFormat: { type: "json", schema: [] } }, `${path}/schema`],
      [{ responseFormat: { type: "json", schema: { type: "object", pattern: "x" } } }, `${path}/schema/pattern`],
      [{ responseFormat: { type: "json", schema: { type: "array", maxItems: 901 } } }, `${path}/schema/maxItems`],
      [{ responseFormat, model: "gemini-text" }, `${path}/type`]
    ] as const) {
      const refused = await send(ada, room, "x", settings)
      assert.deepStrictEqual([refused.status, refused.body.errors?.[0]?.path], [400, fault])
    }
    for (const depth of [20, 5_000]) {
      const deep: unknown = JSON.parse(`${"[".repeat(depth)}${"]".repeat(depth)}`)
      const nested = { type: "json", schema: { type: "object", enum: deep } }
      assert.strictEqual((await send(ada, room, "x", { responseFormat: nested })).status, 400)
    }
    assert.strictEqual(await usedToday(ada), 0)
  })

  it("counts in the fingerprint of an idempotency key", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const headers = { "idempotency-key": "structured" }
    assert.strictEqual((await send(ada, room, "same", { responseFormat }, headers)).status, 202)
    assert.strictEqual((await send(ada, room, "same", { responseFormat }, headers)).status, 202)
    const other = { type: "json", schema: { ...schema, required: [] } }
    assert.strictEqual((await send(ada, room, "same", { responseFormat: other }, headers)).status, 422)
  })
})
