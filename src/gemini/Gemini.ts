import {
  type Content,
  type GenerateContentParameters,
  GoogleGenAI,
  HarmBlockThreshold,
  HarmCategory,
  type SafetySetting,
  type ThinkingConfig,
  ThinkingLevel,
  type ToolListUnion
} from "@google/genai"
import { Context, Effect, Layer, Redacted, Semaphore } from "effect"
import type { ResponseFormat } from "../api/chat/Settings.ts"
import type { Tool } from "../api/models/ModelsApi.ts"
import { AppConfig, type Settings } from "../config/Settings.ts"
import { traceHeaders } from "../ops/Tracing.ts"
import { type AnswerDelta, toDelta } from "./AnswerEvent.ts"
import { openEvents, readEvents } from "./AnswerStream.ts"
import { Continuation } from "./Continuation.ts"
import { GeminiError } from "./GeminiError.ts"
import { makeObserved } from "./ObservedAnswer.ts"
import { inFlightOf, maximumInFlight, partsOf, type PromptFile, type SentBytes } from "./PromptFile.ts"
import { type EndOfModel, endOfModel, makeModelNotices } from "./ModelStatus.ts"

export interface Turn {
  readonly role: "user" | "model"
  /** Empty only beside files. */
  readonly text: string
  /** Before the text. */
  readonly files?: ReadonlyArray<PromptFile> | undefined
}

export interface Prompt {
  readonly model: string
  readonly systemPrompt: string | null
  readonly temperature: number | null
  readonly topP?: number | undefined
  /** Texts before which the answer ends: at most five. */
  readonly stop?: ReadonlyArray<string> | undefined
  /** Tokens of the answer, thoughts included. */
  readonly maxOutputTokens: number
  readonly responseFormat?: ResponseFormat | undefined
  readonly tools?: ReadonlyArray<Tool> | undefined
  /** Google's default when it is absent. */
  readonly thinkingLevel?: keyof typeof thinkingLevels | undefined
  /** Whether the answer has summaries of the model's thoughts. */
  readonly includeThoughts?: boolean | undefined
  /** The roles alternate; the first and the last turn are the user's. */
  readonly turns: ReadonlyArray<Turn>
}

const thinkingLevels = {
  minimal: ThinkingLevel.MINIMAL,
  low: ThinkingLevel.LOW,
  medium: ThinkingLevel.MEDIUM,
  high: ThinkingLevel.HIGH
} as const

/** A call is given up after this many seconds without an event. */
const idleSeconds = 60

/** Whether Google ended the answer, or an open connection was given up after its finish reason: more may have come. */
export type AnswerEnd = "ended" | "given_up"

const jsonOf = ({ schema }: ResponseFormat) => ({
  responseMimeType: "application/json",
  ...(schema === undefined ? {} : { responseJsonSchema: schema })
})

/** A list of objects with one tool each, as Google documents it. */
const toolsOf = (tools: ReadonlyArray<Tool>): ToolListUnion =>
  tools.map((tool) => (tool === "search" ? { googleSearch: {} } : { urlContext: {} }))

const thresholds = {
  off: HarmBlockThreshold.OFF,
  high: HarmBlockThreshold.BLOCK_ONLY_HIGH,
  medium: HarmBlockThreshold.BLOCK_MEDIUM_AND_ABOVE,
  low: HarmBlockThreshold.BLOCK_LOW_AND_ABOVE
} as const

/** Undefined for the model's own default. */
const safetySettingsOf = (level: Settings["gemini"]["safetyThreshold"]): Array<SafetySetting> | undefined =>
  level === "default"
    ? undefined
    : [
        HarmCategory.HARM_CATEGORY_HARASSMENT,
        HarmCategory.HARM_CATEGORY_HATE_SPEECH,
        HarmCategory.HARM_CATEGORY_SEXUALLY_EXPLICIT,
        HarmCategory.HARM_CATEGORY_DANGEROUS_CONTENT
      ].map((category) => ({ category, threshold: thresholds[level] }))

