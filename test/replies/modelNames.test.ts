import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startProcess } from "../support/Backend.ts"
import { logIn, type Person } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { until } from "../support/wait.ts"
import { awaitEnd } from "../support/messages.ts"

describe("a room's model that Google refuses", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let process: Awaited<ReturnType<typeof startProcess>>
  let ada: Person

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    process = await startProcess({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url })
    await process.started()
    ada = await logIn(process.url)
  })
  afterAll(async () => {
    await process.kill("SIGTERM")
    await gemini.stop()
    await database.drop()
  })

  /** The error of a reply in a room of this model, and the lines that it wrote. */
  const refusalOf = async (model: string, words: string) => {
    const room = await ada.room()
    await database.query("update chatrooms set model = $2 where id = $1", [room, model])
    const before = process.output().length
    const { body } = await awaitEnd(ada, await ada.ask(room, words))
    const lines = () => process.output().slice(before)
    await until("the refusal in the log", () => lines().includes(`refuses our requests for ${model}`), { seconds: 5 })
    const line = lines()
      .split("\n")
      .find((line) => line.includes(`refuses our requests for ${model}`))
    return { code: body.error.code, attempt: body.attempt, level: /ERROR|WARN/i.exec(line ?? "")?.[0].toUpperCase() }
  }

  it.each([["veo-9"], ["no-such-model"], ["-"], [".."], ["a..b"]])(
    "fails at once, and is not logged as an operator's error: %s",
    async (model) => {
      assert.deepStrictEqual(await refusalOf(model, "hello"), { code: "model_misconfigured", attempt: 1, level: "WARN" })
    }
  )

  it("is an error of the operator's when the key is refused", async () => {
    for (const status of [401, 403]) {
      const seen = await refusalOf("gemini-2.5-flash", `[[status ${status}]]`)
      assert.deepStrictEqual(seen, { code: "model_misconfigured", attempt: 1, level: "ERROR" })
    }
  })

  it("is an error of the operator's when it is the server's own", async () => {
    for (const status of [400, 404]) {
      const seen = await refusalOf("gemini-3.8-flash", `[[status ${status}]]`)
      assert.deepStrictEqual(seen, { code: "model_misconfigured", attempt: 1, level: "ERROR" })
    }
  })
})
