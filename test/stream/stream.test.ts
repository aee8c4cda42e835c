import { setTimeout as sleep } from "node:timers/promises"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { peopleAt } from "../auth/People.ts"
import { type Person, personAt, type Reply } from "../support/Client.ts"
import { isTerminal, openStream, placeOf, readAll, type SseEvent, type SseStream, terminals } from "./SseClient.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"
import { isPresent, isoTime, unknownId } from "../support/responses.ts"
import { bothUrls, startTwoBackends, type TestBackends } from "../support/TestBackends.ts"
import { sendQuestion, readEnded, readMessage, uniquePrompt } from "../support/messages.ts"
import { inParallel } from "../support/inParallel.ts"
import { spread } from "../support/measure.ts"

const names = (events: ReadonlyArray<SseEvent>) => events.map(({ name }) => name)
/** The names, without repetitions of the one before. */
const shape = (events: ReadonlyArray<SseEvent>) => names(events).filter((name, index, all) => name !== all[index - 1])
const statusesOf = (events: ReadonlyArray<SseEvent>) => events.filter(({ name }) => name === "status").map(({ data }) => data)
const last = ({ events }: SseStream) => events.at(-1)

describe("the stream of a reply", () => {
  let backends: TestBackends
  /** Has no worker, so the other process makes every reply. */
  let apiOnly: string
  /** Has the worker. */
  let withWorker: string

  beforeAll(async () => {
    backends = await startTwoBackends()
    ;[apiOnly, withWorker] = bothUrls(backends)
  })
  afterAll(() => backends.stop())

  it("sends the status, the text, the tokens, and the end with the message", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[length 300]] [[chunks 15 delay 30]]")
    for (const base of [withWorker, apiOnly]) {
      const stream = await readAll(base, ada, place)
      assert.strictEqual(stream.status, 200)
      assert.strictEqual(await stream.closed, "end")
      const message = await readEnded(ada, place)
      assert.strictEqual(stream.text(), message.content)
      assert.strictEqual(message.content.length, 300)
      assert.deepStrictEqual(names(stream.events).slice(-2), ["usage", "completed"])
      assert.deepStrictEqual(last(stream)?.data, message)
      assert.deepStrictEqual(stream.events.at(-2)?.data, message.usage)
      assert.strictEqual(names(stream.events).filter((name) => terminals.includes(name)).length, 1)
      assert.strictEqual(last(stream)?.id, `1:${message.content.length}`)
    }
  })

  describe("of a session that ends", () => {
    const logOut = (scope: string) => (person: Person) => person.call("POST", "/auth/logout", { scope })
    const ends: ReadonlyArray<readonly [string, (person: Person) => Promise<Reply>]> = [
      ["logout", logOut("local")],
      ["logout of all sessions", logOut("global")],
      ["deletion of the account", (person) => person.call("DELETE", "/user/me")]
    ]
    it.each(ends)("ends, and so does a wait, after the %s", async (_, end) => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[length 400]] [[chunks 400 delay 50]]")
      const streams = await Promise.all([apiOnly, withWorker].map((base) => openStream(base, ada, place)))
      let waited = 0
      const wait = readMessage(personAt(apiOnly, ada), place, "?wait=15").finally(() => (waited = performance.now()))
      await until("text", async () => streams.every(({ events }) => events.some(({ name }) => name === "delta")))
      const began = performance.now()
      assert.strictEqual((await end(ada)).status, 204)
      for (const stream of streams) assert.strictEqual(await stream.closed, "end")
      assert.isBelow(performance.now() - began, 4_000)
      await wait
      assert.isBelow(waited - began, 4_000)
      for (const stream of streams) assert.notInclude(terminals, last(stream)?.name)
      assert.strictEqual((await readAll(apiOnly, ada, place)).status, 401)
    })

    it("ends with the others of its user, and the stream of the remaining session goes on", async () => {
      const ada = await backends.newUser()
      const other = await peopleAt(apiOnly, backends.database).enter(ada.mobile)
      const place = await sendQuestion(ada, "[[length 200]] [[chunks 100 delay 50]]")
      const [own, ended] = [await openStream(apiOnly, ada, place), await openStream(apiOnly, other, place)]
      assert.strictEqual((await logOut("others")(ada)).status, 204)
      assert.strictEqual(await ended.closed, "end")
      assert.notInclude(terminals, last(ended)?.name)
      assert.strictEqual(await own.closed, "end")
      assert.strictEqual(last(own)?.name, "completed")
    })
  })

  it("sends events in the order of the contract, with headers against buffering", async () => {
    const ada = await backends.newUser()
    const stream = await readAll(apiOnly, ada, await sendQuestion(ada, "[[length 300]] [[chunks 15 delay 30]]"))
    assert.deepStrictEqual(shape(stream.events), ["status", "delta", "usage", "completed"])
    assert.deepStrictEqual(statusesOf(stream.events).at(-1), { status: "processing", attempt: 1 })
    assert.strictEqual(stream.headers["content-type"], "text/event-stream")
    assert.match(String(stream.headers["cache-control"]), /no-cache/)
    assert.strictEqual(stream.headers["x-accel-buffering"], "no")
    assert.isString(stream.headers["x-request-id"])
    assert.deepStrictEqual(stream.parser.strange, [])
    assert.isAbove(stream.parser.retries[0] ?? 0, 0)
  })

  it("keeps every character, including astral ones and those of the event format", async () => {
    const ada = await backends.newUser()
    const odd = 'a\nb\r\nc\rd\u2028e\u0085f\tg "h" \\n 👩‍👩‍👧‍👦 é e\u0301 \u{10ffff} data: x\n\nevent: completed\n\n: ping'
    for (const content of [`[[say ${odd}]] [[chunks 40 delay 5]]`, "[[unicode]] [[length 1500]] [[chunks 300 delay 2]]"]) {
      const place = await sendQuestion(ada, content)
      for (const base of [apiOnly, withWorker]) {
        const stream = await readAll(base, ada, place)
        assert.strictEqual(stream.text(), (await readEnded(ada, place)).content)
        assert.strictEqual(last(stream)?.name, "completed")
      }
    }
    const say = await readEnded(ada, await sendQuestion(ada, `[[say ${odd}]]`))
    assert.strictEqual(say.content, odd)
  })

  it("sends the same to two clients, of one process or of two", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[length 800]] [[chunks 30 delay 20]] [[unicode]]")
    const streams = await Promise.all([withWorker, withWorker, apiOnly, apiOnly].map((base) => readAll(base, ada, place)))
    const { content } = await readEnded(ada, place)
    for (const stream of streams) {
      assert.strictEqual(stream.text(), content)
      assert.deepStrictEqual(last(stream)?.data, last(streams[0] ?? stream)?.data)
    }
  })

  it("reaches clients of another process while the reply is written, also one that joins in the middle", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[length 1200]] [[chunks 60 delay 50]]")
    const [near, far] = await Promise.all([openStream(withWorker, ada, place), openStream(apiOnly, ada, place)])
    await near.first(({ text }) => text.length > 500)
    const joined = await openStream(apiOnly, ada, place)
    const joinedAt = performance.now()
    const caughtUp = await joined.first(({ text }) => text.length > 500)
    const delay = (caughtUp?.at ?? Infinity) - joinedAt
    await Promise.all([near.closed, far.closed, joined.closed])

    const { content } = await readEnded(ada, place)
    for (const stream of [near, far, joined]) assert.strictEqual(stream.text(), content)
    const deltas = far.events.filter(({ name }) => name === "delta")
    assert.isAbove(deltas.length, 30)
    const took = (deltas.at(-1)?.at ?? 0) - (deltas[0]?.at ?? 0)
    assert.isAbove(took, 2_000)
    // For each length of text, how much later the other process had it: the cost of the way through the database.
    const lags = near.events
      .filter(({ name }) => name === "delta")
      .map(({ at: personAt, text }) => (far.events.find((event) => event.text.length >= text.length)?.at ?? Infinity) - personAt)
    process.stdout.write(
      `a delta reaches another process after ${spread(lags)}; a client that joins in the middle has the text after ${delay.toFixed(0)} ms\n`
    )
    assert.isBelow(lags.toSorted((a, b) => a - b)[Math.floor(lags.length / 2)] ?? Infinity, 450)
    assert.isBelow(delay, 1_500)
  })

  it("does not cancel the reply when all clients disconnect", async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[length 300]] [[chunks 20 delay 30]]")
    const streams = await Promise.all([withWorker, apiOnly].map((base) => openStream(base, ada, place)))
    await Promise.all(streams.map((stream) => stream.first(({ name }) => name === "delta")))
    for (const stream of streams) stream.leave()
    const message = await readEnded(ada, place)
    assert.strictEqual(message.status, "completed")
    assert.strictEqual(message.content.length, 300)
  })

  describe("when the reply is finished", () => {
    it("sends the text in one delta, the tokens and the end", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[length 500]]")
      const message = await readEnded(ada, place)
      for (const base of [apiOnly, withWorker]) {
        const stream = await readAll(base, ada, place)
        assert.deepStrictEqual(names(stream.events), ["delta", "usage", "completed"])
        assert.strictEqual(stream.text(), message.content)
        assert.deepStrictEqual(last(stream)?.data, message)
      }
    })

    it("resumes on any process at each of 2,000 characters with the identical text", { timeout: 60_000 }, async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[length 2000]] [[unicode]]")
      const { content } = await readEnded(ada, place)
      const offsets = times(content.length, (index) => index)
      assert.isAtLeast(offsets.length, 1_999)
      await inParallel(8, offsets, async (offset) => {
        // Four at a time on each process; a sixth would be refused.
        const base = offset % 2 === 0 ? withWorker : apiOnly
        const id = `1:${offset}`
        const from = offset % 3 === 0 ? { after: id } : { lastEventId: id }
        const stream = await until(`a stream from ${offset}`, async () => {
          const opened = await readAll(base, ada, place, { ...from, having: content.slice(0, offset) })
          return opened.status === 429 ? undefined : opened
        })
        if (stream.text() !== content || !isPresent(last(stream)) || last(stream)?.name !== "completed") {
          assert.fail(`from ${offset}: ${stream.status} ${JSON.stringify(stream.events)}`)
        }
      })
    })

    it("answers 204 when the client has all of it, and only then", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[length 50]]")
      await readEnded(ada, place)
      for (const base of [withWorker, apiOnly]) {
        assert.strictEqual((await readAll(base, ada, place, { after: "1:50" })).status, 204)
        assert.strictEqual((await readAll(base, ada, place, { lastEventId: "1:50" })).status, 204)
        assert.strictEqual((await readAll(base, ada, place, { after: "1:49" })).status, 200)
        // A client that claims to have more text than there is has another text, and gets the right one.
        const wrong = await readAll(base, ada, place, { after: "1:51", having: "x".repeat(51) })
        assert.strictEqual(wrong.text(), (await readEnded(ada, place)).content)
      }
    })

    it("prefers the header over the query, because a browser reconnects with its old URL", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[length 50]]")
      await readEnded(ada, place)
      assert.strictEqual((await readAll(withWorker, ada, place, { after: "1:10", lastEventId: "1:50" })).status, 204)
    })
  })

  it(
    "resumes while the reply is written, on another process, at any of 100 positions with the identical text",
    { timeout: 60_000 },
    async () => {
      const readers = await backends.newUsers(20)
      const done = await Promise.all(
        readers.map(async (ada, user) => {
          const place = await sendQuestion(ada, "[[length 2000]] [[unicode]] [[chunks 80 delay 40]]")
          const main = await openStream(withWorker, ada, place)
          const cuts: Array<{ offset: number; unfinished: boolean; stream: Promise<SseStream> }> = []
          for (let cut = 0; cut < 5; cut++) {
            // At any character that was read, not only at the end of an event.
            const offset = cut * 380 + user * 13
            const seen = await main.first(({ text }) => text.length >= offset && text.length > 0)
            const having = (seen?.text ?? "").slice(0, offset)
            const base = cut % 2 === 0 ? apiOnly : withWorker
            const id = `1:${offset}`
            const stream = readAll(base, ada, place, { ...(cut % 3 === 0 ? { after: id } : { lastEventId: id }), having })
            cuts.push({ offset, unfinished: !main.events.some(isTerminal), stream })
            // At most five streams of one user on each process, the first one included.
            if (cut >= 2) await main.first(({ text }) => text.length >= offset + 100)
          }
          await main.closed
          const { content } = await readEnded(ada, place)
          assert.strictEqual(main.text(), content)
          for (const { offset, stream } of cuts) {
            const resumed = await stream
            assert.strictEqual(resumed.status, 200)
            assert.strictEqual(resumed.text(), content, `from ${offset}`)
            assert.notInclude(names(resumed.events), "replace")
            assert.strictEqual(last(resumed)?.name, "completed")
          }
          return cuts.filter(({ unfinished }) => unfinished).length
        })
      )
      assert.strictEqual(
        done.reduce((sum, count) => sum + count, 0),
        100
      )
    }
  )

  describe("when things go wrong", () => {
    it("shows that a reply waits for a rate-limited model", async () => {
      const ada = await backends.newUser()
      const room = await ada.room({ model: "gemini-2.5-flash" })
      const first = await ada.ask(room, "[[length 200]] [[chunks 10 delay 30]]")
      const before = Date.now()
      // Behind another reply, so that it is seen queued.
      const place = await sendQuestion(
        ada,
        "[[latency 500]] [[status 429 retry 2 times 1]] [[length 200]] [[chunks 10 delay 30]]",
        room
      )
      const streams = await Promise.all([withWorker, apiOnly].map((base) => readAll(base, ada, place)))
      await readEnded(ada, placeOf(first))
      for (const stream of streams) {
        const statuses = statusesOf(stream.events)
        assert.deepStrictEqual(
          statuses.map(({ status }) => status),
          ["queued", "processing", "waiting", "processing"]
        )
        const [, , waiting, again] = statuses
        assert.match(waiting.retryAt, isoTime)
        assert.isAbove(Date.parse(waiting.retryAt), before + 2_000)
        assert.isBelow(Date.parse(waiting.retryAt), before + 20_000)
        assert.isAbove(again.attempt, waiting.attempt)
        assert.isUndefined(again.retryAt)
        assert.strictEqual(last(stream)?.name, "completed")
        assert.strictEqual(stream.text().length, 200)
      }
    })

    it("starts over with replace when an attempt breaks in the middle", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, uniquePrompt("[[length 400]] [[chunks 20 delay 40]] [[drop 8 times 1]]"))
      const [near, far] = await Promise.all([readAll(withWorker, ada, place), readAll(apiOnly, ada, place)])
      const message = await readEnded(ada, place)
      assert.strictEqual(message.status, "completed")
      assert.isAbove(message.attempt, 1)
      for (const stream of [near, far]) {
        assert.strictEqual(stream.text(), message.content)
        assert.strictEqual(names(stream.events).filter((name) => name === "replace").length, 1)
        assert.deepStrictEqual(
          statusesOf(stream.events)
            .map(({ status }) => status)
            .filter((status) => status !== "queued"),
          ["processing", "waiting", "processing"]
        )
        const replaced = stream.events.findIndex(({ name }) => name === "replace")
        assert.isTrue(stream.events[replaced]?.id?.startsWith(`${message.attempt}:`))
        assert.isTrue(names(stream.events.slice(replaced)).includes("delta"), "and goes on as it is written")
      }
    })

    it("resumes a client of the broken attempt, on either process", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, uniquePrompt("[[length 400]] [[chunks 20 delay 40]] [[drop 8 times 1]]"))
      const stream = await openStream(apiOnly, ada, place)
      const delta = await stream.first(({ text }) => text.length > 60)
      stream.leave()
      assert.isDefined(delta)
      const resumed = await Promise.all(
        [withWorker, apiOnly].map((base) => readAll(base, ada, place, { lastEventId: delta.id ?? "", having: delta.text }))
      )
      const { content } = await readEnded(ada, place)
      for (const { parser } of resumed) assert.strictEqual(parser.text, content)
      // Also after the end: the text that the client has is of another attempt.
      const late = await readAll(withWorker, ada, place, { lastEventId: delta.id ?? "", having: delta.text })
      assert.deepStrictEqual(names(late.events), ["replace", "usage", "completed"])
      assert.strictEqual(late.text(), content)
    })

    it("serves a client that joins in a second attempt that began at once after the first", { timeout: 60_000 }, async () => {
      const ada = await backends.newUser()
      // The first attempt's segments are deleted while the second is written.
      const places = await Promise.all(
        times(4, () => sendQuestion(ada, uniquePrompt("[[length 3000]] [[chunks 60 delay 100]] [[drop 3 times 1]]")))
      )
      await Promise.all(
        places.map((place) => until("the second attempt", async () => (await readMessage(ada, place)).body.attempt === 2))
      )
      await sleep(3_000)
      const running = await backends.database.query<{ body: string }>(
        "select string_agg(body, '' order by start_offset) as body from stream_segments where attempt = 2 group by reply_id"
      )
      assert.strictEqual(running.length, 4)
      const joined = await Promise.all(places.map((place) => openStream(apiOnly, ada, place)))
      const behind = await Promise.all(joined.map((stream) => stream.first(({ name }) => name === "delta" || name === "replace")))
      const contents = await Promise.all(places.map(async (place) => (await readEnded(ada, place)).content))
      for (const [index, content] of contents.entries()) {
        assert.isDefined(behind[index])
        assert.isBelow(behind[index].text.length, content.length)
        await joined[index]?.closed
        assert.strictEqual(joined[index]?.text(), content)
      }
      // The stored part is what the text began with.
      for (const { body } of running) assert.isTrue(contents.some((content) => content.startsWith(body)))
    })

    it("ends a failed reply with failed and the message", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[status 400]]")
      const stream = await readAll(apiOnly, ada, place)
      assert.strictEqual(last(stream)?.name, "failed")
      assert.strictEqual(last(stream)?.data.status, "failed")
      assert.strictEqual(last(stream)?.data.error.code, "model_misconfigured")
      assert.deepStrictEqual(last(stream)?.data, await readEnded(ada, place))
      assert.strictEqual(stream.text(), "")
    })

    it("replaces the streamed text of a reply that is blocked in the middle", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[finish SAFETY 12]] [[length 400]] [[chunks 20 delay 40]]")
      const [near, far, left] = await Promise.all([
        openStream(withWorker, ada, place),
        openStream(apiOnly, ada, place),
        openStream(withWorker, ada, place)
      ])
      const seen = await left.first(({ text }) => text.length > 20)
      left.leave()
      await Promise.all([near.closed, far.closed])
      const message = await readEnded(ada, place)
      assert.strictEqual(message.error.code, "blocked")
      for (const stream of [near, far]) {
        assert.isAbove(Math.max(...stream.events.map(({ text }) => text.length)), 20)
        assert.strictEqual(stream.text(), message.content)
        assert.strictEqual(message.content, "")
        assert.deepStrictEqual(last(stream)?.data, message)
        assert.include(names(stream.events), "replace")
      }
      // A client that reconnects with text that was taken back is corrected.
      const back = await readAll(apiOnly, ada, place, { lastEventId: seen?.id ?? "", having: seen?.text ?? "" })
      assert.strictEqual(back.status, 200)
      assert.strictEqual(back.text(), "")
      assert.strictEqual(last(back)?.name, "failed")
    })

    it("ends as cancelled when the room is deleted", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[length 2000]] [[chunks 100 delay 50]]")
      const streams = await Promise.all([withWorker, apiOnly].map((base) => openStream(base, ada, place)))
      await Promise.all(streams.map((stream) => stream.first(({ name }) => name === "delta")))
      const begun = performance.now()
      assert.strictEqual((await ada.call("DELETE", `/chatroom/${place.room}`)).status, 204)
      for (const stream of streams) assert.strictEqual(await stream.closed, "end")
      assert.isBelow(performance.now() - begun, 4_000)
      for (const stream of streams) {
        const terminal = stream.events.filter(isTerminal)
        assert.deepStrictEqual(
          terminal.map(({ name }) => name),
          ["cancelled"]
        )
        const message = terminal[0]?.data
        assert.deepStrictEqual([message.id, message.status, message.content], [place.reply, "cancelled", stream.text()])
        assert.match(message.completedAt, isoTime)
        assert.isAbove(stream.text().length, 0)
      }
      assert.strictEqual((await readAll(withWorker, ada, place)).problem.code, "chatroom_not_found")
    })
  })

  describe("is refused", () => {
    it("with 400 at a malformed position", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[say x]]")
      for (const wrong of ["x", "1", "1:", "1:-1", "1:2:3", "1.5:1", "1:99999999999"]) {
        const byQuery = await readAll(withWorker, ada, place, { after: wrong })
        assert.strictEqual(byQuery.status, 400, wrong)
        assert.strictEqual(byQuery.problem.errors[0].path, "query.after")
        const byHeader = await readAll(withWorker, ada, place, { lastEventId: wrong })
        assert.strictEqual(byHeader.status, 400, wrong)
        assert.strictEqual(byHeader.problem.errors[0].path, "headers.last-event-id")
      }
    })

    it("with 404 for another user's message, an unknown one, one of another room", async () => {
      const [ada, bob] = await backends.newUsers(2)
      assert.isDefined(ada)
      assert.isDefined(bob)
      const place = await sendQuestion(ada, "[[say x]]")
      const other = await sendQuestion(ada, "[[say y]]")
      const cases: Array<[typeof ada, typeof place, string]> = [
        [bob, place, "chatroom_not_found"],
        [ada, { room: place.room, reply: unknownId }, "message_not_found"],
        [ada, { room: unknownId, reply: place.reply }, "chatroom_not_found"],
        [ada, { room: place.room, reply: other.reply }, "message_not_found"]
      ]
      for (const [person, where, code] of cases) {
        const stream = await readAll(apiOnly, person, where)
        assert.strictEqual(stream.status, 404)
        assert.strictEqual(stream.problem.code, code)
        assert.strictEqual(stream.headers["content-type"], "application/problem+json")
      }
    })

    it("with 401 without a valid token", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[say x]]")
      const stream = await readAll(withWorker, personAt(withWorker, { ...ada, token: "nonsense" }), place)
      assert.strictEqual(stream.status, 401)
      assert.strictEqual(stream.problem.code, "token_invalid")
    })

    it("with 429 to a user with five open streams, until one closes; other users are served", async () => {
      const [ada, bob] = await backends.newUsers(2)
      assert.isDefined(ada)
      assert.isDefined(bob)
      const place = await sendQuestion(ada, "[[length 400]] [[chunks 200 delay 50]]")
      const his = await sendQuestion(bob, "[[length 400]] [[chunks 200 delay 50]]")
      const open = await Promise.all(times(5, () => openStream(apiOnly, ada, place)))
      for (const stream of open) assert.strictEqual(stream.status, 200)
      const sixth = await readAll(apiOnly, ada, place)
      assert.strictEqual(sixth.status, 429)
      assert.strictEqual(sixth.problem.code, "too_many_streams")
      assert.match(String(sixth.headers["retry-after"]), /^\d+$/)
      const bobs = await openStream(apiOnly, bob, his)
      assert.strictEqual(bobs.status, 200)
      open[2]?.leave()
      const again = await until(
        "a free place for a stream",
        async () => {
          const stream = await openStream(apiOnly, ada, place)
          return stream.status === 200 ? stream : undefined
        },
        { seconds: 2 }
      )
      for (const stream of [...open, again, bobs]) stream.leave()
      await Promise.all([
        personAt(withWorker, ada).call("DELETE", `/chatroom/${place.room}`),
        personAt(withWorker, bob).call("DELETE", `/chatroom/${his.room}`)
      ])
    })

    it("without taking a slot: neither 404, 204 nor HEAD counts as an open stream", async () => {
      const ada = await backends.newUser()
      const place = await sendQuestion(ada, "[[say x]]")
      await readEnded(ada, place)
      for (let round = 0; round < 8; round++) {
        assert.strictEqual((await readAll(withWorker, ada, place, { after: "1:1" })).status, 204)
        assert.strictEqual((await readAll(withWorker, ada, { ...place, reply: unknownId })).status, 404)
        assert.strictEqual(
          (await personAt(withWorker, ada).call("HEAD", `/chatroom/${place.room}/message/${place.reply}/stream`)).status,
          200
        )
      }
      assert.strictEqual((await readAll(withWorker, ada, place)).status, 200)
    })
  })

  it("delays no other client when one is slow, and sends the slow one everything in the end", { timeout: 60_000 }, async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[length 1000000]] [[chunks 400 delay 2]]")
    const slow = await Promise.all(times(4, (index) => openStream(index % 2 === 0 ? withWorker : apiOnly, ada, place)))
    for (const stream of slow) stream.pause()
    const begun = performance.now()
    const fast = await readAll(apiOnly, ada, place)
    const took = performance.now() - begun
    const { content } = await readEnded(ada, place)
    assert.strictEqual(content.length, 1_000_000)
    assert.isTrue(fast.text() === content, "the fast client has it all")
    assert.isBelow(took, 30_000)
    // Long after the end, and after the rechecks of a silent reply.
    await sleep(8_000)
    for (const stream of slow) stream.resume()
    for (const stream of slow) {
      assert.strictEqual(await stream.closed, "end")
      assert.isTrue(stream.text() === content, "the slow client has it all")
      assert.deepStrictEqual(names(stream.events).slice(-2), ["usage", "completed"])
    }
  })

  it("sends a comment when nothing happens for fifteen seconds", { timeout: 40_000 }, async () => {
    const ada = await backends.newUser()
    const place = await sendQuestion(ada, "[[latency 16500]] [[say late]]")
    const streams = await Promise.all([withWorker, apiOnly].map((base) => openStream(base, ada, place)))
    await Promise.all(streams.map((stream) => stream.closed))
    for (const stream of streams) {
      assert.deepStrictEqual(stream.parser.comments, ["ping"])
      assert.strictEqual(stream.text(), "late")
      assert.strictEqual(last(stream)?.name, "completed")
    }
  })
})
