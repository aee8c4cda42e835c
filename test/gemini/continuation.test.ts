import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { until } from "../support/wait.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { awaitEnd, usedToday } from "../support/messages.ts"
import { startBackends, type TestBackends } from "../support/TestBackends.ts"

let backends: TestBackends
beforeAll(async () => {
  backends = await startBackends({ LOG_LEVEL: "none" })
})
afterAll(() => backends.stop())

const words = 900
let questions = 0

/** Asks a new user's only question, and waits until its reply has ended. */
const asked = async (script: string) => {
  const ada = await backends.newUser()
  const about = `[hops ${questions++}]`
  const { body: reply } = await awaitEnd(ada, await ada.ask(await ada.room(), `[[length ${words}]] ${script} ${about}`))
  return { reply, calls: callsAbout(backends, about), used: await usedToday(ada) }
}

const tokenOf = (body: unknown) => (body as { readonly continuationToken?: string }).continuationToken

describe("an answer over several requests", () => {
  let whole = ""
  beforeAll(async () => {
    whole = (await asked("")).reply.content
    assert.strictEqual(whole.length, words)
  })

  it.each([[1], [2], [3], [8]])("is one text, counted as the sum of its requests: %i", async (hops) => {
    const { calls, reply, used } = await asked(`[[continue ${hops}]]`)
    assert.deepStrictEqual(
      [reply.status, reply.content, reply.finishReason, reply.truncated, reply.attempt, calls.length, used],
      ["completed", whole, "STOP", false, 1, hops, 1]
    )
    assert.deepStrictEqual(
      calls.map(({ body }) => tokenOf(body) === undefined),
      Array.from({ length: hops }, (_, index) => index === 0)
    )
    const [first] = calls
    const promptTokens = Math.ceil(JSON.stringify(first?.body).length / 4)
    assert.isAtLeast(reply.usage.promptTokens, hops)
    assert.isBelow(reply.usage.promptTokens, hops * promptTokens)
    const replyTokens = calls.reduce((sum, { textSent }) => sum + Math.ceil(textSent.length / 4), 0)
    assert.strictEqual(reply.usage.replyTokens, replyTokens)
  })

  it("ends truncated when it would take more than eight", async () => {
    const { calls, reply } = await asked("[[continue 12]]")
    assert.deepStrictEqual(
      [reply.status, reply.finishReason, reply.truncated, calls.length],
      ["completed", "CONTINUATION", true, 8]
    )
    assert.isTrue(whole.startsWith(reply.content))
  })

  it("is whole when a connection drops at any piece of it", async () => {
    const pieces = Math.ceil(words / 3 / 24) + 1
    for (let piece = 0; piece <= pieces; piece++) {
      const { reply } = await asked(`[[continue 3]] [[drop ${piece} times 1]]`)
      assert.deepStrictEqual([reply.status, reply.content, reply.finishReason], ["completed", whole, "STOP"], `drop ${piece}`)
    }
  })

  it("goes on from the token when the connection drops right after it", async () => {
    const pieces = Math.ceil(words / 3 / 24)
    const { calls, reply } = await asked(`[[continue 3]] [[drop ${pieces + 1} times 1]]`)
    assert.deepStrictEqual([reply.attempt, calls.length, reply.content], [1, 3, whole])
  })

  it("ends when its user cancels it in the second request", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const sent = await ada.ask(room, `[[length ${words}]] [[continue 3]] [[chunks 20 delay 100]] [stopped]`)
    const path = `/chatroom/${room}/message/${sent.body.reply.id}`
    await until("text of the second request", () => (callsAbout(backends, "[stopped]")[1]?.textSent.length ?? 0) > 0)
    const cancelled = await ada.call("POST", `${path}/cancel`)
    assert.strictEqual(cancelled.body.status, "cancelled")
    assert.isAbove(cancelled.body.content.length, words / 3)
    assert.isTrue(whole.startsWith(cancelled.body.content))
  })
})
