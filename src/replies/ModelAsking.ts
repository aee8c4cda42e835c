import { Deferred, Effect } from "effect"
import { maximumReplyBytes } from "../chat/MessageRow.ts"
import type { AnswerDelta } from "../gemini/AnswerEvent.ts"
import { Gemini } from "../gemini/Gemini.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import type { Prompt } from "../gemini/Prompt.ts"
import type { AttemptCalls } from "./AttemptCalls.ts"
import type { AttemptText } from "./AttemptText.ts"
import type { Claim } from "./Claim.ts"
import {
  type AnswerEnd,
  appendDelta,
  emptyAnswer,
  failed,
  type ModelAnswer,
  type Outcome,
  outcomeOf,
  withOutput,
  withThoughts
} from "./Outcome.ts"
import { replyDeadline } from "./ReplyDeadline.ts"
import { makeTextLimit } from "./TextLimit.ts"

/** Calls for one answer: the model is asked once more when its first answer is empty. */
const maximumCalls = 2

const deadlinePassed = new GeminiError({ kind: "unavailable", detail: "the answer took too long" })

/** What is sent for a reply with these settings. */
const promptOf = (settings: Claim["settings"], systemPrompt: string | null, turns: Prompt["turns"]): Prompt => {
  const { maxOutputTokens, model, responseFormat, stop, temperature, thinking, tools, topP } = settings
  return {
    model,
    systemPrompt,
    temperature,
    topP,
    stop,
    maxOutputTokens,
    responseFormat,
    tools,
    thinkingLevel: thinking?.level ?? undefined,
    includeThoughts: thinking?.summaries,
    turns
  }
}

/** What an attempt asks the model, and where its answer goes. */
interface Asked {
  readonly reply: Claim
  readonly systemPrompt: string | null
  readonly turns: Prompt["turns"]
  readonly calls: AttemptCalls
  readonly text: AttemptText
}

/** Makes the function that asks the model for an attempt until the reply's deadline, and passes on the text as it arrives. */
export const makeModelAsking = Effect.map(Gemini, (gemini) => {
  /** An answer whose text reaches the limit is cut there, and the call is ended. */
  const call = Effect.fnUntraced(function* (prompt: Prompt, onDelta: (delta: AnswerDelta) => void) {
    const keep = makeTextLimit(maximumReplyBytes)
    const full = yield* Deferred.make<AnswerEnd>()
    const answered = gemini.answer(prompt, (delta) => {
      if (Deferred.isDoneUnsafe(full)) return
      const text = keep(delta.text)
      onDelta({ ...delta, text })
      if (text !== delta.text) Deferred.doneUnsafe(full, Effect.succeed("full"))
    })
    return yield* Effect.raceFirst(answered, Deferred.await(full))
  })

  const ask = Effect.fnUntraced(function* ({ calls, reply, systemPrompt, text, turns }: Asked) {
    const prompt = promptOf(reply.settings, systemPrompt, turns)
    // Replaced by `modelVersion` when the answer has one.
    const unanswered: ModelAnswer = { ...emptyAnswer, model: prompt.model }
    let answer = unanswered
    for (let tries = 0; tries < maximumCalls; tries++) {
      answer = unanswered
      calls.begin(yield* reply.now)
      const end = yield* call(prompt, (delta) => {
        calls.observe(delta)
        answer = appendDelta(answer, delta)
        if (prompt.includeThoughts === true) text.thoughts.add(delta.thought ?? "")
        if (delta.text !== "") text.add(delta.text)
      })
      const outcome = yield* outcomeOf(answer, end)
      if (outcome !== undefined) return withOutput(withThoughts(outcome, text.thoughts.text), prompt.responseFormat)
    }
    return failed("empty_response", { finishReason: "STOP", model: answer.model, usage: answer.usage })
  })

  return Effect.fnUntraced(function* (asked: Asked): Effect.fn.Return<Outcome, GeminiError> {
    const { now, startedAt } = asked.reply
    return yield* Effect.timeoutOrElse(ask(asked), {
      duration: Math.max(0, startedAt.getTime() + replyDeadline - (yield* now)),
      orElse: () => Effect.fail(deadlinePassed)
    })
  })
})
