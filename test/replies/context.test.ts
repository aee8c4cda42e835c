import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { type Place, placeOf } from "../stream/SseClient.ts"
import { callsAbout, turnsOf } from "../support/geminiCalls.ts"
import { unknownId } from "../support/responses.ts"
import { bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { sendQuestion, readEnded, readMessage, uniquePrompt } from "../support/messages.ts"

const contextOf = (person: Person, { reply, room }: Place) => person.call("GET", `/chatroom/${room}/message/${reply}/context`)
const tokens = (text: string) => Math.ceil(Buffer.byteLength(text) / 4)

describe("GET /chatroom/:id/message/:mid/context", () => {
  let backends: TestBackends
  beforeAll(async () => {
    backends = await startTwoBackends()
    bothUrls(backends)
  })
  afterAll(() => backends.stop())

  /** What the simulator received for a question: its system prompt and its turns. */
  const received = (question: string) => {
    const call = callsAbout(backends, question).at(-1)
    const body = call?.body as { readonly systemInstruction?: { readonly parts: ReadonlyArray<{ readonly text: string }> } }
    return {
      system: body.systemInstruction?.parts.map(({ text }) => text).join("") ?? null,
      turns: turnsOf(call),
      model: call?.model
    }
  }
  /** The messages a receipt names, as the simulator's log has them. */
  const named = async (person: Person, room: string, included: ReadonlyArray<{ readonly id: string; readonly role: string }>) =>
    Promise.all(included.map(async ({ id, role }) => `${role}: ${(await readMessage(person, { room, reply: id })).body.content}`))

  it("returns what the model received: messages, roles, system prompt, model and tokens", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ systemPrompt: "You are a lighthouse keeper.", model: "gemini-3.5-flash" })
    const first = await sendQuestion(ada, "[[say Fog.]] How is the sea? 🌊", room)
    await readEnded(ada, first)
    const name = uniquePrompt("And the lamp?")
    const second = await sendQuestion(ada, name, room)
    const message = await readEnded(ada, second)
    const { body, status } = await contextOf(ada, second)
    assert.strictEqual(status, 200)
    const sent = received(name)
    assert.strictEqual(body.systemPrompt, "You are a lighthouse keeper.")
    assert.strictEqual(body.systemPrompt, sent.system)
    assert.deepStrictEqual(await named(ada, room, body.included), sent.turns)
    assert.deepStrictEqual(sent.turns, ["user: [[say Fog.]] How is the sea? 🌊", "model: Fog.", `user: ${name}`])
    assert.deepStrictEqual(
      body.included.map(({ tokens }: { tokens: number }) => tokens),
      [tokens("[[say Fog.]] How is the sea? 🌊"), tokens("Fog."), tokens(name)]
    )
    assert.deepStrictEqual(body.dropped, [])
    assert.strictEqual(body.model, sent.model)
    assert.strictEqual(body.model, "gemini-3.5-flash")
    assert.strictEqual(body.promptTokens, message.usage.promptTokens)
  })

  it("does not change when the room changes later", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ systemPrompt: "Before." })
    const first = await sendQuestion(ada, "[[say one]]", room)
    await readEnded(ada, first)
    const second = await sendQuestion(ada, "[[say two]]", room)
    await readEnded(ada, second)
    const before = (await contextOf(ada, second)).body
    assert.strictEqual(before.systemPrompt, "Before.")
    await ada.call("PATCH", `/chatroom/${room}`, { systemPrompt: "After.", model: "gemini-2.5-flash" })
    await readEnded(ada, placeOf(await ada.call("POST", `/chatroom/${room}/message/${first.reply}/regenerate`)))
    await readEnded(ada, await sendQuestion(ada, "[[say three]]", room))
    const after = (await contextOf(ada, second)).body
    assert.deepStrictEqual(after.included, before.included)
    assert.deepStrictEqual({ ...after, dropped: [] }, { ...before, dropped: [] })
    await ada.call("PATCH", `/chatroom/${room}`, { systemPrompt: null })
    assert.strictEqual((await contextOf(ada, second)).body.systemPrompt, "Before.")
    const bare = await sendQuestion(ada, "[[say four]]", room)
    await readEnded(ada, bare)
    assert.isNull((await contextOf(ada, bare)).body.systemPrompt)
  })

  it("gives the reason for an omitted message: failed, cancelled, unanswered, superseded", async () => {
    const ada = await backends.newUser()
    const room = await ada.room()
    const failed = await sendQuestion(ada, "[[finish SAFETY 0]]", room)
    const failedQuestion = (await readEnded(ada, failed)).replyTo
    const cancelled = await sendQuestion(ada, "[[latency 20000]]", room)
    await ada.call("POST", `/chatroom/${room}/message/${cancelled.reply}/cancel`)
    const cancelledQuestion = (await readEnded(ada, cancelled)).replyTo
    const old = await sendQuestion(ada, "[[say answered]]", room)
    const kept = (await readEnded(ada, old)).replyTo
    const renewed = placeOf(await ada.call("POST", `/chatroom/${room}/message/${old.reply}/regenerate`))
    await readEnded(ada, renewed)
    const last = await sendQuestion(ada, uniquePrompt("Why?"), room)
    const lastQuestion = (await readEnded(ada, last)).replyTo
    const { body } = await contextOf(ada, last)
    assert.deepStrictEqual(
      body.included.map(({ id }: { id: string }) => id),
      [kept, renewed.reply, lastQuestion]
    )
    assert.deepStrictEqual(
      body.dropped.toSorted((a: { id: string }, b: { id: string }) => a.id.localeCompare(b.id)),
      [
        { id: failedQuestion, reason: "unanswered" },
        { id: failed.reply, reason: "failed" },
        { id: cancelledQuestion, reason: "unanswered" },
        { id: cancelled.reply, reason: "cancelled" },
        { id: old.reply, reason: "superseded" }
      ].toSorted((a, b) => a.id.localeCompare(b.id))
    )
  })

  it(
    "omits the oldest questions with their answers past the budget of 32,000 tokens, never the system prompt",
    { timeout: 60_000 },
    async () => {
      const ada = await backends.newUser()
      const systemPrompt = "🌊".repeat(2_000)
      const room = await ada.room({ systemPrompt })
      const places: Array<Place> = []
      for (let number = 0; number < 4; number++) {
        // About 10,000 tokens a question: two of them fit beside the system prompt and the last question.
        places.push(await sendQuestion(ada, `[[say answer ${number}]] ${"🌊".repeat(number === 3 ? 8_000 : 9_990)}`, room))
        await readEnded(ada, places[number] ?? { room, reply: unknownId })
      }
      const [, second, third, last] = places
      assert.isDefined(second)
      assert.isDefined(third)
      assert.isDefined(last)
      const { body } = await contextOf(ada, last)
      assert.deepStrictEqual(
        body.included.map(({ role }: { role: string }) => role),
        ["user", "model", "user", "model", "user"]
      )
      assert.strictEqual(body.included[1].id, second.reply)
      assert.strictEqual(body.included[3].id, third.reply)
      assert.strictEqual(body.systemPrompt, systemPrompt)
      assert.deepStrictEqual(
        body.dropped.map(({ reason }: { reason: string }) => reason),
        ["budget", "budget"]
      )
      assert.strictEqual(body.dropped[1].id, places[0]?.reply)
      const sum = body.included.reduce((total: number, { tokens }: { tokens: number }) => total + tokens, tokens(systemPrompt))
      assert.isAtMost(sum, 32_000)
      assert.isAbove(sum + 10_000, 32_000)
      assert.strictEqual(received("[[say answer 3]]").turns.length, 5)
    }
  )

  it("returns what would be sent for a reply that has not started", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ systemPrompt: "Now." })
    const first = await sendQuestion(ada, "[[say one]]", room)
    await readEnded(ada, first)
    const running = await sendQuestion(ada, "[[length 500]] [[chunks 25 delay 250]]", room)
    const name = uniquePrompt("held")
    const held = await sendQuestion(ada, `[[say x]] ${name}`, room)
    const { body } = await contextOf(ada, held)
    const heldQuestion = (await readMessage(ada, held)).body.replyTo
    const runningQuestion = (await readMessage(ada, running)).body.replyTo
    assert.strictEqual(body.systemPrompt, "Now.")
    assert.strictEqual(body.included.at(-1).id, heldQuestion)
    assert.strictEqual(body.included[1].id, first.reply)
    assert.strictEqual(body.included.length, 3)
    assert.deepStrictEqual(body.dropped, [
      { id: runningQuestion, reason: "unanswered" },
      { id: running.reply, reason: "unfinished" }
    ])
    const estimate = body.included.reduce((total: number, { tokens }: { tokens: number }) => total + tokens, tokens("Now."))
    assert.strictEqual(body.promptTokens, estimate)
    await ada.call("PATCH", `/chatroom/${room}`, { systemPrompt: "Then." })
    // An accepted question keeps its settings.
    assert.strictEqual((await contextOf(ada, held)).body.systemPrompt, "Now.")
    await readEnded(ada, held)
    const after = (await contextOf(ada, held)).body
    assert.strictEqual(after.systemPrompt, "Now.")
    assert.strictEqual(received(name).system, "Now.")
    assert.deepStrictEqual(await named(ada, room, after.included), received(name).turns)
    assert.strictEqual(after.included.length, 5)
    const next = await sendQuestion(ada, "[[say y]]", room)
    assert.strictEqual((await contextOf(ada, next)).body.systemPrompt, "Then.")
  })

  it("returns what was sent for a cancelled and for a failed reply", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ systemPrompt: "Before." })
    const blocked = await sendQuestion(ada, "[[finish SAFETY 2]] [[length 100]]", room)
    await readEnded(ada, blocked)
    const cancelled = await sendQuestion(ada, "[[length 500]] [[chunks 50 delay 100]]", room)
    while ((await readMessage(ada, cancelled)).body.status !== "processing");
    assert.strictEqual((await ada.call("POST", `/chatroom/${room}/message/${cancelled.reply}/cancel`)).status, 200)
    await ada.call("PATCH", `/chatroom/${room}`, { systemPrompt: "After." })
    for (const place of [blocked, cancelled]) assert.strictEqual((await contextOf(ada, place)).body.systemPrompt, "Before.")
  })

  it("is 404 for an unknown message, another user's, and a question", async () => {
    const [ada, bob] = await backends.newUsers(2)
    assert.isDefined(ada)
    assert.isDefined(bob)
    const place = await sendQuestion(ada, "[[say x]]")
    const question = (await readEnded(ada, place)).replyTo
    assert.strictEqual((await contextOf(bob, place)).body.code, "chatroom_not_found")
    assert.strictEqual((await contextOf(ada, { ...place, reply: unknownId })).body.code, "message_not_found")
    assert.strictEqual((await contextOf(ada, { ...place, room: unknownId })).body.code, "chatroom_not_found")
    assert.strictEqual((await contextOf(ada, { ...place, reply: question })).body.code, "message_not_found")
  })
})
