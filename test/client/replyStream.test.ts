import { assert, describe, it } from "vitest"
import { applyEvent, Problem, type ReplyEvent, ReplyStream, type StreamOptions } from "../../client/src/index.ts"
import { exampleReply } from "../../src/api/chat/Message.ts"
import { event } from "../../src/api/chat/StreamEvents.ts"

const reply = JSON.parse(JSON.stringify(exampleReply))
const whole = exampleReply.content
const delta = (from: number, to: number) => event("delta", { text: whole.slice(from, to) }, `1:${to}`)
const end = event("completed", reply, `1:${whole.length}`)

/** A connection that sends this text, in pieces that cut events apart, and then breaks, ends or stays silent. */
const connection = (text: string, then: "break" | "end" | "silence" = "end"): Response => {
  const bytes = new TextEncoder().encode(text)
  let at = 0
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (at < bytes.length) controller.enqueue(bytes.slice(at, (at += 7)))
      else if (then === "break") controller.error(new TypeError("terminated"))
      else if (then === "end") controller.close()
      else return new Promise(() => {})
      return undefined
    }
  })
  return new Response(body)
}

/** A stream over these connections, one after the other, and the positions from which each was opened. */
const streamOver = (connections: ReadonlyArray<() => Response>, options: StreamOptions = {}) => {
  const opened: Array<string | undefined> = []
  const open = async (position: string | undefined) => {
    const next = connections[opened.push(position) - 1]
    return next === undefined ? assert.fail("no further connection was expected") : next()
  }
  return { stream: new ReplyStream({ open, read: async () => reply }, options), opened }
}

const read = async (stream: ReplyStream): Promise<ReadonlyArray<ReplyEvent>> => {
  const events: Array<ReplyEvent> = []
  for await (const event of stream) events.push(event)
  return events
}

const textOf = (events: ReadonlyArray<ReplyEvent>): string =>
  events.reduce((text, each) => (each.type === "delta" ? text + each.text : each.type === "replace" ? each.text : text), "")

const quick = "retry: 1\n\n"

