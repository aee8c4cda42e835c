import { assert, describe, it } from "vitest"
import type { Message, Status } from "../../src/api/chat/Message.ts"
import { extend, type LiveText } from "../../src/stream/LiveText.ts"
import { isFullyRead, parsePosition, type Position, ReplyFeed } from "../../src/stream/ReplyFeed.ts"
import { blankReply } from "../support/blankReply.ts"
import { SseParser } from "./SseClient.ts"

const message = (status: Status, attempt: number, content = ""): Message => ({ ...blankReply, status, attempt, content })
const completed = (attempt: number, content: string): Message => ({
  ...message("completed", attempt, content),
  usage: { promptTokens: 1, replyTokens: 2, thoughtTokens: 0, cachedTokens: 0, toolTokens: 0 }
})

/** A client that applies the events of a feed as the contract says. */
class Reader {
  readonly client: SseParser
  readonly feed: ReplyFeed
  constructor(position: Position | undefined, having = "") {
    this.client = new SseParser(having)
    this.feed = new ReplyFeed(position)
  }
  next(live: LiveText | undefined, message: Message, retryAt: string | null = null, title: string | null = null) {
    const before = this.client.events.length
    const progress = this.feed.next(live, { message, retryAt, title, summaries: false })
    this.client.feed(Buffer.from(progress.text))
    return { ...progress, events: this.client.events.slice(before) }
  }
}
const names = (events: ReadonlyArray<{ readonly name: string }>) => events.map(({ name }) => name)

