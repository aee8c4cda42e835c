import { Cause, Effect, Exit, Result } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { gauges, histograms, modelSeconds } from "../ops/Metrics.ts"
import type { AnswerDelta } from "./AnswerEvent.ts"
import type { AnswerEnd, Gemini } from "./Gemini.ts"
import type { Prompt } from "./Prompt.ts"
import type { GeminiError } from "./GeminiError.ts"

type Answer = Gemini["Service"]["answer"]

/** How a call ended: as the answer did, by the kind of its failure, or because the caller ended it. */
const outcomeOf = (exit: Exit.Exit<AnswerEnd, GeminiError>): string => {
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
  const failure = Cause.findError(exit.cause)
  return Result.isSuccess(failure) ? failure.success.kind : "defect"
}

/** The request by the conventions for generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/): no text of either side. */
const requestAttributes = ({ maxOutputTokens, model, responseFormat, temperature }: Prompt, server: string) => ({
  "gen_ai.operation.name": "chat",
  "gen_ai.provider.name": "gcp.gemini",
  "gen_ai.request.model": model,
  "gen_ai.request.max_tokens": maxOutputTokens,
  "gen_ai.request.stream": true,
  "gen_ai.output.type": responseFormat?.type ?? "text",
  "server.address": server,
  ...(temperature === null ? {} : { "gen_ai.request.temperature": temperature })
})

/** What an answer has said of itself so far. */
interface Said {
  /** Seconds. */
  firstPiece?: number | undefined
  finishReason?: string | undefined
  model?: string | undefined
  usage?: AnswerDelta["usage"]
}

const responseAttributes = ({ finishReason, firstPiece, model, usage }: Said) => ({
  ...(firstPiece === undefined ? {} : { "gen_ai.response.time_to_first_chunk": firstPiece }),
  ...(finishReason === undefined ? {} : { "gen_ai.response.finish_reasons": [finishReason] }),
  ...(model === undefined ? {} : { "gen_ai.response.model": model }),
  ...(usage === undefined
    ? {}
    : {
        "gen_ai.usage.input_tokens": usage.promptTokens,
        "gen_ai.usage.output_tokens": usage.replyTokens + usage.thoughtTokens,
        "gen_ai.usage.reasoning.output_tokens": usage.thoughtTokens,
        "gen_ai.usage.cache_read.input_tokens": usage.cachedTokens
      })
})

/** Measures every call and gives it a span. */
export const makeObserved = Effect.gen(function* () {
  const { baseUrl } = (yield* AppConfig).gemini
  const server = new URL(baseUrl ?? "https://generativelanguage.googleapis.com").hostname
  const durations = yield* histograms(
    "chat_model_call_duration_seconds",
    "Time that a call of the model takes, by model and outcome.",
    ["model", "outcome"],
    modelSeconds
  )
  const firstPieces = yield* histograms(
    "chat_model_first_piece_seconds",
    "Time from a call of the model to the first piece of its answer, text or thoughts.",
    ["model"],
    modelSeconds
  )
  const running = yield* gauges("chat_model_calls_in_progress", "Calls of the model that have not ended, by model.", ["model"])

  return (answer: Answer): Answer =>
    (prompt, onDelta) =>
      Effect.suspend(() => {
        const start = performance.now()
        const seconds = () => (performance.now() - start) / 1_000
        const said: Said = {}
        running(prompt.model).add(1)
        const observe = (delta: AnswerDelta) => {
          if (said.firstPiece === undefined && (delta.text !== "" || (delta.thought ?? "") !== "")) {
            said.firstPiece = seconds()
            firstPieces(prompt.model).observe(said.firstPiece)
          }
          said.finishReason = delta.finishReason ?? said.finishReason
          said.model = delta.modelVersion ?? said.model
          said.usage = delta.usage ?? said.usage
          onDelta(delta)
        }
        return answer(prompt, observe).pipe(
          Effect.onExit((exit) =>
            Effect.suspend(() => {
              running(prompt.model).add(-1)
              durations(prompt.model, outcomeOf(exit)).observe(seconds())
              return Effect.annotateCurrentSpan(responseAttributes(said))
            })
          ),
          Effect.withSpan(`chat ${prompt.model}`, { kind: "client", attributes: requestAttributes(prompt, server) })
        )
      })
})
