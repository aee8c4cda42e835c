import { once } from "node:events"
import { assert, describe, it, vi } from "vitest"
import { EventStream } from "../../src/stream/EventStream.ts"
import { event } from "../../src/api/chat/StreamEvents.ts"
import { SseParser } from "./SseClient.ts"

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** An event stream of a text that the test appends to. */
const growing = () => {
  let whole = ""
  let sent = 0
  let over = false
  let closed = 0
  const stream = new EventStream(
    () => {
      const text = whole.slice(sent)
      sent = whole.length
      return { text: (text === "" ? "" : event("delta", { text })) + (over ? event("completed", {}) : ""), ended: over }
    },
    () => closed++
  )
  const read = () => {
    const parser = new SseParser()
    stream.on("data", (text: string) => parser.feed(Buffer.from(text)))
    return parser
  }
  return {
    stream,
    read,
    closed: () => closed,
    grow: (text: string) => {
      whole += text
      stream.wake()
    },
    end: () => {
      over = true
      stream.wake()
    }
  }
}

describe("an event stream", () => {
  it("buffers at most 40 kB for a client that does not read, and sends it everything later", async () => {
    const reply = growing()
    const piece = "0123456789".repeat(100)
    reply.stream.read(0)
    let most = 0
    for (let count = 0; count < 20_000; count++) {
      reply.grow(piece)
      most = Math.max(most, reply.stream.readableLength)
    }
    assert.isBelow(most, 40_000)
    const parser = reply.read()
    reply.end()
    await once(reply.stream, "close")
    assert.strictEqual(parser.text, piece.repeat(20_000))
    // In a few large events, not one for each piece.
    assert.isBelow(parser.events.length, 100)
  })

  it("ignores news after its end, even if the client has yet to read the end", async () => {
    const reply = growing()
    reply.stream.read(0)
    const errors: Array<unknown> = []
    reply.stream.on("error", (error) => errors.push(error))
    reply.grow("text")
    reply.end()
    for (let count = 0; count < 3; count++) {
      await turn()
      reply.stream.wake()
      reply.stream.dismiss()
    }
    const parser = reply.read()
    await once(reply.stream, "close")
    assert.deepStrictEqual(errors, [])
    assert.strictEqual(parser.text, "text")
    assert.deepStrictEqual(
      parser.events.map(({ name }) => name),
      ["delta", "completed"]
    )
    assert.deepStrictEqual(parser.retries, [])
  })

  it("sends a short retry when dismissed, once, and nothing after it", async () => {
    const reply = growing()
    reply.stream.read(0)
    const errors: Array<unknown> = []
    reply.stream.on("error", (error) => errors.push(error))
    reply.grow("text")
    reply.stream.dismiss()
    reply.stream.dismiss()
    reply.grow("more")
    reply.end()
    const parser = reply.read()
    await once(reply.stream, "close")
    assert.deepStrictEqual(errors, [])
    assert.strictEqual(parser.text, "text")
    assert.deepStrictEqual(parser.retries, [200])
    assert.strictEqual(reply.closed(), 1)
  })

  it("pings every fifteen seconds, with or without news", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] })
    try {
      const reply = growing()
      let seen = ""
      reply.stream.on("data", (text: string) => (seen += text))
      for (let second = 0; second < 46; second++) {
        reply.grow("text")
        vi.advanceTimersByTime(1_000)
        await turn()
      }
      assert.lengthOf(seen.match(/^: ping$/gm) ?? [], 3)
      reply.stream.destroy()
    } finally {
      vi.useRealTimers()
    }
  })

  it("reports its close once when the client disconnects, and produces nothing more", async () => {
    const reply = growing()
    reply.read()
    reply.grow("text")
    reply.stream.destroy()
    await once(reply.stream, "close")
    reply.grow("more")
    reply.stream.dismiss()
    assert.strictEqual(reply.closed(), 1)
  })
})
