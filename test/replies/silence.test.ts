import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { afterAll, assert, beforeAll, describe } from "vitest"
import { AppConfig } from "../../src/config/Settings.ts"
import { type GeminiSimulator, startGeminiSimulator } from "../../simulators/gemini/GeminiSimulator.ts"
import type { AnswerDelta } from "../../src/gemini/AnswerEvent.ts"
import { Gemini } from "../../src/gemini/Gemini.ts"
import { environment } from "../../src/ops/Launch.ts"
import { appendDelta, emptyAnswer, outcomeOf } from "../../src/replies/Outcome.ts"
import { until } from "../support/wait.ts"
import { callsTo } from "../support/geminiCalls.ts"

let gemini: GeminiSimulator

beforeAll(async () => {
  gemini = await startGeminiSimulator({ chunkMillis: 1 })
})
afterAll(() => gemini.stop())

const geminiAt = (url: () => string) =>
  Layer.unwrap(
    Effect.sync(() => {
      const settings = environment({
        APP_ENV: "test",
        DATABASE_URL: "postgres://nowhere/none",
        GEMINI_API_KEY: "simulated",
        GEMINI_BASE_URL: url()
      })
      return Gemini.layer.pipe(Layer.provide(AppConfig.layer), Layer.provide(settings))
    })
  )
const GeminiLayer = geminiAt(() => gemini.url)

const prompt = (text: string) => ({
  model: "gemini-3.8-flash",
  systemPrompt: null,
  temperature: null,
  maxOutputTokens: 2_048,
  turns: [{ role: "user" as const, text }]
})
const ignore = () => {}
const callAbout = (text: string) => callsTo(gemini, text)[0]
const really = <A>(look: () => A | Promise<A>) => Effect.promise(() => until(`${look}`, look))
/** Time for the effects of the adjusted clock, because the network runs in real time. */
const aMoment = Effect.promise(() => sleep(100))

describe("a silent model", () => {
  for (const [name, word, chunks] of [
    ["before it answers", "hang", 0],
    ["in the middle of an answer", "stall 2", 2]
  ] as const) {
    it.effect(`fails after 60 seconds ${name}, and its connection is closed`, () =>
      Effect.gen(function* () {
        const { answer } = yield* Gemini
        const about = `[[${word}]] ${name}`
        const running = yield* Effect.forkChild(Effect.result(answer(prompt(about), ignore)))
        yield* really(() => callAbout(about)?.inFlight === true && callAbout(about)?.chunksSent === chunks)
        yield* aMoment
        yield* TestClock.adjust("59 seconds")
        yield* aMoment
        assert.isTrue(callAbout(about)?.inFlight)
        assert.isUndefined(running.pollUnsafe())
        yield* TestClock.adjust("2 seconds")
        const result = yield* Fiber.join(running)
        assert.isTrue(Result.isFailure(result))
        if (Result.isFailure(result)) assert.strictEqual(result.failure.kind, "unavailable")
        const call = yield* really(() => (callAbout(about)?.inFlight === false ? callAbout(about) : undefined))
        assert.isTrue(call.aborted)
      }).pipe(Effect.provide(GeminiLayer))
    )
  }

  it.effect("is given up 60 seconds after its finish reason when the connection stays open, and truncated", () => {
    const last = JSON.stringify({ candidates: [{ content: { parts: [{ text: "All." }] }, finishReason: "STOP" }] })
    const server = createServer((request, response) => {
      request.resume()
      response.writeHead(200, { "content-type": "text/event-stream" }).write(`data: ${last}\n\n`)
    })
    return Effect.gen(function* () {
      yield* Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening"))
      const deltas: Array<AnswerDelta> = []
      yield* Effect.gen(function* () {
        const { answer } = yield* Gemini
        const running = yield* Effect.forkChild(Effect.result(answer(prompt("?"), (delta) => deltas.push(delta))))
        yield* really(() => deltas.length === 1)
        yield* TestClock.adjust("59 seconds")
        yield* aMoment
        assert.isUndefined(running.pollUnsafe())
        yield* TestClock.adjust("2 seconds")
        const end = Result.getOrThrow(yield* Fiber.join(running))
        assert.strictEqual(end, "given_up")
        const outcome = yield* outcomeOf(deltas.reduce(appendDelta, emptyAnswer), end)
        assert.deepStrictEqual([outcome?.status, outcome?.content, outcome?.truncated], ["completed", "All.", true])
      }).pipe(Effect.provide(geminiAt(() => `http://127.0.0.1:${(server.address() as AddressInfo).port}`)))
      assert.strictEqual(deltas[0]?.text, "All.")
      yield* Effect.promise(() => new Promise((closed) => server.close(closed)))
    })
  })

  it.effect("counts what follows its finish reason, also after much silence", () =>
    Effect.gen(function* () {
      const { answer } = yield* Gemini
      const about = "[[late 1500 and more.]] [[say All]] late"
      const deltas: Array<AnswerDelta> = []
      const running = yield* Effect.forkChild(answer(prompt(about), (delta) => deltas.push(delta)))
      yield* really(() => deltas.at(-1)?.finishReason === "STOP")
      yield* aMoment
      yield* TestClock.adjust("59 seconds")
      const end = yield* Fiber.join(running)
      const outcome = yield* outcomeOf(deltas.reduce(appendDelta, emptyAnswer), end)
      assert.deepStrictEqual([end, outcome?.content, outcome?.truncated], ["ended", "Alland more.", false])
    }).pipe(Effect.provide(GeminiLayer))
  )

  it.effect("starts the 60 seconds again with every piece of a slow answer", () =>
    Effect.gen(function* () {
      const { answer } = yield* Gemini
      const about = "[[chunks 5 delay 400]] slowly"
      const pieces: Array<AnswerDelta> = []
      const running = yield* Effect.forkChild(answer(prompt(about), (delta) => pieces.push(delta)))
      for (const chunks of [1, 2, 3, 4]) {
        yield* really(() => (callAbout(about)?.chunksSent ?? 0) >= chunks)
        yield* aMoment
        yield* TestClock.adjust("50 seconds")
      }
      yield* Fiber.join(running)
      assert.strictEqual(pieces.map(({ text }) => text).join(""), callAbout(about)?.textSent)
      assert.strictEqual(pieces.at(-1)?.finishReason, "STOP")
    }).pipe(Effect.provide(GeminiLayer))
  )

  it.effect("closes the call at once when it is interrupted", () =>
    Effect.gen(function* () {
      const { answer } = yield* Gemini
      const about = "[[chunks 100 delay 50]] interrupted"
      const running = yield* Effect.forkChild(answer(prompt(about), ignore))
      yield* really(() => callAbout(about)?.chunksSent)
      yield* Fiber.interrupt(running)
      const call = yield* really(() => (callAbout(about)?.inFlight === false ? callAbout(about) : undefined))
      assert.isTrue(call.aborted)
      assert.isBelow(call.chunksSent, 50)
    }).pipe(Effect.provide(GeminiLayer))
  )
})
