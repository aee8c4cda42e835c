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

  it("forget 3,000 ended replies of 100,000 characters, followed or not", () => {
    const texts = new LiveTexts()
    for (let reply = 0; reply < 3_000; reply++) {
      const replyId = String(reply)
      const unfollow = texts.follow(replyId, () => {})
      texts.apply({ replyId, attempt: 1, offset: 0, text })
      texts.forget(replyId, 1)
      unfollow()
      texts.apply({ replyId: `other ${reply}`, attempt: 1, offset: 0, text: "x".repeat(10_000) })
      texts.forget(`other ${reply}`, 1)
    }
    assert.deepStrictEqual([texts.size, texts.units], [0, 0])
  })

  it("keep the text of a newer attempt than the ended one", () => {
    const texts = new LiveTexts()
    const unfollow = texts.follow("r", () => {})
    texts.forget("r", 1)
    texts.apply({ replyId: "r", attempt: 2, offset: 0, text: "again" })
    unfollow()
    texts.forget("r", 1)
    assert.deepStrictEqual(texts.get("r"), { attempt: 2, start: 0, text: "again" })
  })

  it("bound the tails in characters, and cut the text that its last follower leaves", () => {
    const texts = new LiveTexts()
    for (let reply = 0; reply < 3_000; reply++) {
      const replyId = String(reply)
      const unfollow = texts.follow(replyId, () => {})
      texts.apply({ replyId, attempt: 1, offset: 0, text })
      unfollow()
    }
    assert.isAtMost(texts.units, 16_000_000)
    assert.deepStrictEqual(texts.get("2999"), { attempt: 1, start: 100_000 - 8_192, text: text.slice(-8_192) })
  })

  it("cut followed texts while all of them together are too long", () => {
    const texts = new LiveTexts(1_000_000)
    for (let reply = 0; reply < 100; reply++) {
      texts.follow(String(reply), () => {})
      texts.apply({ replyId: String(reply), attempt: 1, offset: 0, text })
    }
    assert.isAtMost(texts.units, 2_000_000)
    assert.deepStrictEqual(texts.get("0"), { attempt: 1, start: 0, text })
    assert.deepStrictEqual(texts.get("99"), { attempt: 1, start: 100_000 - 8_192, text: text.slice(-8_192) })
  })

  it("drop tails that are too old at a sweep", async () => {
    const texts = new LiveTexts(1, 20)
    texts.apply({ replyId: "r", attempt: 1, offset: 0, text })
    await new Promise((resolve) => setTimeout(resolve, 100))
    texts.sweep()
    assert.strictEqual(texts.units, 0)
  })
})
