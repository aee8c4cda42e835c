import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Person, personAt } from "../support/Client.ts"
import { isTerminal, openStream, type Place, readAll } from "../stream/SseClient.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { callsAbout } from "../support/geminiCalls.ts"
import { countStatuses, unknownId } from "../support/responses.ts"
import { sendQuestion, awaitStatus, readEnded, readMessage, uniquePrompt, usedToday } from "../support/messages.ts"
import { bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"

const cancel = (base: string, person: Person, { reply, room }: Place) =>
  personAt(base, person).call("POST", `/chatroom/${room}/message/${reply}/cancel`)

describe("cancelling a reply", () => {
  let backends: TestBackends
  let apiUrl: string
  let workerUrl: string

  beforeAll(async () => {
    backends = await startTwoBackends()
    ;[apiUrl, workerUrl] = bothUrls(backends)
  })
  afterAll(() => backends.stop())

  const places = () => [
    { where: "the worker's process", base: () => workerUrl },
    { where: "another process", base: () => apiUrl }
  ]

  for (const { base, where } of places()) {
    it(`stops the model call at once and keeps the streamed text, on ${where}`, async () => {
      const ada = await backends.newUser()
      const name = uniquePrompt("Stop this one.")
      const place = await sendQuestion(ada, `${name} [[length 2000]] [[chunks 200 delay 40]]`)
      const next = await sendQuestion(ada, "[[say the next]]", place.room)
      const streams = await Promise.all([workerUrl, apiUrl].map((url) => openStream(url, ada, place)))
      await Promise.all(streams.map((stream) => stream.first(({ text }) => text.length > 100)))
      assert.strictEqual(await usedToday(ada), 2)

      const begun = performance.now()
      const cancelled = await cancel(base(), ada, place)
      const took = performance.now() - begun
      assert.strictEqual(cancelled.status, 200)
      assert.strictEqual(cancelled.body.status, "cancelled")
      assert.strictEqual(cancelled.body.id, place.reply)
      assert.isString(cancelled.body.completedAt)
      await until("no call in flight", () => callsAbout(backends, name).every(({ inFlight }) => !inFlight))
      const calls = callsAbout(backends, name)
      const stopped = performance.now() - begun
      process.stdout.write(
        `a cancel by ${where} is answered after ${took.toFixed(0)} ms; the call had ended after ${stopped.toFixed(0)}\n`
      )
      // Sooner than by the next renewal of the lease, which happens every eight seconds.
      assert.isBelow(stopped, 5_000)
      assert.strictEqual(calls.length, 1)
      assert.isTrue(calls[0]?.aborted)

      for (const stream of streams) {
        assert.strictEqual(await stream.closed, "end")
        assert.strictEqual(stream.text(), cancelled.body.content)
        assert.isAbove(stream.text().length, 100)
        assert.isBelow(stream.text().length, 2_000)
        assert.isTrue(calls[0]?.textSent.startsWith(stream.text()))
        const terminals = stream.events.filter(isTerminal)
        assert.deepStrictEqual(
          terminals.map(({ name }) => name),
          ["cancelled"]
        )
        assert.deepStrictEqual(terminals[0]?.data, cancelled.body)
      }
      assert.deepStrictEqual((await readMessage(ada, place)).body, cancelled.body)
      assert.strictEqual((await readEnded(ada, next)).content, "the next")
      assert.strictEqual(await usedToday(ada), 2, "a cancelled reply is not refunded")
      const late = await readAll(apiUrl, ada, place)
      assert.strictEqual(late.text(), cancelled.body.content)
      assert.deepStrictEqual(
        late.events.map(({ name }) => name),
        ["delta", "usage", "cancelled"]
      )
    })
  }

  it("leaves an empty message before the first word", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[latency 20000]] [[say late]]")
    await awaitStatus(ada, place, "processing")
    const cancelled = await cancel(apiUrl, ada, place)
    assert.strictEqual(cancelled.status, 200)
    assert.strictEqual(cancelled.body.content, "")
    assert.isNull(cancelled.body.error)
  })

  it("keeps the stored text when its worker is gone, and the next question is answered", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[latency 20000]] [[say late]]")
    const next = await sendQuestion(ada, "[[say the next]]", place.room)
    await awaitStatus(ada, place, "processing")
    // As if another worker had taken it over, and died after some words.
    await backends.database.query("update messages set attempt = 2, worker_id = gen_random_uuid() where id = $1", [place.reply])
    await backends.database.query(
      `insert into stream_segments (user_id, reply_id, attempt, start_offset, body)
        values ($1, $2, 1, 0, 'Of another attempt.'), ($1, $2, 2, 10, 'a time'), ($1, $2, 2, 0, 'Once upon ')`,
      [ada.userId, place.reply]
    )
    const cancelled = await cancel(apiUrl, ada, place)
    assert.deepInclude(cancelled.body, { status: "cancelled", content: "Once upon a time", attempt: 2, error: null })
    assert.strictEqual((await readEnded(ada, next)).content, "the next")
    await until("no call in flight", () => callsAbout(backends, "[[say late]]").every(({ inFlight }) => !inFlight))
  })

  it("removes a held reply, and the others keep their order", async () => {
    const ada = await backends.newUser()
    const first = await sendQuestion(ada, "[[length 300]] [[chunks 30 delay 40]]")
    const [second, third] = [
      await sendQuestion(ada, uniquePrompt("second"), first.room),
      await sendQuestion(ada, "[[say third]]", first.room)
    ]
    const stream = await openStream(apiUrl, ada, second)
    assert.strictEqual((await cancel(apiUrl, ada, second)).body.status, "cancelled")
    await stream.closed
    assert.deepStrictEqual(
      stream.events.filter(isTerminal).map(({ name }) => name),
      ["cancelled"]
    )
    assert.strictEqual((await readEnded(ada, first)).content.length, 300)
    assert.strictEqual((await readEnded(ada, third)).content, "third")
    assert.strictEqual(await usedToday(ada), 3)
    const unfinished = await backends.database.query("select 1 from chatrooms where id = $1 and unfinished <> 0", [first.room])
    assert.deepStrictEqual(unfinished, [])
  })

  it("ends a waiting reply at once, without another attempt", async () => {
    const ada = await backends.newUser()
    const room = await ada.room({ model: "gemini-2.5-flash" })
    const name = uniquePrompt("Patience.")
    const place = await sendQuestion(ada, `${name} [[status 429 retry 3 times 1]]`, room)
    await awaitStatus(ada, place, "waiting")
    const cancelled = await cancel(apiUrl, ada, place)
    assert.strictEqual(cancelled.status, 200)
    assert.strictEqual(cancelled.body.status, "cancelled")
    const next = await sendQuestion(ada, "[[say after it]]", room)
    assert.strictEqual((await readEnded(ada, next)).content, "after it")
    await sleep(1_500)
    assert.strictEqual(callsAbout(backends, name).length, 1)
    assert.deepStrictEqual((await readMessage(ada, place)).body, cancelled.body)
  })

  it("discards the first attempt's text between two attempts", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, uniquePrompt("[[length 400]] [[chunks 20 delay 20]] [[drop 8 times 4]]"))
    const stream = await openStream(apiUrl, ada, place)
    await awaitStatus(ada, place, "waiting")
    assert.isAbove(stream.text().length, 0)
    const cancelled = await cancel(apiUrl, ada, place)
    await stream.closed
    assert.strictEqual(stream.text(), cancelled.body.content)
  })

  it("is 404 for another user and for an unknown message", async () => {
    const [ada, bob] = await backends.newUsers(2)
    assert.isDefined(ada)
    assert.isDefined(bob)
    const place = await sendQuestion(ada, "[[length 100]] [[chunks 20 delay 30]]")
    assert.strictEqual((await cancel(workerUrl, bob, place)).body.code, "chatroom_not_found")
    assert.strictEqual((await cancel(workerUrl, ada, { ...place, reply: unknownId })).body.code, "message_not_found")
    assert.strictEqual((await cancel(workerUrl, ada, { ...place, room: unknownId })).body.code, "chatroom_not_found")
    assert.strictEqual((await readEnded(ada, place)).status, "completed")
  })

  it("is 409 already_finished for a completed, failed or cancelled reply and for a question", async () => {
    const ada = await backends.newUser()
    const done = await sendQuestion(ada, "[[say done]]")
    const failed = await sendQuestion(ada, "[[finish SAFETY 0]]")
    const cancelled = await sendQuestion(ada, "[[latency 20000]]")
    await Promise.all([readEnded(ada, done), readEnded(ada, failed)])
    assert.strictEqual((await cancel(workerUrl, ada, cancelled)).status, 200)
    const question = (await readMessage(ada, done)).body.replyTo
    for (const place of [done, failed, cancelled, { ...done, reply: question }]) {
      const before = (await readMessage(ada, place)).body
      const again = await cancel(apiUrl, ada, place)
      assert.strictEqual(again.status, 409)
      assert.strictEqual(again.body.code, "already_finished")
      assert.deepStrictEqual((await readMessage(ada, place)).body, before)
    }
  })

  it("ends the reply once for parallel requests", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[length 2000]] [[chunks 200 delay 40]]")
    const stream = await openStream(apiUrl, ada, place)
    await stream.first(({ name }) => name === "delta")
    const all = await Promise.all(times(6, (index) => cancel(index % 2 === 0 ? workerUrl : apiUrl, ada, place)))
    assert.include(
      all.map(({ status }) => status),
      200
    )
    for (const { body, status } of all) {
      if (status === 200) assert.strictEqual(body.status, "cancelled")
      else assert.strictEqual(body.code, "already_finished")
    }
    await stream.closed
    assert.strictEqual(stream.events.filter(isTerminal).length, 1)
    assert.strictEqual(stream.text(), (await readMessage(ada, place)).body.content)
  })

  it("ends a held reply once for parallel requests", async () => {
    const ada = await backends.newUser()
    const first = await sendQuestion(ada, "[[latency 20000]]")
    const held = await sendQuestion(ada, "[[say held]]", first.room)
    const all = await Promise.all(times(10, (index) => cancel(index % 2 === 0 ? workerUrl : apiUrl, ada, held)))
    assert.deepStrictEqual(countStatuses(all), { 200: 1, 409: 9 })
    const rooms = await backends.database.query("select unfinished from chatrooms where id = $1", [first.room])
    assert.deepStrictEqual(rooms, [{ unfinished: 1 }])
    await cancel(workerUrl, ada, first)
  })

  it("ends the reply once when it races with completion, in fifty rounds", { timeout: 60_000 }, async () => {
    const users = await backends.newUsers(10)
    const outcomes = (
      await Promise.all(
        users.map(async (ada, user) => {
          const ends: Array<string> = []
          const room = await ada.room()
          for (let round = 0; round < 5; round++) {
            // One round is certainly early and one certainly late, on any machine; the others race.
            const [early, late] = [user === 0 && round === 0, user === 0 && round === 1]
            const place = await sendQuestion(ada, uniquePrompt(`[[length 200]] [[chunks 10 delay ${early ? 500 : 20}]]`), room)
            const stream = await openStream(round % 2 === 0 ? workerUrl : apiUrl, ada, place)
            // Just before the end: at the ninth of ten pieces, and a little later each round.
            await stream.first(({ text }) => text.length > (early ? 10 : 150))
            if (late) await stream.closed
            else await sleep((user * 5 + round) * 1.5)
            const answer = await cancel(user % 2 === 0 ? workerUrl : apiUrl, ada, place)
            await stream.closed
            const message = (await readMessage(ada, place)).body
            const terminal = stream.events.filter(isTerminal)
            assert.strictEqual(terminal.length, 1)
            assert.deepStrictEqual(terminal[0]?.data, message)
            assert.strictEqual(stream.text(), message.content)
            assert.strictEqual(answer.status, message.status === "cancelled" ? 200 : 409, answer.text)
            if (message.status === "completed") assert.strictEqual(message.content.length, 200)
            ends.push(message.status)
          }
          assert.strictEqual((await readEnded(ada, await sendQuestion(ada, "[[say on]]", room))).content, "on")
          assert.strictEqual(await usedToday(ada), 6)
          return ends
        })
      )
    ).flat()
    assert.strictEqual(outcomes.length, 50)
    assert.sameMembers([...new Set(outcomes)], ["cancelled", "completed"], "both happened")
    assert.deepStrictEqual(await backends.database.query("select 1 from chatrooms where unfinished <> 0"), [])
  })
})
