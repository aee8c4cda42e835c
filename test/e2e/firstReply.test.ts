import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

describe("the main job", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let backend: Awaited<ReturnType<typeof startBackend>>

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    backend = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url })
  })
  afterAll(async () => {
    await backend.stop()
    await gemini.stop()
    await database.drop()
  })

  it("logs in, opens a room, asks, and gets the model's answer", async () => {
    const ada = await logIn(backend.url)
    const room = await ada.room({ title: "Sky" })
    const answered = await ada.ask(room, "[[say Because of Rayleigh.]] Why is it blue?", { wait: 10 })
    assert.strictEqual(answered.status, 201)
    assert.strictEqual(answered.body.reply.content, "Because of Rayleigh.")
    assert.strictEqual(answered.body.quota.remaining, 4)
  })
})
