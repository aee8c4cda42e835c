import { Effect } from "effect"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import type { CompletionMessage } from "../../src/api/openai/Completion.ts"
import { turnsOf } from "../../src/openai/Turns.ts"

const read = (messages: ReadonlyArray<CompletionMessage>) => Effect.runSync(Effect.result(turnsOf({ messages })))

describe("the turns of a request", () => {
  it("alternate, begin and end with the user, and have every text in its order", () => {
    const word = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => text.trim() !== "")
    const message = fc.record({ role: fc.constantFrom("user" as const, "assistant" as const), content: word })
    fc.assert(
      fc.property(fc.array(word), fc.array(message), word, (system, between, question) => {
        const messages: Array<CompletionMessage> = [
          ...system.map((content) => ({ role: "system" as const, content })),
          { role: "user", content: "first" },
          ...between,
          { role: "user", content: question }
        ]
        const result = read(messages)
        if (result._tag === "Failure") return assert.fail(result.failure.detail)
        const { before, question: last, systemPrompt } = result.success
        const turns = [...before, last]
        for (const [index, turn] of turns.entries()) assert.strictEqual(turn.role, index % 2 === 0 ? "user" : "model")
        assert.strictEqual(turns.length % 2, 1)
        const said = messages.slice(system.length).map(({ content }) => content)
        assert.strictEqual(turns.map(({ text }) => text).join("\n\n"), said.join("\n\n"))
        assert.strictEqual(systemPrompt ?? "", system.join("\n\n"))
      }),
      { seed: 1 }
    )
  })

  it("refuse more files than a question may have", () => {
    const part = { type: "image_url" as const, image_url: { url: "data:image/png;base64,AAAA" } }
    const result = read([{ role: "user", content: Array.from({ length: 11 }, () => part) }])
    assert.strictEqual(result._tag === "Failure" && result.failure.detail, "Invalid 'messages': at most 10 files are taken")
  })
})
