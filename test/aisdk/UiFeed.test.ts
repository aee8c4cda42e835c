import { readUIMessageStream, type UIMessage } from "ai"
import fc from "fast-check"
import { assert, describe, it } from "vitest"
import { type Message, MessageId, type Status } from "../../src/api/chat/Message.ts"
import { UiFeed, uiView } from "../../src/aisdk/UiFeed.ts"
import { beginningOf, toUiMessage } from "../../src/aisdk/UiMessages.ts"
import { extend, type LiveText } from "../../src/stream/LiveText.ts"
import { blankReply } from "../support/blankReply.ts"
import { chunksIn, plain, streamOf, textOf, thoughtsOf } from "./AiClient.ts"

const reply = (status: Status, attempt: number, content = "", more: Partial<Message> = {}): Message => ({
  ...blankReply,
  replyTo: MessageId.make("01980000-0000-7000-8000-000000000003"),
  thoughts: null,
  status,
  attempt,
  content,
  ...more
})
const stateOf = (message: Message, summaries = true) => ({ message, retryAt: null, title: null, summaries })
const live = (attempt: number, text: string): LiveText => ({ attempt, start: 0, text })

/** What the SDK makes of a stream. */
const read = async (text: string): Promise<{ readonly message: UIMessage | undefined; readonly error: unknown }> => {
  let message: UIMessage | undefined
  let error: unknown
  const stream = streamOf(chunksIn(text))
  for await (const next of readUIMessageStream({ stream, onError: (failure) => (error = failure) })) message = next
  return { message, error }
}

/** A client of a reply; each step says what is known by then. */
const follow = (...steps: ReadonlyArray<Parameters<UiFeed["next"]>>): string => {
  const [, first] = steps[0] ?? assert.fail("no step")
  const { feed, opening } = uiView(first.message, beginningOf(first.message))
  return opening + steps.map((step) => feed.next(...step).text).join("")
}
const types = (text: string) => chunksIn(text).map(({ type }) => type)

