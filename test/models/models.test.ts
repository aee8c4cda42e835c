import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { builtInModels } from "../../src/config/BuiltInModels.ts"
import { request } from "../support/Client.ts"
import { modelsWith, plainModel } from "../support/Models.ts"
import { awaitEnd } from "../support/messages.ts"
import { faultPaths } from "../support/responses.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

const retired = plainModel("gemini-retired", { retiresAt: "2020-01-01", replacement: "gemini-also-retired" })
const alsoRetired = plainModel("gemini-also-retired", { retiresAt: "2020-01-02", replacement: "gemini-3.5-flash" })

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ MODELS: modelsWith(retired, alsoRetired) })
})
afterAll(() => backends.stop())

const makePro = (userId: string) =>
  backends.database.query("update users set pro_until = now() + interval '1 day' where id = $1", [userId])
type Listed = {
  readonly id: string
  readonly available: boolean
  readonly requiredTier: string
  readonly maxOutputTokens: number
}
const find = (models: ReadonlyArray<Listed>, id: string) => models.find((model) => model.id === id)

describe("GET /models", () => {
  it("lists every model with the limits of the user's tier", async () => {
    const ada = await backends.newUser()
    const { body, headers, status } = await ada.call("GET", "/models")
    assert.deepStrictEqual(
      [status, headers.get("cache-control"), body.data.length],
      [200, "private, max-age=300", builtInModels.length + 2]
    )
    const [flash] = builtInModels
    const { price, ...rest } = body.data[0]
    assert.deepStrictEqual(rest, {
      id: flash.id,
      name: flash.name,
      default: true,
      available: true,
      requiredTier: "basic",
      thinking: { levels: ["low", "medium", "high"], default: "medium" },
      tools: ["search", "url"],
      input: ["text", "image", "pdf", "audio"],
      json: true,
      maxOutputTokens: 2_048,
      contextTokens: 32_000,
      retiresAt: null,
      replacement: null
    })
    assert.deepStrictEqual(Object.keys(price), ["input", "output", "currency", "perTokens"])
    const pro = find(body.data, "gemini-3.1-pro-preview")
    assert.deepStrictEqual([pro?.available, pro?.requiredTier], [false, "pro"])
    const later = await backends.newUser()
    await makePro(later.userId)
    const fresh = find((await later.call("GET", "/models")).body.data, "gemini-3.1-pro-preview")
    assert.deepStrictEqual([fresh?.available, fresh?.maxOutputTokens], [true, 8_192])
  })

  it("answers 304 to the list's ETag, and 401 without a token", async () => {
    const ada = await backends.newUser()
    const { headers } = await ada.call("GET", "/models")
    const etag = headers.get("etag") ?? ""
    const again = await ada.call("GET", "/models", undefined, { "if-none-match": etag })
    assert.deepStrictEqual([again.status, again.headers.get("etag"), again.text], [304, etag, ""])
    const compressed = etag.replace(/"$/, '-gz"')
    const compressedAgain = await ada.call("GET", "/models", undefined, { "if-none-match": `W/"other", ${compressed}` })
    assert.deepStrictEqual([compressedAgain.status, compressedAgain.headers.get("etag")], [304, compressed])
    assert.strictEqual((await request(backends.urls[0] ?? "", "GET", "/models")).status, 401)
  })
})

describe("a room's model", () => {
  it("is refused with its path when the server does not offer it", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const [method, path] of [
      ["POST", "/chatroom"],
      ["PATCH", `/chatroom/${room}`]
    ] as const) {
      const refused = await ada.call(method, path, { model: "gpt-5" })
      assert.deepStrictEqual([refused.status, refused.body.code, faultPaths(refused)], [400, "validation_failed", ["/model"]])
    }
  })

  it("is refused with the tier that it needs when the plan does not have it", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    for (const [method, path] of [
      ["POST", "/chatroom"],
      ["PATCH", `/chatroom/${room}`]
    ] as const) {
      const { body, status } = await ada.call(method, path, { model: "gemini-3.1-pro-preview" })
      assert.deepStrictEqual(
        [status, body.code, body.model, body.requiredTier, new URL(body.upgradeUrl).pathname],
        [403, "model_not_in_plan", "gemini-3.1-pro-preview", "pro", "/subscribe/pro"]
      )
    }
    assert.strictEqual((await ada.call("GET", "/chatroom")).body.data.length, 1)
  })

  it("is replaced by what replaces its replacement, once both are retired", async () => {
    const ada = await backends.newUser()
    const { body } = await awaitEnd(ada, await ada.ask(await ada.room({ model: "gemini-retired" }), "hello"))
    assert.deepStrictEqual([body.status, body.model], ["completed", "gemini-3.5-flash"])
  })
})
