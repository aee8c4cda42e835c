import { assert, describe, it } from "vitest"
import { extend, type LiveText, LiveTexts } from "../../src/stream/LiveText.ts"

interface Piece {
  readonly attempt: number
  readonly offset: number
  readonly text: string
}

/** Every piece that can be cut from the text. */
const piecesOf = (attempt: number, text: string): Array<Piece> =>
  Array.from({ length: text.length }, (_, offset) =>
    Array.from({ length: text.length - offset }, (_, length) => ({
      attempt,
      offset,
      text: text.slice(offset, offset + length + 1)
    }))
  ).flat()

/** Calls `visit` with every sequence of so many items, repetitions included. */
const sequences = <A>(
  items: ReadonlyArray<A>,
  length: number,
  visit: (sequence: ReadonlyArray<A>) => void,
  head: ReadonlyArray<A> = []
): void => {
  if (length === 0) return visit(head)
  for (const item of items) sequences(items, length - 1, visit, [...head, item])
}

const fresh = (): LiveText => ({ attempt: 0, start: 0, text: "" })
const replay = (pieces: ReadonlyArray<Piece>) => {
  const live = fresh()
  for (const piece of pieces) extend(live, piece)
  return live
}
const chunked = (attempt: number, text: string, size: number): Array<Piece> =>
  Array.from({ length: Math.ceil(text.length / size) }, (_, index) => ({
    attempt,
    offset: index * size,
    text: text.slice(index * size, (index + 1) * size)
  }))

describe("a live text", () => {
  const whole = "abcde"

  it("is a part of the whole text after any four pieces in any order, repeated or missing", () => {
    let count = 0
    sequences(piecesOf(1, whole), 4, (pieces) => {
      const live = replay(pieces)
      count++
      if (live.text === "" || live.text !== whole.slice(live.start, live.start + live.text.length)) {
        assert.fail(`${JSON.stringify(pieces)} became ${JSON.stringify(live)}`)
      }
    })
    assert.strictEqual(count, 15 ** 4)
  })

  it("contains the newest attempt alone", () => {
    const texts = new Map([
      [1, "abcd"],
      [2, "wxyz"]
    ])
    sequences([...piecesOf(1, "abcd"), ...piecesOf(2, "wxyz")], 3, (pieces) => {
      const live = replay(pieces)
      const newest = Math.max(...pieces.map(({ attempt }) => attempt))
      const expected = texts.get(newest)?.slice(live.start, live.start + live.text.length)
      if (live.attempt !== newest || live.text !== expected)
        assert.fail(`${JSON.stringify(pieces)} became ${JSON.stringify(live)}`)
    })
  })

  it("is whole after all pieces in order, each any number of times", () => {
    sequences([1, 2, 3], 5, (times) => {
      const pieces = times.flatMap((count, index) =>
        Array.from({ length: count }, () => ({ attempt: 1, offset: index, text: whole.slice(index, index + 1) }))
      )
      assert.deepStrictEqual(replay(pieces), { attempt: 1, start: 0, text: whole })
    })
  })

  it("is unchanged by a piece that adds nothing", () => {
    const known = { attempt: 2, offset: 0, text: whole }
    for (const piece of [...piecesOf(2, whole), ...piecesOf(1, "fghij")]) {
      assert.deepStrictEqual(replay([known, piece]), { attempt: 2, start: 0, text: whole })
    }
  })

  it("starts over behind a gap, and joins the piece that fills the gap", () => {
    const live = replay([
      { attempt: 1, offset: 0, text: "ab" },
      { attempt: 1, offset: 3, text: "d" }
    ])
    assert.deepStrictEqual(live, { attempt: 1, start: 3, text: "d" })
    extend(live, { attempt: 1, offset: 4, text: "e" })
    // The stored part may end at the gap's end, within the known text, or behind it.
    for (const length of [3, 4, 5]) {
      const healed = { ...live }
      extend(healed, { attempt: 1, offset: 0, text: whole.slice(0, length) })
      assert.deepStrictEqual(healed, { attempt: 1, start: 0, text: whole })
    }
    extend(live, { attempt: 1, offset: 0, text: "ab" })
    assert.deepStrictEqual(live, { attempt: 1, start: 3, text: "de" })
  })
})

describe("the live texts of a process", () => {
  const text = "0123456789".repeat(10_000)

  it("keep followed texts whole, and wake each follower for each piece", () => {
    const texts = new LiveTexts()
    let one = 0
    let other = 0
    const unfollow = texts.follow("r", () => one++)
    texts.follow("r", () => other++)
    const pieces = chunked(1, text, 100)
    for (const [index, { attempt, offset, text }] of pieces.entries()) {
      if (index === 500) unfollow()
      texts.apply({ replyId: "r", attempt, offset, text })
      texts.apply({ replyId: "another", attempt, offset, text })
    }
    assert.deepStrictEqual(texts.get("r"), { attempt: 1, start: 0, text })
    assert.deepStrictEqual([one, other], [500, 1_000])
    assert.strictEqual(texts.size, 1)
  })

  it("keep the tail of other texts, up to the newest piece", () => {
    const texts = new LiveTexts()
    for (const piece of chunked(1, text, 777)) {
      texts.apply({ replyId: "r", ...piece })
      const tail = texts.get("r")
      assert.isDefined(tail)
      assert.isAtMost(tail.text.length, 20_000)
      assert.strictEqual(tail.text, text.slice(tail.start, piece.offset + piece.text.length))
    }
    assert.strictEqual(texts.size, 0)
  })

  it("keep the text for the next follower when the last one leaves", () => {
    const texts = new LiveTexts()
    const unfollow = texts.follow("r", () => {})
    texts.apply({ replyId: "r", attempt: 1, offset: 0, text: "abc" })
    unfollow()
    unfollow()
    assert.strictEqual(texts.size, 0)
    texts.apply({ replyId: "r", attempt: 1, offset: 3, text: "de" })
    const again = texts.follow("r", () => {})
    assert.deepStrictEqual(texts.get("r"), { attempt: 1, start: 0, text: "abcde" })
    again()
    assert.strictEqual(texts.size, 0)
  })

  it("evict the oldest tails first", () => {
    const texts = new LiveTexts()
    for (let reply = 0; reply < 20_000; reply++) texts.apply({ replyId: String(reply), attempt: 1, offset: 0, text: "x" })
    assert.isUndefined(texts.get("0"))
    assert.isDefined(texts.get("19999"))
  })
})
