import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { callsAbout, nobodysId, sleep, times, until, usedToday, type World } from "../chat/World.ts"
import type { Person } from "../support/Client.ts"
import { asked, at, both, endOf, inState, messageAt, people, startTwo, unique } from "../stream/Scenes.ts"
import { isTerminal, openStream, type Place, readAll } from "../stream/SseClient.ts"

const cancel = (base: string, person: Person, { reply, room }: Place) =>
  at(base, person).call("POST", `/chatroom/${room}/message/${reply}/cancel`)

describe("cancelling a reply", () => {
  let world: World
  let elsewhere: string
  let here: string

  beforeAll(async () => {
    world = await startTwo()
    ;[elsewhere, here] = both(world)
  })
  afterAll(() => world.stop())

  const places = () => [
    { where: "the worker's process", base: () => here },
    { where: "another process", base: () => elsewhere }
  ]

  for (const { base, where } of places()) {
    it(`while it is written stops it at once, by ${where}: what was streamed is kept`, async () => {
      const ada = await world.someone()
      const name = unique("Stop this one.")
      const place = await asked(ada, `${name} [[length 2000]] [[chunks 200 delay 40]]`)
      const next = await asked(ada, "[[say the next]]", place.room)
      const streams = await Promise.all([here, elsewhere].map((url) => openStream(url, ada, place)))
      await Promise.all(streams.map((stream) => stream.first(({ text }) => text.length > 100)))
      assert.strictEqual(await usedToday(ada), 2)

      const begun = performance.now()
      const cancelled = await cancel(base(), ada, place)
      const took = performance.now() - begun
      assert.strictEqual(cancelled.status, 200)
      assert.strictEqual(cancelled.body.status, "cancelled")
      assert.strictEqual(cancelled.body.id, place.reply)
      assert.isString(cancelled.body.completedAt)
      await until(() => callsAbout(world, name).every(({ inFlight }) => !inFlight))
      const calls = callsAbout(world, name)
      const stopped = performance.now() - begun
      process.stdout.write(
        `a cancel by ${where} is answered after ${took.toFixed(0)} ms; the call had ended after ${stopped.toFixed(0)}\n`
      )
      // Sooner than its lease would have told the worker, which is renewed every eight seconds.
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
      assert.deepStrictEqual((await messageAt(ada, place)).body, cancelled.body)
      assert.strictEqual((await endOf(ada, next)).content, "the next")
      assert.strictEqual(await usedToday(ada), 2, "what was asked for stays spent")
      const late = await readAll(elsewhere, ada, place)
      assert.strictEqual(late.text(), cancelled.body.content)
      assert.deepStrictEqual(
        late.events.map(({ name }) => name),
        ["delta", "cancelled"]
      )
    })
  }

  it("before its first word: the message is empty", async () => {
    const ada = await world.someone()
    const place = await asked(ada, "[[latency 20000]] [[say late]]")
    await inState(ada, place, "processing")
    const cancelled = await cancel(elsewhere, ada, place)
    assert.strictEqual(cancelled.status, 200)
    assert.strictEqual(cancelled.body.content, "")
    assert.isNull(cancelled.body.error)
  })

  it("whose worker is gone keeps what its attempt had stored, and the next question is answered", async () => {
    const ada = await world.someone()
    const place = await asked(ada, "[[latency 20000]] [[say late]]")
    const next = await asked(ada, "[[say the next]]", place.room)
    await inState(ada, place, "processing")
    // As if another worker had taken it over, and died after some words.
    await world.database.query("update messages set attempt = 2, worker_id = gen_random_uuid() where id = $1", [place.reply])
    await world.database.query(
      `insert into stream_segments (user_id, reply_id, attempt, start_offset, body)
        values ($1, $2, 1, 0, 'Of another attempt.'), ($1, $2, 2, 10, 'a time'), ($1, $2, 2, 0, 'Once upon ')`,
      [ada.userId, place.reply]
    )
    const cancelled = await cancel(elsewhere, ada, place)
    assert.deepInclude(cancelled.body, { status: "cancelled", content: "Once upon a time", attempt: 2, error: null })
    assert.strictEqual((await endOf(ada, next)).content, "the next")
    await until(() => callsAbout(world, "[[say late]]").every(({ inFlight }) => !inFlight))
  })

  it("that waits behind another takes it out, and the others keep their order", async () => {
    const ada = await world.someone()
    const first = await asked(ada, "[[length 300]] [[chunks 30 delay 40]]")
    const [second, third] = [await asked(ada, unique("second"), first.room), await asked(ada, "[[say third]]", first.room)]
    const stream = await openStream(elsewhere, ada, second)
    assert.strictEqual((await cancel(elsewhere, ada, second)).body.status, "cancelled")
    await stream.closed
    assert.deepStrictEqual(
      stream.events.filter(isTerminal).map(({ name }) => name),
      ["cancelled"]
    )
    assert.strictEqual((await endOf(ada, first)).content.length, 300)
    assert.strictEqual((await endOf(ada, third)).content, "third")
    assert.strictEqual(await usedToday(ada), 3)
    const unfinished = await world.database.query("select 1 from chatrooms where id = $1 and unfinished <> 0", [first.room])
    assert.deepStrictEqual(unfinished, [])
  })

  it("that waits for the model ends it now, and its next attempt never comes", async () => {
    const ada = await world.someone()
    const room = await ada.room({ model: "gemini-2.5-flash" })
    const name = unique("Patience.")
    const place = await asked(ada, `${name} [[status 429 retry 3 times 1]]`, room)
    await inState(ada, place, "waiting")
    const cancelled = await cancel(elsewhere, ada, place)
    assert.strictEqual(cancelled.status, 200)
    assert.strictEqual(cancelled.body.status, "cancelled")
    const next = await asked(ada, "[[say after it]]", room)
    assert.strictEqual((await endOf(ada, next)).content, "after it")
    await sleep(1_500)
    assert.strictEqual(callsAbout(world, name).length, 1)
    assert.deepStrictEqual((await messageAt(ada, place)).body, cancelled.body)
  })

  it("between two attempts takes back what the first had streamed", async () => {
    const ada = await world.someone()
    const place = await asked(ada, unique("[[length 400]] [[chunks 20 delay 20]] [[drop 8 times 4]]"))
    const stream = await openStream(elsewhere, ada, place)
    await inState(ada, place, "waiting")
    assert.isAbove(stream.text().length, 0)
    const cancelled = await cancel(elsewhere, ada, place)
    await stream.closed
    assert.strictEqual(stream.text(), cancelled.body.content)
  })

  it("by nobody else: 404, also of what is not there", async () => {
    const [ada, bob] = await people(world, 2)
    assert.isDefined(ada)
    assert.isDefined(bob)
    const place = await asked(ada, "[[length 100]] [[chunks 20 delay 30]]")
    assert.strictEqual((await cancel(here, bob, place)).body.code, "chatroom_not_found")
    assert.strictEqual((await cancel(here, ada, { ...place, reply: nobodysId })).body.code, "message_not_found")
    assert.strictEqual((await cancel(here, ada, { ...place, room: nobodysId })).body.code, "chatroom_not_found")
    assert.strictEqual((await endOf(ada, place)).status, "completed")
  })

  it("that is over is 409 already_finished, and changes nothing: finished, failed, cancelled, a question", async () => {
    const ada = await world.someone()
    const done = await asked(ada, "[[say done]]")
    const failed = await asked(ada, "[[finish SAFETY 0]]")
    const cancelled = await asked(ada, "[[latency 20000]]")
    await Promise.all([endOf(ada, done), endOf(ada, failed)])
    assert.strictEqual((await cancel(here, ada, cancelled)).status, 200)
    const question = (await messageAt(ada, done)).body.replyTo
    for (const place of [done, failed, cancelled, { ...done, reply: question }]) {
      const before = (await messageAt(ada, place)).body
      const again = await cancel(elsewhere, ada, place)
      assert.strictEqual(again.status, 409)
      assert.strictEqual(again.body.code, "already_finished")
      assert.deepStrictEqual((await messageAt(ada, place)).body, before)
    }
  })

  it("by several at once ends it once", async () => {
    const ada = await world.someone()
    const place = await asked(ada, "[[length 2000]] [[chunks 200 delay 40]]")
    const stream = await openStream(elsewhere, ada, place)
    await stream.first(({ name }) => name === "delta")
    const all = await Promise.all(times(6, (index) => cancel(index % 2 === 0 ? here : elsewhere, ada, place)))
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
    assert.strictEqual(stream.text(), (await messageAt(ada, place)).body.content)
  })

  it("at the moment it is completed ends it once, one way or the other, fifty times", { timeout: 60_000 }, async () => {
    const users = await people(world, 10)
    const outcomes = (
      await Promise.all(
        users.map(async (ada, user) => {
          const ends: Array<string> = []
          const room = await ada.room()
          for (let round = 0; round < 5; round++) {
            // One is surely early and one surely late, whatever the machine is at; the others race.
            const [early, late] = [user === 0 && round === 0, user === 0 && round === 1]
            const place = await asked(ada, unique(`[[length 200]] [[chunks 10 delay ${early ? 500 : 20}]]`), room)
            const stream = await openStream(round % 2 === 0 ? here : elsewhere, ada, place)
            // In the last moments: at the ninth of ten pieces, and a little later each time.
            await stream.first(({ text }) => text.length > (early ? 10 : 150))
            if (late) await stream.closed
            else await sleep((user * 5 + round) * 1.5)
            const answer = await cancel(user % 2 === 0 ? here : elsewhere, ada, place)
            await stream.closed
            const message = (await messageAt(ada, place)).body
            const terminal = stream.events.filter(isTerminal)
            assert.strictEqual(terminal.length, 1)
            assert.deepStrictEqual(terminal[0]?.data, message)
            assert.strictEqual(stream.text(), message.content)
            assert.strictEqual(answer.status, message.status === "cancelled" ? 200 : 409, answer.text)
            if (message.status === "completed") assert.strictEqual(message.content.length, 200)
            ends.push(message.status)
          }
          assert.strictEqual((await endOf(ada, await asked(ada, "[[say on]]", room))).content, "on")
          assert.strictEqual(await usedToday(ada), 6)
          return ends
        })
      )
    ).flat()
    assert.strictEqual(outcomes.length, 50)
    assert.sameMembers([...new Set(outcomes)], ["cancelled", "completed"], "both happened")
    assert.deepStrictEqual(await world.database.query("select 1 from chatrooms where unfinished <> 0"), [])
  })
})
