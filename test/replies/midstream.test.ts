import { once } from "node:events"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { Effect, Layer, ManagedRuntime, Result } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { AppConfig } from "../../src/config/Settings.ts"
import type { AnswerDelta } from "../../src/gemini/AnswerEvent.ts"
import { Gemini } from "../../src/gemini/Gemini.ts"
import { environment } from "../../src/ops/Launch.ts"
import { inParallel } from "../support/inParallel.ts"

const piece = (text: string, more = {}) => JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, ...more }] })
const busy = JSON.stringify(
  {
    error: {
      code: 429,
      status: "RESOURCE_EXHAUSTED",
      message: "Slow down",
      details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "7s" }]
    }
  },
  null,
  2
)

describe("the stream of an answer", () => {
  type Write = (response: ServerResponse) => Promise<void> | void
  /** What the server writes for each model name. */
  const writes = new Map<string, Write>()
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(200, { "content-type": "text/event-stream" })
    const model = /models\/([^:]+):/.exec(request.url ?? "")?.[1] ?? ""
    void Promise.resolve(writes.get(model)?.(response)).then(() => response.end())
  })
  let runtime: ManagedRuntime.ManagedRuntime<Gemini, unknown>
  beforeAll(async () => {
    await once(server.listen(0, "127.0.0.1"), "listening")
    const settings = environment({
      APP_ENV: "test",
      DATABASE_URL: "postgres://nowhere/none",
      GEMINI_API_KEY: "simulated",
      GEMINI_BASE_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    })
    runtime = ManagedRuntime.make(Gemini.layer.pipe(Layer.provide(AppConfig.layer), Layer.provide(settings)))
  })
  afterAll(async () => {
    await runtime.dispose()
    server.close()
  })

  let models = 0
  const answer = (write: Write) => {
    const model = `m${models++}`
    writes.set(model, write)
    const deltas: Array<AnswerDelta> = []
    const prompt = {
      model,
      systemPrompt: null,
      temperature: null,
      maxOutputTokens: 2_048,
      turns: [{ role: "user" as const, text: "?" }]
    }
    return Gemini.pipe(
      Effect.flatMap((gemini) => Effect.result(gemini.answer(prompt, (delta) => deltas.push(delta)))),
      Effect.map((result) => ({ result, text: deltas.map(({ text }) => text).join(""), last: deltas.at(-1) })),
      runtime.runPromise
    )
  }
  /** Answers with `bytes`, cut into two chunks at every place from `first` on, eight answers at a time. */
  const answerCut = (
    bytes: Buffer,
    [first, end]: readonly [number, number],
    check: (ended: Awaited<ReturnType<typeof answer>>, cut: number) => void
  ) =>
    inParallel(
      8,
      Array.from({ length: end - first }, (_, index) => first + index),
      async (cut) =>
        check(
          await answer(async (response) => {
            response.socket?.setNoDelay(true)
            response.write(bytes.subarray(0, cut))
            await sleep(2)
            response.write(bytes.subarray(cut))
          }),
          cut
        )
    )
  const refusal = ({ result }: Awaited<ReturnType<typeof answer>>) =>
    Result.isFailure(result) ? result.failure : assert.fail("it did not fail")

  it.each([
    ["as an event", (error: string) => `data: ${JSON.stringify(JSON.parse(error))}\r\n\r\n`],
    ["as bare JSON", (error: string) => error]
  ])("fails with an error that comes %s", async (_, toText) => {
    const ended = await answer(async (response) => {
      response.write(`data: ${piece("Half")}\r\n\r\n`)
      await sleep(50)
      response.write(toText(busy))
    })
    assert.strictEqual(ended.text, "Half")
    const { kind, retryAfter } = refusal(ended)
    assert.deepStrictEqual([kind, retryAfter], ["rate_limited", 7_000])
  })

  it.each([["\n"], ["\r\n"], ["\r"]])("is read wherever the chunks are cut, with lines that end in %j", async (line) => {
    const whole = `data: ${piece("Grüße, ")}${line}${line}data: ${piece("Ada 🙂", { finishReason: "STOP" })}${line}${line}`
    const bytes = Buffer.from(whole)
    await answerCut(bytes, [1, bytes.length], ({ last, result, text }, cut) => {
      assert.isTrue(Result.isSuccess(result), `cut at ${cut}`)
      assert.strictEqual(text, "Grüße, Ada 🙂")
      assert.strictEqual(last?.finishReason, "STOP")
    })
  })

  // https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
  describe("follows the standard", () => {
    const [first, second] = [piece("Grüße, "), piece("Ada", { finishReason: "STOP" })]
    const lines = JSON.stringify(JSON.parse(second), null, 1).split("\n")
    const multiline = lines.map((line) => `data: ${line}\n`).join("")

    it.each([
      ["a byte order mark", `\ufeffdata: ${first}\n\ndata: ${second}\n\n`],
      ["comments", `: hello\n\n:\ndata: ${first}\n: {"error": {"code": 429}}\n\n:[\n\ndata: ${second}\n\n: bye`],
      ["data of several lines", `data: ${first}\n\n${multiline}\n`],
      ["data without a space", `data:${first}\n\ndata:${second}\n\n`],
      ["other fields", `id: 1\nevent: message\nretry: 5\ndata: ${first}\n\nodd\nodd: {\ndata: ${second}\n\n`],
      ["mixed ends of lines", `data: ${first}\r\r\n\ndata: ${second}\n\r\n`],
      ["events without data", `data:\n\ndata: ${first}\n\ndata: \n\ndata: ${second}\n\ndata\n\n`],
      ["the last event of other APIs", `data: ${first}\n\ndata: ${second}\n\ndata: [DONE]\n\n`],
      ["empty events", `\n\n\nevent: ping\n\ndata: ${first}\n\n\n\ndata: ${second}\n\n\n`]
    ])("with %s, wherever it is cut", async (_, stream) => {
      const bytes = Buffer.from(stream)
      await answerCut(bytes, [0, bytes.length + 1], ({ last, result, text }, cut) => {
        assert.isTrue(Result.isSuccess(result), `cut at ${cut}`)
        assert.deepStrictEqual([text, last?.finishReason], ["Grüße, Ada", "STOP"], `cut at ${cut}`)
      })
    })

    it("ignores a last event without a blank line after it", async () => {
      for (const end of ["", "\n"]) {
        const { last, result, text } = await answer((response) => void response.write(`data: ${first}\n\ndata: ${second}${end}`))
        assert.isTrue(Result.isSuccess(result))
        assert.deepStrictEqual([text, last?.finishReason], ["Grüße, ", undefined])
      }
    })
  })

  it.each([
    ['{"candidates": 7}'],
    ['{"candidates": [{"content": {"parts": {"text": "private words"}}}]}'],
    ['{"candidates": [{"content": {"parts": [{"text": ["private words"]}]}}]}'],
    ["[]"]
  ])("fails as unavailable on an event of an unexpected shape, and does not quote it: %s", async (event) => {
    const { detail, kind } = refusal(await answer((response) => void response.write(`data: ${event}\n\n`)))
    assert.strictEqual(kind, "unavailable")
    assert.notInclude(detail, "private words")
  })

  it("is given up, and not failed, when the connection breaks after the finish reason", async () => {
    const breakOff = async (response: ServerResponse, more: object) => {
      response.write(`data: ${piece("All.", more)}\n\n`)
      await sleep(50)
      response.socket?.resetAndDestroy()
    }
    const whole = await answer((response) => breakOff(response, { finishReason: "STOP" }))
    assert.deepStrictEqual(whole.result, Result.succeed("given_up" as const))
    assert.deepStrictEqual([whole.text, whole.last?.finishReason], ["All.", "STOP"])
    assert.strictEqual(refusal(await answer((response) => breakOff(response, {}))).kind, "unavailable")
  })

  it("reads the unspecified value of a reason as an omitted field", async () => {
    const { last, result } = await answer((response) => {
      const feedback = { blockReason: "BLOCK_REASON_UNSPECIFIED" }
      const event = JSON.parse(piece("A", { finishReason: "FINISH_REASON_UNSPECIFIED" }))
      response.write(`data: ${JSON.stringify({ ...event, promptFeedback: feedback })}\n\n`)
    })
    assert.isTrue(Result.isSuccess(result))
    assert.deepStrictEqual([last?.text, last?.finishReason, last?.blockReason], ["A", undefined, undefined])
  })

  it("reads null as an omitted field", async () => {
    const first = {
      candidates: [{ content: { parts: [{ text: "A", thought: null }] }, finishReason: null }],
      usageMetadata: null
    }
    const { last, result, text } = await answer((response) => void response.write(`data: ${JSON.stringify(first)}\n\n`))
    assert.isTrue(Result.isSuccess(result))
    assert.strictEqual(text, "A")
    assert.deepStrictEqual([last?.finishReason, last?.usage], [undefined, undefined])
  })

  it.each([
    [{ content: { parts: [{ text: "A", thought: "no" }], role: 7 } }],
    [{ content: { parts: [{ text: "A" }, { text: 7 }, "odd", null] } }],
    [{ content: { parts: [{ text: "A" }] }, index: "first", safetyRatings: 7, citationMetadata: [], tokenCount: "many" }],
    [{ content: { parts: [{ text: "A" }] }, finishReason: { reason: "STOP" }, finishMessage: 7 }]
  ])("keeps the text of a candidate with members of other types than documented: %j", async (candidate) => {
    const events = [{ candidates: [candidate] }, { candidates: [{ content: 7, finishReason: "STOP" }] }]
    const { last, result, text } = await answer((response) => {
      for (const event of events) response.write(`data: ${JSON.stringify(event)}\n\n`)
    })
    assert.isTrue(Result.isSuccess(result))
    assert.deepStrictEqual([text, last?.finishReason], ["A", "STOP"])
  })

  it("fails at once on an event without an end", { timeout: 60_000 }, async () => {
    const { detail, kind, maximumAttempts } = refusal(
      await answer(async (response) => {
        response.write(`data: ${piece("A")}\n\ndata: `)
        for (let sent = 0; sent < 66 && !response.destroyed; sent++) {
          if (!response.write("x".repeat(1_048_576))) await once(response, "drain")
        }
      })
    )
    assert.deepStrictEqual([kind, detail, maximumAttempts], ["unavailable", "an event is too long", 1])
  })

  it("fails as unavailable on an event that is not JSON", async () => {
    const ended = await answer((response) => void response.write("data: {not JSON}\n\n"))
    assert.strictEqual(refusal(ended).kind, "unavailable")
  })

  describe("an answer with odd values", () => {
    const finished = { candidates: [{ content: { parts: [{ text: "A" }] }, finishReason: "STOP" }] }
    const answered = (event: object) => answer((response) => void response.write(`data: ${JSON.stringify(event)}\n\n`))

    it.each([[-1], [2 ** 31], [1.5], ["12"], [{}], [null], [Number.MAX_VALUE]])(
      "is kept, and its count %j is not",
      async (count) => {
        const { last, result, text } = await answered({ ...finished, usageMetadata: { promptTokenCount: count, other: [count] } })
        assert.isTrue(Result.isSuccess(result))
        assert.strictEqual(text, "A")
        assert.strictEqual(last?.usage?.promptTokens, 0)
      }
    )

    it.each([[7], ["a\u0000b"], [["x"]], ["x".repeat(201)], [""]])(
      "is kept, and its model's name %j is not",
      async (modelVersion) => {
        const { last, result, text } = await answered({
          ...finished,
          modelVersion,
          promptFeedback: { blockReason: 7 },
          unknown: [1]
        })
        assert.isTrue(Result.isSuccess(result))
        assert.strictEqual(text, "A")
        assert.deepStrictEqual([last?.modelVersion, last?.blockReason, last?.finishReason], [undefined, undefined, "STOP"])
      }
    )
  })

  describe("an error in the middle of an answer", () => {
    const piece = JSON.stringify({ candidates: [{ content: { parts: [{ text: "Half" }] } }] })
    const status = {
      error: { code: 429, message: "slow down", details: [{ "@type": "RetryInfo", retryDelay: "7s" }] }
    }
    const bare = JSON.stringify(status, null, 2)

    it.each([["[DONE]"], ["{not: JSON}"], ["[[]"], ["{}\n{}"]])("is ignored when its line is not a field: %s", async (line) => {
      const { last, result, text } = await answer((response) => {
        response.write(`data: ${piece}\n\n${line}\n\n`.repeat(3))
        response.write(`data: ${JSON.stringify({ candidates: [{ finishReason: "STOP" }] })}\n\n`)
      })
      if (line === "[[]") return assert.strictEqual(refusal({ last, result, text }).kind, "unavailable")
      assert.isTrue(Result.isSuccess(result))
      assert.deepStrictEqual([text, last?.finishReason], ["HalfHalfHalf", "STOP"])
    })

    it("fails the call when it has no end, long before the memory is full", async () => {
      const ended = await answer(async (response) => {
        response.write(`data: ${piece}\n\n{"error": "`)
        while (!response.destroyed && response.writable) {
          response.write("x".repeat(16_384))
          await sleep(1)
        }
      })
      assert.strictEqual(refusal(ended).kind, "unavailable")
    })

    it.each([
      ["bare", [`data: ${piece}\n\n`, bare]],
      ["in a list", [`data: ${piece}\n\n`, `[${bare}]`]],
      ["glued to an event", [`data: ${piece}\n\n${bare}`]],
      ["torn", [`data: ${piece}\n\n`, bare.slice(0, 30), bare.slice(30)]],
      ["bare behind a byte order mark", [`\ufeff${bare}`]],
      ["before more bytes", [`data: ${piece}\n\n${bare}\n\ndata: {"candidates": []}\n\n`]],
      ["before more bytes, torn", [`data: ${piece}\n\n${bare}`.slice(0, -9), `${bare.slice(-9)}\r\n\r\ndata: `, "{"]],
      ["torn behind its first character", [`data: ${piece}\n\n${bare.slice(0, 1)}`, bare.slice(1)]],
      ["an event with a list", [`data: ${piece}\n\n`, `data: [${JSON.stringify(status)}]\n\n`]]
    ])("is read with its delay: %s", async (_, writes) => {
      const ended = await answer(async (response) => {
        response.socket?.setNoDelay(true)
        for (const text of writes) {
          response.write(text)
          await sleep(30)
        }
      })
      assert.strictEqual(ended.text, writes[0]?.includes("Half") ? "Half" : "")
      const { kind, retryAfter } = refusal(ended)
      assert.deepStrictEqual([kind, retryAfter], ["rate_limited", 7_000])
    })
  })
})