describe("a stream", () => {
  it.each(["break", "end"] as const)("goes on at the next character after every lost connection: %s", async (then) => {
    for (let cut = 1; cut < whole.length; cut += 9) {
      const { opened, stream } = streamOver([
        () => connection(quick + delta(0, cut), then),
        () => connection(quick + delta(cut, whole.length), then),
        () => connection(end)
      ])
      const events = await read(stream)
      assert.strictEqual(textOf(events), whole)
      assert.strictEqual(events.at(-1)?.type, "completed")
      assert.deepStrictEqual(opened, [undefined, `1:${cut}`, `1:${whole.length}`])
      assert.strictEqual(stream.position, `1:${whole.length}`)
    }
  })

  it("ignores an event that was cut off in its middle", async () => {
    const cutOff = event("delta", { text: "never" }, "1:99").slice(0, -8)
    const { opened, stream } = streamOver([
      () => connection(quick + delta(0, 10) + cutOff, "break"),
      () => connection(delta(10, whole.length) + end)
    ])
    assert.strictEqual(textOf(await read(stream)), whole)
    assert.deepStrictEqual(opened, [undefined, "1:10"])
  })

  it("ends with the stored reply when only the last event was lost", async () => {
    const { stream } = streamOver([
      () => connection(quick + delta(0, whole.length), "break"),
      () => new Response(null, { status: 204 })
    ])
    const last = (await read(stream)).at(-1)
    assert.deepStrictEqual(last, { type: "completed", ...reply })
  })

  it("connects again when the connection is silent", async () => {
    const options = { silence: 50 }
    const { stream } = streamOver(
      [() => connection(quick + delta(0, 9), "silence"), () => connection(delta(9, whole.length) + end)],
      options
    )
    assert.strictEqual(textOf(await read(stream)), whole)
  })

  it("begins after the position of another stream", async () => {
    const { opened, stream } = streamOver([() => connection(delta(20, whole.length) + end)], { after: "1:20" })
    assert.strictEqual(textOf(await read(stream)), whole.slice(20))
    assert.deepStrictEqual(opened, ["1:20"])
  })

  it("goes on where a loop left it", async () => {
    const { opened, stream } = streamOver([
      () => connection(delta(0, 9), "silence"),
      () => connection(delta(9, whole.length) + end)
    ])
    for await (const event of stream) if (event.type === "delta") break
    assert.strictEqual(textOf(await read(stream)), whole.slice(9))
    assert.deepStrictEqual(opened, [undefined, "1:9"])
  })

  it("skips events that it does not know", async () => {
    const { stream } = streamOver([() => connection(event("applause", { text: "!" }, "1:9") + end)])
    assert.deepStrictEqual(
      (await read(stream)).map(({ type }) => type),
      ["completed"]
    )
  })

  it("fails with a refusal, and does not try again", async () => {
    const { opened, stream } = streamOver([
      () => {
        throw new Problem(404, { code: "message_not_found" })
      }
    ])
    const error = await read(stream).catch((error: unknown) => error)
    assert.instanceOf(error, Problem)
    assert.lengthOf(opened, 1)
  })

  it("fails after as many attempts in a row as it may make", async () => {
    const busy = () => {
      throw new Problem(503, { code: "overloaded", retryAfter: 0 })
    }
    const lost: Array<unknown> = []
    const options = { reconnects: 2, onLost: (error: unknown) => void lost.push(error) }
    const { opened, stream } = streamOver([() => connection(quick + delta(0, 9)), busy, busy, busy], options)
    const error = await read(stream).catch((error: unknown) => error)
    assert.instanceOf(error, Problem)
    assert.lengthOf(opened, 3)
    assert.lengthOf(lost, 2)
  })

  it("begins to count again after an event", async () => {
    const busy = () => {
      throw new Problem(503, { code: "overloaded", retryAfter: 0 })
    }
    const some = () => connection(quick + event("status", { status: "processing", attempt: 1 }))
    const { opened, stream } = streamOver([some, busy, some, busy, () => connection(delta(0, whole.length) + end)], {
      reconnects: 2
    })
    assert.strictEqual(textOf(await read(stream)), whole)
    assert.lengthOf(opened, 5)
  })

  it("fails with the signal's reason, also while it waits for another attempt", async () => {
    const controller = new AbortController()
    const reason = new Error("left")
    const onLost = () => controller.abort(reason)
    const { stream } = streamOver([() => connection(delta(0, 9), "break")], { signal: controller.signal, onLost })
    assert.strictEqual(await read(stream).catch((error: unknown) => error), reason)
  })

  it("returns the stored reply without a loop", async () => {
    const { stream } = streamOver([() => connection(delta(0, whole.length) + end)])
    assert.deepStrictEqual(await stream.finished(), reply)
  })
})

describe("applyEvent", () => {
  it("builds the reply from its events", () => {
    const empty = { ...reply, content: "", thoughts: null, status: "queued" as const, usage: null }
    const { usage } = reply
    const events: ReadonlyArray<ReplyEvent> = [
      { type: "status", status: "processing", attempt: 1 },
      { type: "thought", text: "Hm. So", offset: 0 },
      { type: "thought", text: "Well", offset: 4 },
      { type: "delta", text: "It wea" },
      { type: "replace", text: "It" },
      { type: "delta", text: " is" },
      { type: "title", title: "Looms" },
      { type: "usage", ...usage }
    ]
    const built = events.reduce(applyEvent, empty)
    assert.deepStrictEqual(built, { ...empty, status: "processing", attempt: 1, thoughts: "Hm. Well", content: "It is", usage })
    assert.deepStrictEqual(applyEvent(built, { type: "completed", ...reply }), reply)
  })
})
