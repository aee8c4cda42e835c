import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend, startProcess } from "../support/Backend.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { callsTo } from "../support/geminiCalls.ts"
import { newUser } from "../support/Users.ts"
import { until } from "../support/wait.ts"
import { clientAt, model, readStream, user } from "./Clients.ts"

type Process = Awaited<ReturnType<typeof startProcess>>

describe("a worker killed in the middle of streamed answers", () => {
  let database: TestDatabase
  let gemini: GeminiSimulator
  let api: Awaited<ReturnType<typeof startBackend>>
  const workers: Array<Process> = []

  beforeAll(async () => {
    database = await createDatabase()
    gemini = await startGeminiSimulator()
    const settings = { DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url }
    api = await startBackend({ ...settings, ROLE: "api", LOG_LEVEL: "none" })
    workers.push(await startProcess({ ...settings, ROLE: "worker" }))
    await workers[0]?.started()
  })
  afterAll(async () => {
    for (const worker of workers) await worker.kill("SIGKILL")
    await api.stop()
    await gemini.stop()
    await database.drop()
  })

  it(
    "goes on where the next attempt repeats the text, and ends with an error where it differs",
    { timeout: 120_000 },
    async () => {
      const ada = await newUser(api.url, database)
      const client = clientAt(api.url, ada.token)
      const ask = (content: string) => client.chat.completions.create({ model, messages: user(content), stream: true })
      const same = "[[length 400]] [[chunks 60 delay 100]] The same"
      const another = "[[clock]] [[chunks 60 delay 100]] Another"
      const told = new Map<string, string>()
      const read = async (prompt: string) => readStream(await ask(prompt), (text) => void told.set(prompt, text))
      const reading = [same, another].map(read)
      await until("both have text", () => [same, another].every((prompt) => (told.get(prompt)?.length ?? 0) > 40))

      await workers[0]?.kill("SIGKILL")
      // The lease of the dead worker has expired.
      await database.query("update messages set lease_until = now() - interval '1 second' where status = 'processing'")
      workers.push(await startProcess({ DATABASE_URL: database.url, GEMINI_BASE_URL: gemini.url, ROLE: "worker" }))
      const [whole, restarted] = await Promise.all(reading)

      const rows = await database.query<{ content: string; attempt: number; question: string }>(
        `select r.content, r.attempt, q.content as question from messages r join messages q on q.user_id = r.user_id and q.id = r.reply_to`
      )
      const rowOf = (prompt: string) => rows.find(({ question }) => question === prompt)
      assert.deepStrictEqual([whole?.error, whole?.finishes], [undefined, ["stop"]])
      assert.strictEqual(rowOf(same)?.attempt, 2)
      assert.strictEqual(whole?.text, rowOf(same)?.content)
      assert.strictEqual(whole?.text.length, 400)
      assert.deepInclude(restarted?.error as object, { code: "restarted" })
      assert.deepStrictEqual(restarted?.finishes, [])
      const [first, second] = callsTo(gemini, another)
      assert.isTrue(first?.textSent.startsWith(restarted?.text ?? "") || second?.textSent.startsWith(restarted?.text ?? ""))
      await until("the second attempt has no reader and is cancelled", async () => {
        const [row] = await database.query<{ status: string }>(
          "select r.status from messages r join messages q on q.user_id = r.user_id and q.id = r.reply_to where q.content = $1",
          [another]
        )
        return row?.status === "cancelled"
      })
    }
  )
})