describe("a reply as chunks of the AI SDK", () => {
  it("has the SDK make the message that is loaded later", async () => {
    const sources = [{ url: "https://a.example/", title: "A", domain: null }]
    const usage = { promptTokens: 1, replyTokens: 2, thoughtTokens: 3, cachedTokens: 0, toolTokens: 0 }
    const ended = reply("completed", 1, "abcd", { thoughts: "hm, so", sources, usage, model: "gemini-3.8-flash" })
    const text = follow(
      [undefined, stateOf(reply("queued", 0))],
      [undefined, stateOf(reply("processing", 1)), live(1, "hm, ")],
      [live(1, "ab"), stateOf(reply("processing", 1)), live(1, "hm, so")],
      [live(1, "abcd"), stateOf(ended), live(1, "hm, so")]
    )
    const { error, message } = await read(text)
    assert.isUndefined(error)
    assert.deepStrictEqual(plain(message), plain(toUiMessage(ended) as UIMessage))
    assert.isTrue(text.endsWith("data: [DONE]\n\n"))
  })

  it("removes the parts of an attempt before the first text of the next one", async () => {
    const text = follow(
      [live(1, "abc"), stateOf(reply("processing", 1), false)],
      [live(1, "abc"), stateOf(reply("waiting", 1), false)],
      [live(2, "x"), stateOf(reply("processing", 2), false)],
      [live(2, "xyz"), stateOf(reply("completed", 2, "xyz"), false)]
    )
    assert.strictEqual(types(text).filter((type) => type === "reset-step").length, 1)
    assert.strictEqual(textOf((await read(text)).message ?? assert.fail()), "xyz")
  })

  it("keeps the new thoughts when the text of the next attempt comes", async () => {
    const text = follow(
      [live(1, "abc"), stateOf(reply("processing", 1)), live(1, "old")],
      // The text is still that of the first attempt.
      [live(1, "abcdef"), stateOf(reply("processing", 2)), live(2, "new")],
      [live(2, "x"), stateOf(reply("processing", 2)), live(2, "newer")],
      [live(2, "xy"), stateOf(reply("completed", 2, "xy", { thoughts: "newer" })), live(2, "newer")]
    )
    const { message = assert.fail() } = await read(text)
    assert.deepStrictEqual([textOf(message), thoughtsOf(message)], ["xy", "newer"])
    assert.strictEqual(types(text).filter((type) => type === "reset-step").length, 1)
  })

  it("replaces a text that ended otherwise than it was streamed", async () => {
    const text = follow(
      [live(1, "abcdef"), stateOf(reply("processing", 1), false)],
      [live(1, "abcdef"), stateOf(reply("completed", 1, "abc"), false)]
    )
    assert.strictEqual(textOf((await read(text)).message ?? assert.fail()), "abc")
  })

  const ends: ReadonlyArray<readonly [string, Partial<Message> & { readonly status: Status }, ReadonlyArray<string>]> = [
    ["a completed reply", { status: "completed" }, ["text-end", "finish-step", "finish"]],
    ["a truncated reply", { status: "completed", truncated: true }, ["text-end", "finish-step", "finish"]],
    ["a cancelled reply", { status: "cancelled" }, ["text-end", "message-metadata", "finish-step", "abort"]],
    [
      "a failed reply",
      { status: "failed", error: { code: "model_unavailable", message: "No answer" } },
      ["text-end", "finish-step", "message-metadata", "error"]
    ],
    [
      "a blocked reply",
      { status: "failed", error: { code: "blocked", message: "Refused" } },
      ["text-end", "finish-step", "finish", "error"]
    ]
  ]
  it.each(ends)("writes the end of %s", async (_, end, wanted) => {
    const text = follow(
      [live(1, "ab"), stateOf(reply("processing", 1))],
      [live(1, "ab"), stateOf(reply("x" as Status, 1, "ab", end))]
    )
    assert.deepStrictEqual(types(text).slice(-wanted.length), wanted)
    const { error, message } = await read(text)
    assert.strictEqual(error instanceof Error ? error.message : undefined, end.error?.message)
    assert.deepInclude(message?.metadata, { status: end.status, error: end.error ?? null })
    const finish = chunksIn(text).find((chunk) => chunk.type === "finish")
    const reasons = { "a completed reply": "stop", "a truncated reply": "length", "a blocked reply": "content-filter" }
    assert.strictEqual(finish?.finishReason, Object.entries(reasons).find(([name]) => name === _)?.[1])
  })

  /** What happens to a reply, one thing after the other. */
  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("text" as const),
        text: fc.string({ minLength: 1, maxLength: 8, unit: "grapheme" })
      })
    },
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant("thought" as const), text: fc.string({ minLength: 1, maxLength: 8 }) })
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("attempt" as const), text: fc.constant("") }) }
  )
  const seed = Number(process.env["AISDK_SEED"] ?? 1)

  it("leaves the stored text and thoughts, whatever a client has seen of them and of earlier attempts", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(step, fc.boolean()), { maxLength: 40 }),
        fc.constantFrom("completed", "cancelled"),
        async (steps, status) => {
          let attempt = 1
          const [text, thoughts] = [live(0, ""), live(0, "")]
          const { feed, opening } = uiView(reply("queued", 0), {})
          let sent = opening
          for (const [{ kind, text: piece }, isRead] of steps) {
            const target = kind === "thought" ? thoughts : text
            if (kind === "attempt") attempt++
            else extend(target, { attempt, offset: target.attempt === attempt ? target.text.length : 0, text: piece })
            if (isRead) sent += feed.next({ ...text }, stateOf(reply("processing", attempt)), { ...thoughts }).text
          }
          const stored = (known: LiveText) => (known.attempt === attempt ? known.text : "")
          const ended = reply(status as Status, attempt, stored(text), { thoughts: stored(thoughts) })
          sent += feed.next(text, stateOf(ended), thoughts).text
          const { error, message = assert.fail() } = await read(sent)
          assert.isUndefined(error)
          assert.deepStrictEqual([textOf(message), thoughtsOf(message)], [ended.content, ended.thoughts])
        }
      ),
      { seed, numRuns: 300 }
    )
  })
})
