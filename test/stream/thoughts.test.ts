import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Person, personAt } from "../support/Client.ts"
import { readEnded, sendQuestion } from "../support/messages.ts"
import { newUser } from "../support/Users.ts"
import { isTerminal, openStream, type Place, readAll, type SseEvent } from "./SseClient.ts"
import { makeStreamProcesses, type StreamProcess, type StreamProcesses } from "./StreamProcesses.ts"

describe("thoughts in the stream of a reply", () => {
  let processes: StreamProcesses
  let database: StreamProcesses["database"]
  let api: StreamProcess
  let worker: StreamProcess

  beforeAll(async () => {
    processes = await makeStreamProcesses()
    const { start } = processes
    database = processes.database
    ;[api, worker] = await Promise.all([start("api"), start("worker")])
  })
  afterAll(() => processes.stop())

  const ask = async (ada: Person, words: string): Promise<Place> =>
    sendQuestion(ada, words, await ada.room({ thinking: { summaries: true } }))
  const thoughtsOf = (events: ReadonlyArray<SseEvent>) => events.filter(({ name }) => name === "thought")
  /** The thoughts of a client that takes each at its offset. */
  const put = (events: ReadonlyArray<SseEvent>, before = "") =>
    thoughtsOf(events).reduce((text, { data }) => text.slice(0, data.offset) + data.text, before)

  it("arrive piece by piece, without an id, from a worker in another process, and end equal to the message", async () => {
    const ada = await newUser(api.url, database)
    const place = await ask(ada, "[[thoughts 10]] [[chunks 10 delay 60]] [[length 300]]")
    const stream = await readAll(api.url, ada, place)
    const message = await readEnded(ada, place)
    const thoughts = thoughtsOf(stream.events)
    assert.isAbove(thoughts.length, 4)
    assert.isTrue(thoughts.every(({ id }) => id === undefined))
    assert.deepStrictEqual([put(stream.events), stream.text()], [message.thoughts, message.content])
    assert.match(message.thoughts, /^\(1 of 10\) .*\(10 of 10\) /)
    assert.deepStrictEqual(stream.parser.strange, [])
    // Some come between pieces of the text.
    const names = stream.events.map(({ name }) => name)
    assert.isAbove(names.lastIndexOf("thought"), names.indexOf("delta"))
    assert.strictEqual(stream.events.at(-1)?.data.thoughts, message.thoughts)
    // A client that comes after the end gets them as one event.
    const late = await readAll(api.url, ada, place)
    assert.deepStrictEqual(
      thoughtsOf(late.events).map(({ data }) => data),
      [{ text: message.thoughts, offset: 0 }]
    )
  })

  it("are whole for a client that leaves at every event", { timeout: 60_000 }, async () => {
    const ada = await newUser(api.url, database)
    const place = await ask(ada, "[[thoughts 12]] [[chunks 12 delay 250]] [[length 400]]")
    let [text, thoughts, connections] = ["", "", 0]
    let lastEventId: string | undefined
    while (true) {
      const stream = await openStream(api.url, ada, place, {
        having: text,
        ...(lastEventId === undefined ? {} : { lastEventId })
      })
      if (stream.status === 204) break
      connections++
      const before = { text, thoughts }
      // The first event that brings something new, or the end.
      const last = await stream.first(
        (event) =>
          isTerminal(event) || event.text !== before.text || (event.name === "thought" && event.data.text !== before.thoughts)
      )
      const seen = last === undefined ? stream.events : stream.events.slice(0, stream.events.indexOf(last) + 1)
      const [first] = thoughtsOf(seen)
      // What the client has of them comes again, as one event.
      if (first !== undefined) assert.deepStrictEqual([first.data.offset, first.data.text.startsWith(thoughts)], [0, true])
      stream.leave()
      thoughts = put(seen, thoughts)
      text = seen.at(-1)?.text ?? text
      lastEventId = seen.findLast(({ id }) => id !== undefined)?.id ?? lastEventId
      if (last !== undefined && isTerminal(last)) break
    }
    const message = await readEnded(ada, place)
    assert.isAbove(connections, 4)
    assert.deepStrictEqual([text, thoughts], [message.content, message.thoughts])
  })

  it("are void and then whole after their worker is killed in the middle of them", { timeout: 90_000 }, async () => {
    const ada = await newUser(api.url, database)
    const place = await ask(ada, "[[thoughts 40]] [[chunks 10 delay 100]] [[length 300]]")
    const stream = await openStream(api.url, ada, place)
    await stream.first(({ data, name }) => name === "thought" && data.text.includes("(10 of 40)"))
    await worker.kill("SIGKILL")
    const before = put(stream.events)
    assert.isAbove(before.length, 0)
    // A client that comes while no worker is there gets what is known, as one event.
    const other = await openStream(api.url, ada, place)
    const known = await other.first(({ name }) => name === "thought")
    assert.deepStrictEqual([known?.data.offset, before.startsWith(known?.data.text.slice(0, 100))], [0, true])
    other.leave()

    worker = await processes.start("worker")
    await stream.closed
    const message = await readEnded(ada, place)
    assert.deepStrictEqual([message.status, message.attempt], ["completed", 2])
    const thoughts = thoughtsOf(stream.events)
    const voids = thoughts.filter(({ data }) => data.text === "" && data.offset === 0)
    assert.lengthOf(voids, 1)
    const after = stream.events.slice(stream.events.findIndex((event) => event === voids[0]))
    assert.deepStrictEqual([put(after), put(stream.events), stream.text()], [message.thoughts, message.thoughts, message.content])
    assert.match(message.thoughts, /^\(1 of 40\) .*\(40 of 40\) /)
    assert.strictEqual((await personAt(api.url, ada).call("GET", `/chatroom/${place.room}/messages`)).body.data.length, 2)
  })

  it("are void before the text is replaced", { timeout: 60_000 }, async () => {
    const ada = await newUser(api.url, database)
    const place = await ask(ada, "[[thoughts 4]] [[chunks 6 delay 50]] [[length 300]] [[cut 5 times 1]]")
    const stream = await readAll(api.url, ada, place)
    const names = stream.events.map(({ name }) => name)
    const replaced = names.indexOf("replace")
    assert.isAbove(replaced, 0)
    const voided = stream.events.findIndex(({ data, name }) => name === "thought" && data.text === "" && data.offset === 0)
    assert.isTrue(voided > 0 && voided < replaced)
    const message = await readEnded(ada, place)
    assert.deepStrictEqual([put(stream.events), stream.text()], [message.thoughts, message.content])
  })

  it("stay with a reply that is cancelled, with and without a worker", { timeout: 60_000 }, async () => {
    const ada = await newUser(api.url, database)
    const cancel = async (words: string, meanwhile: () => Promise<unknown>) => {
      const place = await ask(ada, words)
      const stream = await openStream(api.url, ada, place)
      await stream.first(({ name, text }) => name === "delta" && text.length > 100)
      await meanwhile()
      const { body } = await ada.call("POST", `/chatroom/${place.room}/message/${place.reply}/cancel`)
      await stream.closed
      assert.deepStrictEqual([body.status, put(stream.events), stream.text()], ["cancelled", body.thoughts, body.content])
      assert.include(body.thoughts, "(1 of 60)")
    }
    const words = "[[thoughts 60]] [[chunks 60 delay 60]] [[length 2000]]"
    await cancel(words, async () => {})
    await cancel(words, () => worker.kill("SIGKILL"))
  })
})