/** A level is never sent together with a budget of tokens, which Google refuses. */
const thinkingConfigOf = ({ includeThoughts = false, thinkingLevel }: Prompt): { thinkingConfig?: ThinkingConfig } => {
  if (thinkingLevel === undefined && !includeThoughts) return {}
  return {
    thinkingConfig: {
      ...(thinkingLevel === undefined ? {} : { thinkingLevel: thinkingLevels[thinkingLevel] }),
      ...(includeThoughts ? { includeThoughts } : {})
    }
  }
}

const toParameters = (
  prompt: Prompt,
  contents: Array<Content>,
  safetySettings: Array<SafetySetting> | undefined,
  abortSignal: AbortSignal,
  token: string | undefined
): GenerateContentParameters => ({
  model: prompt.model,
  contents,
  config: {
    abortSignal,
    ...(token === undefined ? {} : { continuationToken: token }),
    ...(prompt.systemPrompt === null || prompt.systemPrompt === "" ? {} : { systemInstruction: prompt.systemPrompt }),
    maxOutputTokens: prompt.maxOutputTokens,
    ...(safetySettings === undefined ? {} : { safetySettings }),
    ...(prompt.temperature === null ? {} : { temperature: prompt.temperature }),
    ...(prompt.topP === undefined ? {} : { topP: prompt.topP }),
    ...(prompt.stop === undefined || prompt.stop.length === 0 ? {} : { stopSequences: [...prompt.stop] }),
    ...(prompt.responseFormat?.type === "json" ? jsonOf(prompt.responseFormat) : {}),
    ...(prompt.tools === undefined || prompt.tools.length === 0 ? {} : { tools: toolsOf(prompt.tools) }),
    ...thinkingConfigOf(prompt)
  }
})

/** The turns in Google's form, and the files whose bytes are put in when they are sent. */
const contentsOf = Effect.fnUntraced(function* (turns: Prompt["turns"]) {
  const sent = new Map<string, SentBytes>()
  const contents = yield* Effect.forEach(turns, ({ files = [], role, text }) =>
    Effect.map(files.length === 0 ? noParts : partsOf(files), ({ parts, sent: ofTurn }) => {
      for (const [name, file] of ofTurn) sent.set(name, file)
      if (text === "" && parts.length > 0) return { role, parts }
      return { role, parts: [...parts, { text: text === "" ? wordless : text }] }
    })
  )
  return { contents, sent }
})
/** Google refuses an empty part: a question whose files were not copied with it has neither. */
const wordless = "[file]"
const noParts: ReturnType<typeof partsOf> = Effect.succeed({ parts: [], sent: new Map<string, SentBytes>() })

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
            return yield* Effect.as(Effect.fromResult(read), "ended" as const)
          }
        })
        return yield* Effect.raceFirst(answered, idle.over)
      }, Effect.scoped)

      return Gemini.of({ answer: observed(answer) })
    })
  )
}

/**
 * Checks once a second how long ago the last event was, which is cheaper than a new timer for each event. Text may follow
 * a finish reason, so the finish reason does not shorten the wait.
 */
const watchIdle = Effect.sync(() => {
  let seconds = 0
  let isFinished = false
  let isPaused = false
  const check = Effect.suspend(() => {
    if (isPaused) return Effect.succeed(false)
    seconds++
    if (seconds <= idleSeconds) return Effect.succeed(false)
    return isFinished ? Effect.succeed(true) : Effect.fail(idleTimeout)
  })
  return {
    reset: (withFinishReason: boolean) => {
      seconds = 0
      isFinished ||= withFinishReason
    },
    pause: () => {
      isPaused = true
    },
    resume: () => {
      isPaused = false
      seconds = 0
    },
    /** When the call is idle for too long, ends if the answer has a finish reason, and fails if it has none. */
    over: check.pipe(Effect.delay("1 second"), Effect.repeat({ until: (isOver) => isOver }), Effect.as("given_up" as const))
  }
})

const idleTimeout = new GeminiError({ kind: "unavailable", detail: `no event from the model for ${idleSeconds} seconds` })
