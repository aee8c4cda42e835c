import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { modelsWith } from "../support/Models.ts"
import { until } from "../support/wait.ts"
import { awaitEnd } from "../support/messages.ts"

describe("a room's model", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let process: Awaited<ReturnType<typeof startProcess>>
  let ada: Person

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    process = await startProcess({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, MODELS: modelsWith("veo-9") })
    await process.started()
    ada = await logIn(process.url)
  })
  afterAll(async () => {
    await process.kill("SIGTERM")
    await gemini.stop()
    await database.drop()
  })

  /** The reply in a room that has stored this model. */
  const replyOf = async (model: string, words: string) => {
    const room = await ada.room()
    await database.query("update chatrooms set model = $2 where id = $1", [room, model])
    return (await awaitEnd(ada, await ada.ask(room, words))).body
  }

  it.each([["no-such-model"], ["-"], [".."], ["a..b"]])(
    "is the default model when the server does not offer the stored one: %s",
    async (model) => {
      const reply = await replyOf(model, "hello")
      assert.deepStrictEqual([reply.status, reply.model], ["completed", "gemini-3.8-flash"])
    }
  )

  it.each([
    ["veo-9", "hello"],
    ["gemini-2.5-flash", "[[status 401]]"],
    ["gemini-2.5-flash", "[[status 403]]"],
    ["gemini-3.8-flash", "[[status 400]]"],
    ["gemini-3.8-flash", "[[status 404]]"]
  ])("fails at once, with one error for the operator, when Google refuses it: %s, %s", async (model, words) => {
    const before = process.output().length
    const { attempt, error } = await replyOf(model, words)
    assert.deepStrictEqual([error.code, attempt], ["model_misconfigured", 1])
    const lines = () => process.output().slice(before).split("\n")
    const line = await until("the error", () => lines().find((text) => text.includes(`refuses our requests for ${model}`)), {
      seconds: 5
    })
    assert.match(line, /ERROR/i)
  })
})
