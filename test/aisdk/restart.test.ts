import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { makeStreamProcesses, type StreamProcess, type StreamProcesses } from "../stream/StreamProcesses.ts"
import { until } from "../support/wait.ts"
import { newUser } from "../support/Users.ts"
import { uniquePrompt } from "../support/messages.ts"
import { loadChat, newChat, textOf } from "./AiClient.ts"

describe("a chat of the AI SDK and processes that end", () => {
  let processes: StreamProcesses
  let one: StreamProcess
  let other: StreamProcess
  let worker: StreamProcess

  beforeAll(async () => {
    processes = await makeStreamProcesses()
    const { start } = processes
    ;[one, other, worker] = await Promise.all([start("api"), start("api"), start("worker")])
  })
  afterAll(() => processes.stop())

  it("shows one whole text on the same connection after its worker is killed", { timeout: 90_000 }, async () => {
    const ada = await newUser(other.url, processes.database)
    const chat = newChat(other.url, ada)
    const asking = chat.sendMessage({ text: uniquePrompt("[[length 1500]] [[chunks 50 delay 100]]") })
    await until("some text", () => chat.text.length > 300)
    await worker.kill("SIGKILL")
    worker = await processes.start("worker")
    await asking
    assert.deepStrictEqual([chat.status, chat.errors], ["ready", []])
    assert.lengthOf(chat.text, 1_500)
    const [, reply] = (await loadChat(other.url, ada, chat.id)).messages
    assert.strictEqual(textOf(reply ?? assert.fail()), chat.text)
    assert.lengthOf(chat.messages.at(-1)?.parts.filter(({ type }) => type === "text") ?? [], 1)
  })

  it("lets the client of a stopping process resume at another process", async () => {
    const ada = await newUser(other.url, processes.database)
    const chat = newChat(one.url, ada)
    const asking = chat.sendMessage({ text: uniquePrompt("[[length 1000]] [[chunks 100 delay 100]]") })
    await until("some text", () => chat.text.length > 100)
    const exited = one.kill("SIGTERM")
    await asking
    assert.strictEqual(chat.status, "error")
    assert.match(chat.errors[0]?.message ?? "", /Resume the stream/)
    const resumed = await loadChat(other.url, ada, chat.id)
    await resumed.resumeStream()
    assert.deepStrictEqual([resumed.status, resumed.text.length], ["ready", 1_000])
    assert.deepStrictEqual(await exited, { code: 0, signal: null })
  })
})
