import { GoogleGenAI } from "@google/genai"
import { Context, Effect, Layer, Redacted, Result, Semaphore } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { traceHeaders } from "../ops/Tracing.ts"
import { type AnswerDelta, toDelta } from "./AnswerEvent.ts"
import { openEvents, readEvents } from "./AnswerStream.ts"
import { Continuation } from "./Continuation.ts"
import type { GeminiError } from "./GeminiError.ts"
import { contentsOf, safetySettingsOf, toParameters } from "./GoogleRequest.ts"
import { watchIdle } from "./IdleWatch.ts"
import { type EndOfModel, endOfModel, makeModelNotices } from "./ModelStatus.ts"
import { makeObserved } from "./ObservedAnswer.ts"
import type { Prompt } from "./Prompt.ts"
import { inFlightOf, maximumInFlight } from "./PromptFile.ts"

/** Whether Google ended the answer, or an open connection was given up after its finish reason: more may have come. */
export type AnswerEnd = "ended" | "given_up"

/** Google's SDK behind a port. The SDK's own retries stay off, because they ignore the lease, the pause and RetryInfo. */
export class Gemini extends Context.Service<
  Gemini,
  {
    /**
     * Calls `onDelta` for every piece of the answer, and ends with the answer. Interrupting it closes the connection.
     * An answer without a finish reason was cut off, even though this succeeds: the caller must check.
     */
    readonly answer: (prompt: Prompt, onDelta: (delta: AnswerDelta) => void) => Effect.Effect<AnswerEnd, GeminiError>
  }
>()("chat-backend/gemini/Gemini") {
  static readonly layer = Layer.effect(
    Gemini,
    Effect.gen(function* () {
      const { apiKey, apiVersion, baseUrl, safetyThreshold } = (yield* AppConfig).gemini
      const safetySettings = safetySettingsOf(safetyThreshold)
      const client = new GoogleGenAI({
        apiKey: Redacted.value(apiKey),
        apiVersion,
        ...(baseUrl === undefined ? {} : { httpOptions: { baseUrl } })
      })

      const notice = makeModelNotices()
      const memory = yield* Semaphore.make(maximumInFlight)

      const observed = yield* makeObserved
      const answer: Gemini["Service"]["answer"] = Effect.fnUntraced(function* (prompt, onDelta) {
        const controller = yield* Effect.acquireRelease(
          Effect.sync(() => new AbortController()),
          (controller) => Effect.sync(() => controller.abort())
        )
        const idle = yield* watchIdle
        const headers = yield* traceHeaders
        const continuation = new Continuation()
        let end: EndOfModel | undefined
        const inFlight = inFlightOf(prompt.turns.flatMap(({ files = [] }) => files))
        /** Sends the request; a wait for memory is not the model's silence. */
        const open = Effect.gen(function* () {
          const { contents, sent } = yield* contentsOf(prompt.turns)
          idle.resume()
          const parameters = toParameters(prompt, contents, safetySettings, controller.signal, continuation.token)
          return yield* openEvents(client, parameters, { files: sent, headers, onSent: () => idle.reset(false) })
        })
        const hop = Effect.suspend(() => {
          continuation.startHop()
          if (inFlight === 0) return open
          idle.pause()
          return memory.withPermits(inFlight)(open)
        }).pipe(
          Effect.flatMap((body) =>
            readEvents(body, (event) => {
              end ??= endOfModel(event)
              const delta = continuation.observe(toDelta(event))
              idle.reset(delta.finishReason !== undefined)
              onDelta(delta)
            }).pipe(Effect.result)
          )
        )
        const answered = Effect.gen(function* () {
          while (true) {
            const read = yield* hop
            if (end !== undefined) yield* notice(prompt.model, end)
            if (continuation.endHop()) continue
            if (continuation.isFinished && isBroken(read)) return "given_up" as const
            return yield* Effect.as(Effect.fromResult(read), "ended" as const)
          }
        })
        return yield* Effect.raceFirst(answered, idle.over)
      }, Effect.scoped)

      return Gemini.of({ answer: observed(answer) })
    })
  )
}

/** After a finish reason a connection that breaks has brought the answer: asking again would pay for it again. */
const isBroken = (read: Result.Result<void, GeminiError>): boolean =>
  Result.isFailure(read) && read.failure.isConnectionLost === true
