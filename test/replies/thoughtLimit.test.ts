import { assert, describe, it } from "vitest"
import { makeThoughts } from "../../src/replies/TextLimit.ts"

describe("the limit of thoughts", () => {
  const collect = (maximum: number, pieces: ReadonlyArray<string>) => {
    const seen: Array<string> = []
    const thoughts = makeThoughts(maximum, (piece) => seen.push(piece))
    for (const piece of pieces) thoughts.add(piece)
    assert.strictEqual(seen.join(""), thoughts.text ?? "")
    return thoughts.text
  }

  it("leaves thoughts below it whole, and none null", () => {
    assert.strictEqual(collect(20, ["It weaves ", "🧵", "."]), "It weaves 🧵.")
    assert.isNull(collect(20, []))
    assert.isNull(collect(20, [""]))
  })

  it("cuts longer ones to its bytes with one ellipsis, never within a character", () => {
    for (let maximum = 8; maximum < 40; maximum++) {
      const text = collect(maximum, ["a🧵", "🧵", "é🧵🧵🧵", "🧵🧵🧵", "more", "🧵"]) ?? ""
      const bytes = Buffer.byteLength(text)
      assert.isTrue(bytes <= maximum && bytes > maximum - 4, `${bytes} of ${maximum}`)
      assert.deepStrictEqual([text.isWellFormed(), text.indexOf("…")], [true, text.length - 1])
    }
  })
})
