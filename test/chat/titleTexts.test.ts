import { assert, describe, it } from "vitest"
import { titleOf, wordsOf } from "../../src/chat/Titles.ts"

describe("the words of a question", () => {
  it("are at most 60 characters, cut at a word", () => {
    const text = `${"word ".repeat(11)}toolongaword and more`
    assert.strictEqual(wordsOf(text), "word ".repeat(11).trim())
    assert.strictEqual(wordsOf("x".repeat(60)), "x".repeat(60))
    assert.strictEqual(wordsOf(`${"x".repeat(60)} y`), "x".repeat(60))
    assert.strictEqual(wordsOf(`a ${"x".repeat(60)}`), "a")
  })
  it("are cut within a word that is longer, between characters", () => {
    assert.strictEqual(wordsOf("x".repeat(61)), "x".repeat(60))
    assert.strictEqual(wordsOf("🧵".repeat(2_000)), "🧵".repeat(60))
  })
  it("are one line without control characters", () => {
    assert.strictEqual(wordsOf("  What\r\n\tis\u0007 a\u2028loom?\u202e "), "What is a loom?")
  })
  it("do not exist when nothing is visible", () => {
    assert.strictEqual(wordsOf("\u200b\u2800 \n"), undefined)
  })
})

describe("a title of a model", () => {
  it("loses quotes, Markdown marks and line breaks", () => {
    for (const answer of ["Looms", '"Looms"', "## Looms\n", "**Looms**", "„Looms“", "- `Looms`", " \n«Looms»\n"]) {
      assert.strictEqual(titleOf(answer), "Looms", answer)
    }
    assert.strictEqual(titleOf("Looms\nand weavers"), "Looms and weavers")
    assert.strictEqual(titleOf("-1 and C++?"), "-1 and C++?")
  })
  it("does not exist when it is empty or longer than 120 characters", () => {
    for (const answer of ["", "  \n", '""', "**", "\u200b", "x".repeat(121)])
      assert.strictEqual(titleOf(answer), undefined, answer)
    assert.strictEqual(titleOf("x".repeat(120)), "x".repeat(120))
  })
})
