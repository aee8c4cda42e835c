import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { exampleQueued } from "../../src/api/chat/Message.ts"
import type { Message } from "../../src/api/chat/Message.ts"
import type { MessageState } from "../../src/chat/Messages.ts"
import { CompletionFeed } from "../../src/openai/CompletionFeed.ts"
import { extend, type LiveText } from "../../src/stream/LiveText.ts"

const head = { id: "chatcmpl-1", created: 1, model: "gemini-3.8-flash" }
const stateOf = (message: Partial<Message>): MessageState => ({
  message: { ...exampleQueued, status: "processing", attempt: 1, ...message },
  retryAt: null,
  title: null,
  summaries: false
})
const running = stateOf({})
const completed = (attempt: number, content: string, more: Partial<Message> = {}) =>
  stateOf({ status: "completed", attempt, content, ...more })
const failed = (code: "blocked" | "model_unavailable") => stateOf({ status: "failed", error: { code, message: "No answer." } })
const live = (attempt: number, text: string, start = 0): LiveText => ({ attempt, start, text })

/** A client that joins chunks, as OpenAI's does. */
class Reader {
  readonly feed: CompletionFeed
  text = ""
  finish: string | undefined
  error: string | undefined
  isDone = false
  constructor(includeUsage = false) {
    this.feed = new CompletionFeed(head, includeUsage)
  }
  next(known: LiveText | undefined, state: MessageState) {
    const progress = this.feed.next(known, state)
    for (const line of progress.text.split("\n\n").filter((event) => event !== "")) {
      assert.isFalse(this.isDone, "nothing follows [DONE]")
      assert.match(line, /^data: /)
      const data = line.slice("data: ".length)
      if (data === "[DONE]") this.isDone = true
      else this.read(JSON.parse(data))
    }
    return progress
  }
  private read({
    choices,
    error
  }: {
    choices?: Array<{ delta: { content?: string }; finish_reason: string | null }>
    error?: { code: string }
  }) {
    if (error !== undefined) this.error = error.code
    this.text += choices?.[0]?.delta.content ?? ""
    this.finish ??= choices?.[0]?.finish_reason ?? undefined
  }
}

