import { type Duration, Effect } from "effect"
import type { Tier } from "../api/auth/User.ts"
import { Quota } from "../chat/Quota.ts"
import { Gemini } from "../gemini/Gemini.ts"
import type { Prompt } from "../gemini/Prompt.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import { Models } from "../models/Models.ts"
import type { AttemptCalls } from "./AttemptCalls.ts"

/** The user who pays for a call. */
export interface Payer {
  readonly tier: Tier
  /** Millionths of a dollar that the user's day has spent or reserved. */
  readonly spent: number
  /** By the database's clock. */
  readonly startedAt: Date
}

/** Calls of the model beside replies, for titles and summaries: short, bounded, and made while the user's budget lasts. */
export const makeSideCall = Effect.fnUntraced(function* (bounds: {
  /** For the message of a call that takes too long: `title`. */
  readonly what: string
  readonly model: string
  /** Tokens of an answer, thoughts included. */
  readonly maximumTokens: number
  /** Characters of an answer that are read. */
  readonly maximumAnswer: number
  readonly timeout: Duration.Input
}) {
  const { maximumAnswer, maximumTokens, model, timeout, what } = bounds
  const gemini = yield* Gemini
  const models = yield* Models
  const quota = yield* Quota
  const tooSlow = new GeminiError({ kind: "unavailable", detail: `the ${what} took too long` })

  /** Whether the day's budget holds the longest answer. */
  const hasMoney = ({ spent, startedAt, tier }: Payer, promptTokens: number): boolean => {
    const { budget } = quota.limitsOf(tier)
    if (budget === null) return true
    const usage = { promptTokens, replyTokens: maximumTokens, thoughtTokens: 0, cachedTokens: 0, toolTokens: 0 }
    const { costMicros } = models.costOf({ model, modelVersion: null, usage, searches: 0 }, startedAt.getTime())
    return spent < budget && spent + (costMicros ?? 0) <= budget
  }

  /** The answer's text, and why it ended; `calls` gets what it counted. */
  const answer = Effect.fnUntraced(function* (prompt: Prompt, calls: AttemptCalls, startedAt: number) {
    let text = ""
    let finishReason: string | undefined
    calls.begin(startedAt)
    yield* gemini
      .answer(prompt, (delta) => {
        calls.observe(delta)
        if (text.length < maximumAnswer) text += delta.text
        finishReason = delta.finishReason ?? finishReason
      })
      .pipe(Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(tooSlow) }))
    return { text, finishReason }
  })

  return { hasMoney, answer }
})
