import { type GenerateContentParameters, GoogleGenAI } from "@google/genai"
import { Context, Effect, Layer, Redacted } from "effect"
import type { TokenUsage } from "../api/chat/Message.ts"
import { AppConfig } from "../config/Settings.ts"
import { type Event, openEvents, readEvents } from "./AnswerStream.ts"
import { GeminiError } from "./GeminiError.ts"

export interface Turn {
  readonly role: "user" | "model"
  readonly text: string
}

export interface Prompt {
  readonly model: string
  readonly systemPrompt: string | null
  readonly temperature: number | null
  /** From the user to the user, with the roles in turn. */
  readonly turns: ReadonlyArray<Turn>
}

/** One piece of an answer: some text, and whatever else the model said with it. */
export interface Delta {
  readonly text: string
  readonly finishReason?: string
  /** The prompt itself was refused. */
  readonly blockReason?: string
  readonly usage?: TokenUsage
  readonly modelVersion?: string
}

/** Seconds without any sign from the model after which a call counts as lost. */
const idleSeconds = 60
/** The same once it has given its finish reason: nothing of the answer is missing, so it counts as ended. */
const lingerSeconds = 10

const toParameters = (prompt: Prompt, abortSignal: AbortSignal): GenerateContentParameters => ({
  model: prompt.model,
  contents: prompt.turns.map(({ role, text }) => ({ role, parts: [{ text }] })),
  config: {
    abortSignal,
    ...(prompt.systemPrompt === null || prompt.systemPrompt === "" ? {} : { systemInstruction: prompt.systemPrompt }),
    ...(prompt.temperature === null ? {} : { temperature: prompt.temperature })
  }
})

const toDelta = (event: Event): Delta => {
  const candidate = event.candidates?.[0]
  const usage = event.usageMetadata
  // Thoughts are the model's own; they are counted, not shown.
  const text = (candidate?.content?.parts ?? []).map((part) => (part.thought === true ? "" : (part.text ?? ""))).join("")
  return {
    // What cannot be stored is left out here, so that what is streamed is what is kept.
    text: text.replaceAll("\u0000", "").toWellFormed(),
    ...(candidate?.finishReason === undefined ? {} : { finishReason: candidate.finishReason }),
    ...(event.promptFeedback?.blockReason === undefined ? {} : { blockReason: event.promptFeedback.blockReason }),
    ...(event.modelVersion === undefined ? {} : { modelVersion: event.modelVersion }),
    ...(usage === undefined
      ? {}
      : {
          usage: {
            promptTokens: usage.promptTokenCount ?? 0,
            replyTokens: usage.candidatesTokenCount ?? 0,
            thoughtTokens: usage.thoughtsTokenCount ?? 0,
            cachedTokens: usage.cachedContentTokenCount ?? 0
          }
        })
  }
}

/** Google's SDK behind a port. Its own retries stay off: they do not know our lease, our pause or RetryInfo. */
export class Gemini extends Context.Service<
  Gemini,
  {
    readonly defaultModel: string
    /**
     * Hands every piece of the answer on as it is written, and ends with the answer. Interrupting it closes the
     * connection. One that lacks a finish reason was cut, though its connection ended well: the caller must look.
     */
    readonly answer: (prompt: Prompt, onDelta: (delta: Delta) => void) => Effect.Effect<void, GeminiError>
  }
>()("chat-backend/gemini/Gemini") {
  static readonly layer = Layer.effect(
    Gemini,
    Effect.gen(function* () {
      const { apiKey, apiVersion, baseUrl, model } = (yield* AppConfig).gemini
      const client = new GoogleGenAI({
        apiKey: Redacted.value(apiKey),
        apiVersion,
        ...(baseUrl === undefined ? {} : { httpOptions: { baseUrl } })
      })

      const answer: Gemini["Service"]["answer"] = Effect.fnUntraced(function* (prompt, onDelta) {
        const controller = yield* Effect.acquireRelease(
          Effect.sync(() => new AbortController()),
          (controller) => Effect.sync(() => controller.abort())
        )
        const silence = yield* watchSilence
        const answered = openEvents(client, toParameters(prompt, controller.signal)).pipe(
          Effect.flatMap((body) =>
            readEvents(body, (event) => {
              const delta = toDelta(event)
              silence.end(delta.finishReason !== undefined)
              onDelta(delta)
            })
          )
        )
        return yield* Effect.raceFirst(answered, silence.over)
      }, Effect.scoped)

      return Gemini.of({ defaultModel: model, answer })
    })
  )
}

/** Looks once a second whether there was a sign, which is cheaper than a timer anew for each. */
const watchSilence = Effect.sync(() => {
  let seconds = 0
  let isFinished = false
  const look = Effect.suspend(() => {
    seconds++
    if (isFinished && seconds > lingerSeconds) return Effect.succeed(true)
    return seconds > idleSeconds ? Effect.fail(silent) : Effect.succeed(false)
  })
  return {
    end: (withFinishReason: boolean) => {
      seconds = 0
      isFinished ||= withFinishReason
    },
    over: look.pipe(Effect.delay("1 second"), Effect.repeat({ until: (isOver) => isOver }), Effect.asVoid)
  }
})

const silent = new GeminiError({ kind: "unavailable", detail: `no sign of the model for ${idleSeconds} seconds` })