describe("the chunks of an answer", () => {
  it("hold back what a new attempt repeats, and go on behind it", () => {
    const reader = new Reader()
    reader.next(live(1, "abc"), running)
    reader.next(live(2, "ab"), running)
    assert.strictEqual(reader.text, "abc")
    reader.next(live(2, "abcd"), running)
    assert.strictEqual(reader.text, "abcd")
    reader.next(undefined, completed(2, "abcde"))
    assert.deepStrictEqual([reader.text, reader.finish, reader.isDone], ["abcde", "stop", true])
  })

  it("end with `restarted` at the first character that differs", () => {
    const reader = new Reader()
    reader.next(live(1, "abc"), running)
    assert.isTrue(reader.next(live(2, "abx"), running).ended)
    assert.deepStrictEqual([reader.text, reader.error, reader.finish, reader.isDone], ["abc", "restarted", undefined, true])
  })

  it("end with `restarted` when the answer is shorter than what was told", () => {
    const reader = new Reader()
    reader.next(live(1, "abc"), running)
    reader.next(undefined, completed(2, "ab"))
    assert.deepStrictEqual([reader.text, reader.error], ["abc", "restarted"])
  })

  it("ask for text that is missing before what is known", () => {
    const reader = new Reader()
    assert.isTrue(reader.next(live(1, "cd", 2), running).gap)
    reader.next(live(1, "abcd"), running)
    assert.isTrue(reader.next(live(2, "cd", 2), running).gap)
    assert.strictEqual(reader.text, "abcd")
  })

  it("write nothing of an answer that fails before its first text", () => {
    const reader = new Reader()
    reader.next(undefined, running)
    assert.deepInclude(reader.next(undefined, failed("model_unavailable")), { text: "", ended: true })
    assert.isDefined(reader.feed.ended)
  })

  it("tell a failure after the first text, or after the response has begun", () => {
    const told = new Reader()
    told.next(live(1, "ab"), running)
    told.next(undefined, failed("model_unavailable"))
    assert.deepStrictEqual([told.error, told.finish, told.isDone], ["server_error", undefined, true])
    const begun = new Reader()
    begun.feed.begin()
    assert.include(begun.next(undefined, running).text, '"role":"assistant"')
    begun.next(undefined, failed("model_unavailable"))
    assert.deepStrictEqual([begun.error, begun.isDone], ["server_error", true])
  })

  it("end with an error when the stream is dismissed, unless nothing was written", () => {
    const error = { error: { message: "Gone", type: "server_error", param: null, code: "server_error" } }
    const silent = new Reader()
    assert.strictEqual(silent.feed.dismiss(error), "")
    assert.strictEqual(silent.feed.ended, "dismissed")
    const told = new Reader()
    told.next(live(1, "ab"), running)
    assert.strictEqual(told.feed.dismiss(error), `data: ${JSON.stringify(error)}\n\ndata: [DONE]\n\n`)
    assert.isFalse(told.feed.hasReplyEnded)
  })

  it("keep what was told of a blocked answer", () => {
    const reader = new Reader()
    reader.next(live(1, "ab"), running)
    reader.next(undefined, failed("blocked"))
    assert.deepStrictEqual([reader.text, reader.finish, reader.isDone], ["ab", "content_filter", true])
  })

  it("have the usage once, behind the finish reason", () => {
    const reader = new Reader(true)
    const usage = { promptTokens: 3, replyTokens: 2, thoughtTokens: 4, cachedTokens: 1, toolTokens: 5 }
    const { text } = reader.next(undefined, completed(1, "ab", { usage }))
    const events = text.split("\n\n").slice(0, -2)
    assert.deepStrictEqual(JSON.parse(events.at(-1)?.slice(6) ?? "").usage, {
      prompt_tokens: 8,
      completion_tokens: 6,
      total_tokens: 14,
      prompt_tokens_details: { cached_tokens: 1 },
      completion_tokens_details: { reasoning_tokens: 4 }
    })
    for (const event of events.slice(0, -1)) assert.isNull(JSON.parse(event.slice(6)).usage)
  })

  it("never join two attempts: the joined text is a prefix of one of them, and the stored text when it ends well", () => {
    const text = fc.array(fc.constantFrom("a", "b", "😀", "é"), { maxLength: 12 }).map((letters) => letters.join(""))
    const attempts = fc.oneof(
      fc.array(text, { minLength: 1, maxLength: 3 }),
      text.map((same) => [same.slice(0, Math.ceil(same.length / 2)), same])
    )
    const pieces = fc.array(fc.record({ attempt: fc.nat(2), offset: fc.oneof(fc.constant(0), fc.nat(24)), length: fc.nat(24) }), {
      maxLength: 12
    })
    let restarts = 0
    let wholes = 0
    fc.assert(
      fc.property(attempts, pieces, fc.constantFrom("completed", "blocked"), (texts, arriving, end) => {
        const reader = new Reader()
        const known: LiveText = { attempt: 0, start: 0, text: "" }
        let isOver = false
        for (const { attempt: number, length, offset } of arriving) {
          const index = number % texts.length
          const piece = (texts[index] ?? "").slice(offset, offset + length)
          if (piece === "" || isOver) continue
          extend(known, { attempt: index + 1, offset, text: piece })
          isOver = reader.next(known, stateOf({ attempt: known.attempt })).ended
          assert.isTrue(texts.some((each) => each.startsWith(reader.text)))
        }
        const last = texts.at(-1) ?? ""
        if (!isOver) reader.next(known, end === "blocked" ? failed("blocked") : completed(texts.length, last))
        assert.isTrue(reader.isDone)
        assert.isTrue(texts.some((each) => each.startsWith(reader.text)))
        if (reader.error === undefined && end === "completed") {
          assert.strictEqual(reader.text, last)
          assert.strictEqual(reader.finish, "stop")
          wholes++
        } else if (reader.error !== undefined) {
          assert.deepStrictEqual([reader.error, reader.finish], ["restarted", undefined])
          restarts++
        }
      }),
      { seed: 1, numRuns: 3_000 }
    )
    assert.isAbove(restarts, 100)
    assert.isAbove(wholes, 500)
  })
})
