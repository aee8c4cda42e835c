import { assert, describe, it } from "vitest"
import type { Message } from "../../src/api/chat/Message.ts"
import { firstVersion, newReply } from "../../src/chat/NewExchange.ts"
import { ChatroomId } from "../../src/api/chat/Chatroom.ts"
import type { MessageState } from "../../src/chat/Messages.ts"
import { decodeDeltas, encodeDeltas } from "../../src/stream/DeltaRow.ts"
import { extend, type LiveText, LiveTexts, type TextDelta, thoughtsKey } from "../../src/stream/LiveText.ts"
import { parsePosition, ReplyFeed } from "../../src/stream/ReplyFeed.ts"
import { SseParser } from "./SseClient.ts"

const anyId = "01980000-0000-7000-8000-000000000000"
const queued = newReply({
  roomId: ChatroomId.make(anyId),
  questionId: anyId,
  replyId: anyId,
  sentAt: "2026-11-21T00:00:00.000Z",
  parentId: null,
  questionVersion: firstVersion,
  replyVersion: firstVersion
})
const stateOf = (message: Partial<Message>): MessageState => ({
  message: { ...queued, ...message },
  retryAt: null,
  title: null,
  summaries: true
})

/** What an attempt does next: it thinks, or it writes. */
type Step = readonly [attempt: number, kind: "thought" | "text", piece: string]

/** Two attempts: the first one is lost when it has thought and written; the second one is whole. */
const steps: ReadonlyArray<Step> = [
  [1, "thought", "one "],
  [1, "thought", "two "],
  [1, "text", "ab"],
  [1, "thought", "three "],
  [1, "text", "cd"],
  [2, "thought", "uno "],
  [2, "text", "xy"],
  [2, "thought", "due "],
  [2, "text", "z"]
]
const final = { status: "completed", attempt: 2, content: "xyz", thoughts: "uno due " } as const

/** What is known of the reply after so many steps; `from` is where this process began to listen. */
const knownAfter = (count: number, from = 0) => {
  const text: LiveText = { attempt: 0, start: 0, text: "" }
  const thoughts: LiveText = { attempt: 0, start: 0, text: "" }
  const ends = new Map<string, number>()
  for (const [index, [attempt, kind, piece]] of steps.slice(0, count).entries()) {
    const key = `${kind}/${attempt}`
    const offset = ends.get(key) ?? 0
    ends.set(key, offset + piece.length)
    if (index >= from) extend(kind === "text" ? text : thoughts, { attempt, offset, text: piece })
  }
  return { text, thoughts }
}

/** A client that may leave after any event and come back with what it has. */
class Client {
  parser = new SseParser()
  feed = new ReplyFeed(undefined)
  readonly seen: Array<string> = []

  see(count: number, state: MessageState) {
    const { text, thoughts } = knownAfter(count)
    const before = this.parser.events.length
    const progress = this.feed.next(text, state, thoughts)
    this.parser.feed(Buffer.from(progress.text))
    this.seen.push(...this.parser.events.slice(before).map(({ name }) => name))
    return this.parser.events.slice(before)
  }

  reconnect() {
    const { lastId, text, thoughts } = this.parser
    this.parser = new SseParser(text)
    this.parser.thoughts = thoughts
    this.parser.lastId = lastId
    this.feed = new ReplyFeed(lastId === undefined ? undefined : parsePosition(lastId))
  }
}

describe("thoughts in the feed of a reply", () => {
  it("are whole after a reconnect at any event", () => {
    for (let first = 0; first <= steps.length; first++) {
      for (let second = first; second <= steps.length; second++) {
        const client = new Client()
        for (let count = 0; count <= steps.length; count++) {
          client.see(count, stateOf({ status: "processing", attempt: steps[count - 1]?.[0] ?? 0 }))
          if (count === first || count === second) client.reconnect()
        }
        client.see(steps.length, stateOf(final))
        assert.deepStrictEqual(
          [client.parser.thoughts, client.parser.text],
          [final.thoughts, final.content],
          `${first} ${second}`
        )
      }
    }
  })

  it("come as one event with offset 0 on a new connection", () => {
    for (let count = 1; count <= 5; count++) {
      const client = new Client()
      client.parser.lastId = "1:0"
      client.reconnect()
      const all = knownAfter(count).thoughts.text
      const events = client.see(count, stateOf({ status: "processing", attempt: 1 })).filter(({ name }) => name === "thought")
      assert.deepStrictEqual(
        events.map(({ data, id }) => [data, id]),
        [[{ text: all, offset: 0 }, undefined]]
      )
    }
  })

  it("are void before a new attempt replaces the text", () => {
    for (const client of [new Client(), new Client()]) {
      client.see(5, stateOf({ status: "processing", attempt: 1 }))
      client.reconnect()
      const events = client.see(7, stateOf({ status: "processing", attempt: 2 }))
      assert.deepStrictEqual(
        events.map(({ data, name }) => [name, data.text]),
        [
          ["status", undefined],
          ["thought", ""],
          ["thought", "uno "],
          ["replace", "xy"]
        ]
      )
    }
  })

  it("are void when the reply ends without them", () => {
    const client = new Client()
    client.see(2, stateOf({ status: "processing", attempt: 1 }))
    assert.strictEqual(client.parser.thoughts, "one two ")
    const events = client.see(2, stateOf({ status: "failed", attempt: 1, thoughts: null }))
    assert.deepStrictEqual([events[0]?.name, client.parser.thoughts], ["thought", ""])
  })

  it("have a gap where this process did not hear of their beginning", () => {
    const { text, thoughts } = knownAfter(2, 1)
    const state = stateOf({ status: "processing", attempt: 1 })
    const feed = new ReplyFeed(undefined)
    assert.deepStrictEqual([thoughts.start, feed.next(text, state, thoughts).gap], [4, true])
    const healed = feed.next(text, state, knownAfter(2).thoughts)
    assert.deepStrictEqual([healed.gap, healed.text.includes('"text":"one two ","offset":0')], [false, true])
  })

  it("are not sent for a reply without summaries", () => {
    const feed = new ReplyFeed({ attempt: 1, offset: 2 })
    const { text } = knownAfter(steps.length)
    const state = { ...stateOf({ status: "processing", attempt: 2 }), summaries: false }
    assert.notInclude(feed.next(text, state).text, "thought")
    assert.notInclude(new ReplyFeed(undefined).next(text, { ...stateOf(final), summaries: false }).text, "event: thought")
  })
})

describe("thoughts in the delta log", () => {
  it("do not reach the text in a process that does not know them", () => {
    const deltas: ReadonlyArray<TextDelta> = [
      { replyId: anyId, attempt: 1, offset: 0, text: "text" },
      { replyId: thoughtsKey(anyId), attempt: 1, offset: 0, text: "thought" }
    ]
    // Rows are tuples of four, which is all that the previous release accepts.
    assert.deepStrictEqual(
      (JSON.parse(encodeDeltas(deltas)) as ReadonlyArray<ReadonlyArray<unknown>>).map((row) => row.length),
      [4, 4]
    )
    const live = new LiveTexts()
    live.follow(anyId, () => {})
    for (const delta of decodeDeltas(encodeDeltas(deltas))) live.apply(delta)
    assert.strictEqual(live.get(anyId)?.text, "text")
  })
})
