import { assert, describe, it } from "vitest"
import { toDelta } from "../../src/gemini/AnswerEvent.ts"
import { Continuation } from "../../src/gemini/Continuation.ts"

const eventOf = (...parts: ReadonlyArray<object>) => ({ candidates: [{ content: { parts, role: "model" }, index: 0 }] })

describe("thoughts in an event of Google's", () => {
  it("are apart from the text, whatever their order", () => {
    const delta = toDelta(
      eventOf({ text: "a" }, { text: "I think ", thought: true }, { text: "b" }, { text: "so.", thought: true })
    )
    assert.deepStrictEqual([delta.text, delta.thought], ["ab", "I think so."])
  })

  it("have no characters that Postgres cannot store", () => {
    assert.strictEqual(toDelta(eventOf({ text: "a\u0000b\ud800", thought: true })).thought, "ab\ufffd")
  })

  it("are not a signature with an empty text, which is ignored", () => {
    // The last event of a stream without thoughts, as Google sends it.
    const last = {
      candidates: [
        { content: { parts: [{ text: "", thoughtSignature: "EpAICg==" }], role: "model" }, finishReason: "STOP", index: 0 }
      ],
      usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 13, totalTokenCount: 324, thoughtsTokenCount: 302 }
    }
    const delta = toDelta(last)
    assert.deepStrictEqual([delta.text, "thought" in delta, delta.finishReason], ["", false, "STOP"])
    assert.strictEqual(delta.usage?.thoughtTokens, 302)
    assert.notInclude(JSON.stringify(delta), "EpAI")
  })

  it("keep a broken answer from going on from a token before them, as they would come again", () => {
    const resumes = (
      ...deltas: ReadonlyArray<{ readonly text: string; readonly thought?: string; readonly continuationToken?: string }>
    ) => {
      const continuation = new Continuation()
      continuation.startHop()
      for (const delta of deltas) continuation.observe(delta)
      return continuation.endHop()
    }
    const token = { text: "", continuationToken: "dG9rZW4=" }
    assert.isTrue(resumes({ text: "a" }, token))
    assert.isTrue(resumes({ text: "", thought: "Hm." }, token))
    assert.isFalse(resumes({ text: "a" }, token, { text: "", thought: "Hm." }))
  })
})
