import { type GenerateContentParameters, type GenerateContentResponse, GoogleGenAI } from "@google/genai"
import { Context, Effect, Layer, Redacted, Stream } from "effect"
import { AppConfig } from "../Config.ts"
import { fromUnknown, GeminiError } from "./GeminiError.ts"

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

export interface TokenUsage {
  readonly promptTokens: number
  readonly replyTokens: number
  readonly thoughtTokens: number
  readonly cachedTokens: number
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

/** Time without any sign from the model after which a call counts as lost. */
const idle = "60 seconds"

const toParameters = (prompt: Prompt, abortSignal: AbortSignal): GenerateContentParameters => ({
  model: prompt.model,
  contents: prompt.turns.map(({ role, text }) => ({ role, parts: [{ text }] })),
  config: {
    abortSignal,
    ...(prompt.systemPrompt === null || prompt.systemPrompt === "" ? {} : { systemInstruction: prompt.systemPrompt }),
    ...(prompt.temperature === null ? {} : { temperature: prompt.temperature })
  }
})

const toDelta = (response: GenerateContentResponse): Delta => {
  const candidate = response.candidates?.[0]
  const usage = response.usageMetadata
  // Thoughts are the model's own; they are counted, not shown.
  const text = (candidate?.content?.parts ?? []).map((part) => (part.thought === true ? "" : (part.text ?? ""))).join("")
  return {
    // What cannot be stored is left out here, so that what is streamed is what is kept.
    text: text.replaceAll("\u0000", "").toWellFormed(),
    ...(candidate?.finishReason === undefined ? {} : { finishReason: candidate.finishReason }),
    ...(response.promptFeedback?.blockReason === undefined ? {} : { blockReason: response.promptFeedback.blockReason }),
    ...(response.modelVersion === undefined ? {} : { modelVersion: response.modelVersion }),
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
     * The answer as it is written. Interrupting it closes the connection. A stream that ends without a finish
     * reason was cut: the SDK ends it like a whole one, so the reader must look.
     */
    readonly stream: (prompt: Prompt) => Stream.Stream<Delta, GeminiError>
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

      const stream = (prompt: Prompt) =>
        Stream.unwrap(
          Effect.gen(function* () {
            // Leaving the SDK's iterator does not close its socket; aborting does.
            const controller = yield* Effect.acquireRelease(
              Effect.sync(() => new AbortController()),
              (controller) => Effect.sync(() => controller.abort())
            )
            const responses = yield* Effect.tryPromise({
              try: () => client.models.generateContentStream(toParameters(prompt, controller.signal)),
              catch: fromUnknown
            }).pipe(Effect.timeoutOrElse({ duration: idle, orElse: () => Effect.fail(silent) }))
            return Stream.fromAsyncIterable(responses, fromUnknown)
          })
        ).pipe(Stream.map(toDelta), Stream.timeoutOrElse({ duration: idle, orElse: () => Stream.fail(silent) }))

      return Gemini.of({ defaultModel: model, stream })
    })
  )
}

const silent = new GeminiError({ kind: "unavailable", detail: `no sign of the model for ${idle}` })
