import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, describe, it, beforeAll } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend, startProcess } from "../support/Backend.ts"
import { logIn } from "../support/Client.ts"
import { modelsWith } from "../support/Models.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { awaitEnd } from "../support/messages.ts"
import { callsTo } from "../support/geminiCalls.ts"

const MODELS = modelsWith(...[660, 150, -150, -660].map((offset) => `gemini-at${offset}`))

describe("a worker whose clock is wrong", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let api: Awaited<ReturnType<typeof startBackend>>

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator({ chunkMillis: 1 })
    api = await startBackend({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, LOG_LEVEL: "none", ROLE: "api", MODELS })
  })
  afterAll(async () => {
    await api.stop()
    await gemini.stop()
    await database.drop()
  })

  it.each([[660], [150], [-150], [-660]])("answers, retries, and pauses as any other: %i seconds", async (offset) => {
    const settings = {
      DATABASE_URL: database.url,
      GEMINI_BASE_URL: gemini.url,
      ROLE: "worker",
      MODELS,
      CLOCK_OFFSET_SECONDS: String(offset)
    }
    const worker = await startProcess(settings, { args: ["--import", "./test/chaos/wrongClock.ts", "src/main.ts"] })
    try {
      await worker.started()
      const ada = await logIn(api.url)
      const model = `gemini-at${offset}`
      for (const [words, calls, seconds] of [
        ["[[say Fine.]]", 1, 0],
        ["[[status 503 times 2]] [[say Fine.]]", 3, 1.5],
        ["[[status 503 retry 3 times 1]] [[say Fine.]]", 2, 3],
        ["[[status 429 retry 3 times 1]] [[say Fine.]]", 2, 3]
      ] as const) {
        const about = `${words} at ${offset}`
        const { body } = await awaitEnd(ada, await ada.ask(await ada.room({ model }), about))
        assert.deepStrictEqual([body.status, body.content, body.attempt], ["completed", "Fine.", calls], about)
        const seen = callsTo(gemini, about)
        assert.strictEqual(seen.length, calls)
        const waited = ((seen.at(-1)?.at ?? 0) - (seen[0]?.at ?? 0)) / 1_000
        assert.isAtLeast(waited, seconds, about)
        assert.isBelow(waited, seconds + 20, about)
        await sleep(10)
      }
    } finally {
      await worker.kill("SIGTERM")
    }
  })
})
