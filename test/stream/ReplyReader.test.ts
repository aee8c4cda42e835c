import { once } from "node:events"
import { setTimeout as sleep } from "node:timers/promises"
import { Deferred, Effect } from "effect"
import { assert, describe, it, vi } from "vitest"
import { MessageNotFound } from "../../src/api/chat/ChatErrors.ts"
import type { Message } from "../../src/api/chat/Message.ts"
import type { MessageState } from "../../src/chat/Messages.ts"
import { LiveTexts } from "../../src/stream/LiveText.ts"
import { eventsFrom } from "../../src/stream/ReplyFeed.ts"
import { ReplyReader, type ReplySource } from "../../src/stream/ReplyReader.ts"
import { blankReply } from "../support/blankReply.ts"
import { SseParser } from "./SseClient.ts"

const replyId = blankReply.id
const processing: Message = { ...blankReply, status: "processing", attempt: 1 }
const completed = (content: string): Message => ({ ...processing, status: "completed", content })

/** A reader of a reply whose row and segments the test decides, with what its client has received. */
const startReader = (options: { readonly state?: MessageState; readonly readState?: ReplySource["readState"] } = {}) => {
  const live = new LiveTexts()
  const state = options.state ?? { message: processing, retryAt: null, title: null, summaries: false }
  const counts = { reads: 0, storedReads: 0, subscriptions: 0, closed: 0 }
  const row = { stored: "", thoughts: "", read: options.readState ?? Effect.succeed(state) }
  const source: ReplySource = {
    readState: Effect.suspend(() => {
      counts.reads++
      return row.read
    }),
    readStored: () =>
      Effect.sync(() => {
        counts.storedReads++
        return { text: row.stored, thoughts: row.thoughts }
      }),
    live,
    subscribe: () => {
      counts.subscriptions++
      return () => counts.subscriptions--
    },
    isNotified: () => true,
    run: Effect.runFork
  }
  const reader = new ReplyReader(source, state, eventsFrom(undefined), () => counts.closed++)
  const client = new SseParser()
  reader.stream.on("data", (text: string) => client.feed(Buffer.from(text)))
  return { reader, live, counts, row, client }
}
const append = (live: LiveTexts, offset: number, text: string) => live.apply({ replyId, attempt: 1, offset, text })
const names = ({ events }: SseParser) => events.map(({ name }) => name)

describe("the reader of a reply", () => {
  it("follows the text to the end and then releases everything", async () => {
    const { client, counts, live, reader, row } = startReader()
    assert.strictEqual(counts.subscriptions, 1)
    append(live, 0, "abc")
    append(live, 3, "de")
    await vi.waitFor(() => assert.strictEqual(client.text, "abcde"))
    row.read = Effect.succeed({ message: completed("abcde"), retryAt: null, title: null, summaries: false })
    reader.refresh()
    await once(reader.stream, "close")
    assert.deepStrictEqual(names(client), ["status", "delta", "completed"])
    assert.strictEqual(client.text, "abcde")
    assert.deepStrictEqual([counts.subscriptions, counts.closed, live.size], [0, 1, 0])
  })

  it("fetches stored text where the arriving text has a gap", async () => {
    const { client, counts, live, reader, row } = startReader()
    append(live, 5, "fg")
    await vi.waitFor(() => assert.strictEqual(counts.reads, 1))
    assert.strictEqual(client.text, "")
    row.stored = "abcdef"
    append(live, 7, "h")
    await vi.waitFor(() => assert.strictEqual(client.text, "abcdefgh"))
    assert.deepStrictEqual(names(client), ["status", "delta"])
    reader.stream.destroy()
  })

  it("reads the segments of a gap no faster than every 300 milliseconds", async () => {
    const { counts, live, reader } = startReader()
    const startedAt = performance.now()
    while (performance.now() - startedAt < 1_000) {
      append(live, 5 + counts.storedReads, "f")
      await sleep(5)
    }
    assert.isAtLeast(counts.storedReads, 2)
    assert.isAtMost(counts.storedReads, 4)
    reader.stream.destroy()
  })

  it("reads the row once more, not once each, for refreshes that come during a read", async () => {
    const gate = Deferred.makeUnsafe<void>()
    const state = { message: processing, retryAt: null, title: null, summaries: false }
    const { counts, reader } = startReader({ readState: Effect.as(Deferred.await(gate), state) })
    await vi.waitFor(() => assert.strictEqual(counts.reads, 1))
    for (let count = 0; count < 10; count++) reader.refresh()
    Deferred.doneUnsafe(gate, Effect.void)
    await vi.waitFor(() => assert.strictEqual(counts.reads, 2))
    await sleep(50)
    assert.strictEqual(counts.reads, 2)
    reader.stream.destroy()
  })

  it("ends as cancelled, with the text that is known, when the row is gone", async () => {
    const { client, live, reader, row } = startReader()
    append(live, 0, "abc")
    await vi.waitFor(() => assert.strictEqual(client.text, "abc"))
    row.read = Effect.fail(new MessageNotFound())
    reader.refresh()
    await once(reader.stream, "close")
    assert.deepStrictEqual(names(client), ["status", "delta", "cancelled"])
    const { content, status } = client.events.at(-1)?.data ?? {}
    assert.deepStrictEqual([status, content], ["cancelled", "abc"])
  })

  it("sends a title that the room gets meanwhile, without an id, and each only once", async () => {
    const { client, live, reader, row } = startReader()
    append(live, 0, "abc")
    await vi.waitFor(() => assert.strictEqual(client.text, "abc"))
    for (const title of ["Looms", "Looms", "Weavers"]) {
      row.read = Effect.succeed({ message: processing, retryAt: null, title, summaries: false })
      reader.refresh()
      await vi.waitFor(() => assert.strictEqual(client.events.at(-1)?.data.title, title))
    }
    assert.deepStrictEqual(names(client), ["status", "delta", "title", "title"])
    assert.strictEqual(client.lastId, "1:3")
    row.read = Effect.fail(new MessageNotFound())
    reader.refresh()
    await once(reader.stream, "close")
    assert.deepStrictEqual(names(client).slice(4), ["cancelled"])
  })

  it("survives a failed read", async () => {
    const { client, counts, reader, row } = startReader({ readState: Effect.die("no database") })
    await vi.waitFor(() => assert.strictEqual(counts.reads, 1))
    row.read = Effect.succeed({ message: completed("abc"), retryAt: null, title: null, summaries: false })
    reader.refresh()
    await once(reader.stream, "close")
    assert.strictEqual(client.text, "abc")
  })

  it("reads nothing of a reply that has ended", async () => {
    const { client, counts, reader } = startReader({
      state: { message: completed("abc"), retryAt: null, title: null, summaries: false }
    })
    await once(reader.stream, "close")
    assert.deepStrictEqual(names(client), ["delta", "completed"])
    assert.deepStrictEqual([counts.reads, counts.storedReads], [0, 0])
  })
})