describe("the feed of a reply", () => {
  const texts = new Map([
    [1, "abcd"],
    [2, "xyz"]
  ])
  const textOf = (attempt: number) => texts.get(attempt) ?? ""
  const pieces = [...texts].flatMap(([attempt, text]) =>
    Array.from({ length: text.length }, (_, offset) =>
      Array.from({ length: text.length - offset }, (_, length) => ({
        attempt,
        offset,
        text: text.slice(offset, offset + length + 1)
      }))
    ).flat()
  )
  const positions: Array<Position | undefined> = [
    undefined,
    ...[...texts].flatMap(([attempt, text]) => Array.from({ length: text.length + 1 }, (_, offset) => ({ attempt, offset })))
  ]

  it("gives the right text from every position, after any three pieces in any order", () => {
    let runs = 0
    for (const position of positions) {
      for (const one of pieces) {
        for (const two of pieces) {
          for (const three of pieces) {
            const reader = new Reader(position, position === undefined ? "" : textOf(position.attempt).slice(0, position.offset))
            const live: LiveText = { attempt: 0, start: 0, text: "" }
            const story = () => JSON.stringify({ position, one, two, three, events: reader.client.events })
            for (const piece of [one, two, three]) {
              extend(live, piece)
              const { events } = reader.next(live, message("processing", 1))
              for (const { id, text } of events.filter(({ id }) => id !== undefined)) {
                const at = parsePosition(id ?? "")
                // An id is a position to resume from, so it must name the text that the client has.
                if (at === undefined || textOf(at.attempt).slice(0, at.offset) !== text) assert.fail(story())
              }
            }
            const { ended } = reader.next(live, completed(2, "xyz"))
            if (!ended || reader.client.text !== "xyz") assert.fail(story())
            runs++
          }
        }
      }
    }
    assert.strictEqual(runs, positions.length * pieces.length ** 3)
  })

  it("reports a gap instead of skipping it", () => {
    const reader = new Reader(undefined)
    const live = { attempt: 1, start: 2, text: "cd" }
    assert.isTrue(reader.next(live, message("processing", 1)).gap)
    assert.strictEqual(reader.client.text, "")
    extend(live, { attempt: 1, offset: 0, text: "ab" })
    assert.isFalse(reader.next(live, message("processing", 1)).gap)
    assert.strictEqual(reader.client.text, "abcd")
  })

  it("reports no gap to a client that is past it", () => {
    const reader = new Reader({ attempt: 1, offset: 3 }, "abc")
    const progress = reader.next({ attempt: 1, start: 2, text: "cd" }, message("processing", 1))
    assert.isFalse(progress.gap)
    assert.strictEqual(reader.client.text, "abcd")
    assert.strictEqual(reader.client.lastId, "1:4")
  })

  it("sends one replace for a new attempt, when its first text arrives", () => {
    const reader = new Reader(undefined)
    reader.next({ attempt: 1, start: 0, text: "abc" }, message("processing", 1))
    assert.strictEqual(reader.client.text, "abc")
    assert.deepStrictEqual(names(reader.next({ attempt: 1, start: 0, text: "abc" }, message("processing", 2)).events), ["status"])
    assert.strictEqual(reader.client.text, "abc")
    assert.deepStrictEqual(names(reader.next({ attempt: 2, start: 0, text: "x" }, message("processing", 2)).events), ["replace"])
    assert.deepStrictEqual(names(reader.next({ attempt: 2, start: 0, text: "xy" }, message("processing", 2)).events), ["delta"])
    assert.strictEqual(reader.client.text, "xy")
  })

  it("sends no replace if the attempt before had no text", () => {
    const reader = new Reader({ attempt: 1, offset: 0 })
    assert.deepStrictEqual(names(reader.next({ attempt: 2, start: 0, text: "x" }, message("processing", 2)).events), [
      "status",
      "delta"
    ])
  })

  it("ignores an older attempt", () => {
    const reader = new Reader({ attempt: 2, offset: 1 }, "x")
    reader.next({ attempt: 1, start: 0, text: "abcd" }, message("processing", 1))
    assert.strictEqual(reader.client.text, "x")
    reader.next({ attempt: 2, start: 0, text: "xy" }, message("processing", 2))
    assert.strictEqual(reader.client.text, "xy")
  })

  it("ends with the stored text, whatever was streamed: blocked, cut short, written again", () => {
    const cases: Array<[Message, ReadonlyArray<string>]> = [
      [completed(1, "abc"), ["usage", "completed"]],
      [completed(1, "abcd"), ["delta", "usage", "completed"]],
      [message("failed", 1), ["replace", "failed"]],
      [message("cancelled", 1, "ab"), ["replace", "cancelled"]],
      [message("cancelled", 1, "abc"), ["cancelled"]],
      [completed(2, "xyz"), ["replace", "usage", "completed"]],
      [message("failed", 2), ["replace", "failed"]]
    ]
    for (const [end, expected] of cases) {
      const reader = new Reader(undefined)
      reader.next({ attempt: 1, start: 0, text: "abc" }, message("processing", 1))
      assert.deepStrictEqual(names(reader.next({ attempt: 1, start: 0, text: "abc" }, end).events), expected)
      assert.strictEqual(reader.client.text, end.content)
      assert.strictEqual(reader.client.lastId, `${end.attempt}:${end.content.length}`)
    }
  })

  it("sends each status once, and waiting again when its time changes", () => {
    const reader = new Reader(undefined)
    const sent = (live: LiveText | undefined, status: Status, attempt: number, retryAt: string | null = null) =>
      reader.next(live, message(status, attempt), retryAt).events.map(({ data }) => data)
    assert.deepStrictEqual(sent(undefined, "queued", 0), [{ status: "queued", attempt: 0 }])
    assert.deepStrictEqual(sent(undefined, "queued", 0), [])
    assert.deepStrictEqual(sent(undefined, "processing", 1), [{ status: "processing", attempt: 1 }])
    assert.deepStrictEqual(sent(undefined, "waiting", 1, "then"), [{ status: "waiting", attempt: 1, retryAt: "then" }])
    assert.deepStrictEqual(sent(undefined, "waiting", 1, "later"), [{ status: "waiting", attempt: 1, retryAt: "later" }])
    assert.deepStrictEqual(sent(undefined, "processing", 2, "old"), [{ status: "processing", attempt: 2 }])
  })

  it("sends a title once, before the end, and again after the room had another", () => {
    const reader = new Reader(undefined)
    const titles = ["Looms", "Looms", null, "Looms"].flatMap((title) =>
      reader.next(undefined, message("processing", 1), null, title).events.filter(({ name }) => name === "title")
    )
    assert.deepStrictEqual(
      titles.map(({ data, id }) => [data, id]),
      [
        [{ title: "Looms" }, undefined],
        [{ title: "Looms" }, undefined]
      ]
    )
    assert.deepStrictEqual(names(reader.next(undefined, completed(1, "a"), null, "Weavers").events), [
      "title",
      "delta",
      "usage",
      "completed"
    ])
  })

  it("sends the processing status before the first text", () => {
    const reader = new Reader(undefined)
    const { events } = reader.next({ attempt: 1, start: 0, text: "a" }, message("queued", 0))
    assert.deepStrictEqual(
      events.map(({ data }) => data),
      [{ status: "processing", attempt: 1 }, { text: "a" }]
    )
  })
})

describe("a position", () => {
  it("is parsed from attempt:offset and nothing else", () => {
    assert.deepStrictEqual(parsePosition("12:345"), { attempt: 12, offset: 345 })
    for (const wrong of [
      "",
      ":",
      "1:",
      ":1",
      "1",
      "-1:0",
      "1:-1",
      "1:2:3",
      " 1:2",
      "1:2 ",
      "a:b",
      "1.5:2",
      "1e3:1",
      "1:99999999999"
    ]) {
      assert.isUndefined(parsePosition(wrong), wrong)
    }
  })

  it("is fully read at the end of a finished reply, not before or behind it", () => {
    const reply = completed(2, "xyz")
    assert.isTrue(isFullyRead(reply, { attempt: 2, offset: 3 }))
    assert.isFalse(isFullyRead(reply, { attempt: 2, offset: 2 }))
    assert.isFalse(isFullyRead(reply, { attempt: 1, offset: 3 }))
    // The client has read text that was taken back: the reply was blocked in the middle, or cancelled without its worker.
    assert.isFalse(isFullyRead(message("failed", 2), { attempt: 2, offset: 3 }))
    assert.isFalse(isFullyRead(message("cancelled", 2, "xy"), { attempt: 2, offset: 3 }))
  })
})
