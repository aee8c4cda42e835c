import { readFileSync } from "node:fs"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import { startBackend, startProcess } from "../support/Backend.ts"
import { createDatabase, forgetThrottles, type TestDatabase } from "../support/Database.ts"
import { upload } from "../support/files.ts"
import { awaitEnd, uniquePrompt } from "../support/messages.ts"
import { times } from "../support/times.ts"
import { newUser } from "../support/Users.ts"
import { noise, pdf } from "./samples.ts"

const mebibyte = 1_048_576
/** `MEMORY_REPLIES=20` is the long form: twenty replies with files of 20 MiB each. */
const replies = Number(process.env["MEMORY_REPLIES"] ?? 3)
const timeout = 180_000 + 60_000 * replies

let database: TestDatabase
let gemini: GeminiSimulator
let api: Awaited<ReturnType<typeof startBackend>>
let worker: Awaited<ReturnType<typeof startProcess>>

beforeAll(async () => {
  database = await createDatabase()
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
  const settings = {
    DATABASE_URL: database.url,
    GEMINI_BASE_URL: gemini.url,
    BASIC_CONCURRENCY: "50",
    BASIC_DAILY_PROMPTS: "100"
  }
  api = await startBackend({ ...settings, ROLE: "api", LOG_LEVEL: "none", BASIC_STORAGE_MB: "2000" })
  worker = await startProcess({ ...settings, ROLE: "worker" })
  await worker.started()
}, 120_000)
afterAll(async () => {
  await worker.kill("SIGKILL")
  await api.stop()
  await gemini.stop()
  await database.drop()
})

/** The most memory that the worker has had, in MiB. */
const peak = (): number => {
  const status = readFileSync(`/proc/${worker.pid}/status`, "utf8")
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1_024
}

describe.runIf(process.platform === "linux")("a worker", () => {
  it(`that makes ${replies} replies with 20 MiB of files each at once stays under 400 MiB`, { timeout }, async () => {
    const ada = await newUser(api.url, database)
    const before = peak()
    const rooms: Array<{ room: string; attachments: ReadonlyArray<string>; words: string }> = []
    for (const n of times(replies, (each) => each)) {
      await forgetThrottles(database)
      const texts = noise(mebibyte / 2, `text ${n}`)
        .toString("hex")
        .slice(0, mebibyte - 10)
      const bodies = [
        ["application/pdf", pdf({ bytes: 10 * mebibyte, seed: `memory ${n}` })],
        ["application/pdf", pdf({ bytes: 9 * mebibyte - 4_000, seed: `more ${n}` })],
        ["text/plain", Buffer.from(texts)]
      ] as const
      const attachments: Array<string> = []
      for (const [type, bytes] of bodies) {
        const { body, status, text } = await upload(api.url, ada, type, bytes)
        if (status > 201) throw new Error(text)
        attachments.push(body.id)
      }
      rooms.push({ room: await ada.room(), attachments, words: uniquePrompt("[[say Read.]] memory") })
    }
    const ended = await Promise.all(
      rooms.map(async ({ attachments, room, words }) => (await awaitEnd(ada, await ada.ask(room, words, { attachments }))).body)
    )
    assert.deepStrictEqual([...new Set(ended.map(({ error, status }) => `${status} ${error?.code ?? ""}`))], ["completed "])
    const seen = gemini.log("memory").flatMap(({ files }) => files)
    assert.lengthOf(seen, 2 * replies)
    const most = peak()
    if (process.env["MEMORY_REPLIES"] !== undefined)
      process.stdout.write(`worker: ${before.toFixed(0)} MiB, at most ${most.toFixed(0)} MiB\n`)
    assert.isBelow(most, 400)
  })
})
