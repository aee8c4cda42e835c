import { assert, describe, it } from "vitest"
import { DeltaOutbox } from "../../src/stream/DeltaOutbox.ts"
import { decodeDeltas, encodeDeltas } from "../../src/stream/DeltaRow.ts"
import { LiveTexts } from "../../src/stream/LiveText.ts"

const first = { userId: "u", replyId: "r", attempt: 1 }
const second = { ...first, attempt: 2 }
const other = { userId: "v", replyId: "s", attempt: 1 }
const all = new Set(["r", "s"])

describe("the delta outbox", () => {
  it("returns each piece with its offset", () => {
    const outbox = new DeltaOutbox()
    assert.deepStrictEqual(outbox.append(first, "abc"), { replyId: "r", attempt: 1, offset: 0, text: "abc" })
    assert.deepStrictEqual(outbox.append(first, "de"), { replyId: "r", attempt: 1, offset: 3, text: "de" })
  })

  it("joins the pieces of each reply into one delta, and takes each once", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "ab")
    outbox.append(other, "x")
    outbox.append(first, "c")
    assert.deepStrictEqual(outbox.takeDeltas(), [
      { replyId: "r", attempt: 1, offset: 0, text: "abc" },
      { replyId: "s", attempt: 1, offset: 0, text: "x" }
    ])
    assert.deepStrictEqual(outbox.takeDeltas(), [])
    outbox.append(first, "d")
    assert.deepStrictEqual(outbox.takeDeltas(), [{ replyId: "r", attempt: 1, offset: 3, text: "d" }])
  })

  it("starts over with a newer attempt and ignores the older one from then on", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "abc")
    assert.deepStrictEqual(outbox.append(second, "x"), { replyId: "r", attempt: 2, offset: 0, text: "x" })
    assert.isUndefined(outbox.append(first, "d"))
    outbox.close("r", 1)
    assert.deepStrictEqual(outbox.takeDeltas(), [{ replyId: "r", attempt: 2, offset: 0, text: "x" }])
    assert.deepStrictEqual(outbox.takeEnded(10), [])
  })

  it("stores each text once, as segments that name the one before them", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "abc")
    const one = outbox.unstored()
    assert.deepStrictEqual(one, [{ ...first, start: 0, text: "abc", previousStart: null }])
    // Written while the first segment is being stored.
    outbox.append(first, "de")
    outbox.markStored(one, all)
    const two = outbox.unstored()
    assert.deepStrictEqual(two, [{ ...first, start: 3, text: "de", previousStart: 0 }])
    outbox.markStored(two, all)
    assert.deepStrictEqual(outbox.unstored(), [])
  })

  it("stores a segment again, with what has been written since, until it is marked", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "abc")
    outbox.unstored()
    outbox.append(first, "de")
    assert.deepStrictEqual(outbox.unstored(), [{ ...first, start: 0, text: "abcde", previousStart: null }])
  })

  it("stores the text from its start again when the database has lost the segments", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "abc")
    outbox.markStored(outbox.unstored(), all)
    outbox.append(first, "de")
    outbox.markStored(outbox.unstored(), new Set())
    assert.deepStrictEqual(outbox.unstored(), [{ ...first, start: 0, text: "abcde", previousStart: null }])
  })

  it("marks nothing of an attempt that was replaced while its segment was being stored", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "abc")
    const old = outbox.unstored()
    outbox.append(second, "xyz!")
    outbox.markStored(old, all)
    assert.deepStrictEqual(outbox.unstored(), [{ ...second, start: 0, text: "xyz!", previousStart: null }])
  })

  it("forgets a closed attempt and returns it once for deletion, so many at a time", () => {
    const outbox = new DeltaOutbox()
    outbox.append(first, "abc")
    outbox.append(other, "x")
    outbox.close("r", 1)
    outbox.close("r", 1)
    outbox.close("s", 1)
    assert.deepStrictEqual(outbox.takeDeltas(), [])
    assert.deepStrictEqual(outbox.unstored(), [])
    assert.deepStrictEqual(outbox.takeEnded(1), [first])
    assert.deepStrictEqual(outbox.takeEnded(10), [other])
    assert.deepStrictEqual(outbox.takeEnded(10), [])
  })

  it("gives another process the whole text, however pieces and rows alternate", () => {
    const text = Array.from({ length: 2_000 }, (_, index) => `${index} é 👋 "\n`).join("")
    for (const rowEvery of [1, 2, 7]) {
      const outbox = new DeltaOutbox()
      const texts = new LiveTexts()
      texts.follow("r", () => {})
      const copy = () => {
        for (const delta of decodeDeltas(encodeDeltas(outbox.takeDeltas()))) texts.apply(delta)
      }
      for (let at = 0, piece = 0; at < text.length; at += 13, piece++) {
        outbox.append(first, text.slice(at, at + 13))
        if (piece % rowEvery === 0) copy()
      }
      copy()
      assert.deepStrictEqual(texts.get("r"), { attempt: 1, start: 0, text })
    }
  })
})

describe("the body of a delta row", () => {
  it("is rejected when it is malformed", () => {
    for (const body of ["", "{}", "[[]]", '[["r",1,0]]', '[["r","1",0,"x"]]', '[["r",1,-1,"x"]]', '[[1,1,0,"x"]]'])
      assert.throws(() => decodeDeltas(body))
  })
})
