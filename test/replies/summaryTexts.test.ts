import { assert, describe, it } from "vitest"
import { withSummary } from "../../src/replies/PromptSummary.ts"
import { nextStep, summaryOf } from "../../src/replies/SummaryMaker.ts"
import type { LeftOut } from "../../src/replies/SummaryStore.ts"

const leftOut = (...tokens: ReadonlyArray<number>): ReadonlyArray<LeftOut> =>
  tokens.map((count, index) => ({ questionId: `q${index}`, answerId: `a${index}`, tokens: count, follows: true, total: 0 }))

describe("the exchanges of one call", () => {
  it("are more than 4,000 tokens and at most 16,000, if none of them is larger", () => {
    assert.lengthOf(nextStep(leftOut(3_000, 2_000)), 2)
    assert.lengthOf(nextStep(leftOut(5_000, 5_000, 5_000, 5_000)), 3)
    assert.lengthOf(nextStep(leftOut(1_500, 40_000, 100)), 2)
    assert.lengthOf(nextStep(leftOut(40_000, 1)), 1)
    assert.lengthOf(nextStep(leftOut()), 0)
  })
})

describe("what a model wrote as a summary", () => {
  it("is cut at the end of a line, a sentence or a word before 4,000 bytes", () => {
    assert.strictEqual(summaryOf(" \u0000 Looms.\n"), "Looms.")
    assert.isUndefined(summaryOf(" \n"))
    assert.strictEqual(summaryOf(`${"- a line\n".repeat(1_000)}`)?.length, 9 * 444 - 1)
    assert.match(summaryOf("One sentence here. ".repeat(400)) ?? "", /here\.$/)
    assert.match(summaryOf("word ".repeat(2_000)) ?? "", /word$/)
    for (const text of ["字".repeat(3_000), "🧵".repeat(2_000)]) {
      const summary = summaryOf(text) ?? ""
      assert.isAtMost(Buffer.byteLength(summary), 4_000)
      assert.isAtLeast(Buffer.byteLength(summary), 3_996)
      assert.isTrue(text.startsWith(summary) && summary.isWellFormed())
    }
  })
})

describe("the system instruction", () => {
  it("ends with the summary", () => {
    const first = { id: "q", text: "Why?" }
    assert.strictEqual(withSummary("Be brief.", null), "Be brief.")
    assert.strictEqual(withSummary(null, { text: "So.", first: null }), "Earlier in this conversation:\nSo.")
    assert.strictEqual(
      withSummary("Be brief.", { text: "So.", first }),
      "Be brief.\n\nThe conversation began with this question:\nWhy?\n\nEarlier in this conversation:\nSo."
    )
  })
})
