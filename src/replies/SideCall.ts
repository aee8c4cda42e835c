import { type Duration, Effect } from "effect"
import { SqlClient } from "effect/sql"
import { v4 as uuid } from "uuid"
import type { Tier } from "../api/auth/User.ts"
import { Quota } from "../chat/Quota.ts"
import { builtInModels } from "../config/BuiltInModels.ts"
import { AppConfig } from "../config/Settings.ts"
import { Gemini } from "../gemini/Gemini.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import type { Prompt } from "../gemini/Prompt.ts"
import { Models } from "../models/Models.ts"
import { lowestLevel } from "../models/Thinking.ts"
import { AttemptCalls } from "./AttemptCalls.ts"
import { makeCallCounts } from "./CallCounts.ts"
import { type CallsOwner, recordLateCalls } from "./LateCalls.ts"

/** The user who pays for a call. */
export interface Payer {
  readonly quotaKey: string
  readonly tier: Tier
  /** Millionths of a dollar that the user's day has spent or reserved. */
  readonly spent: number
  /** By the database's clock. */
  readonly startedAt: Date
}

/** Calls of the model beside replies, for titles and summaries: short, bounded, and made while the user's budget lasts. */
export const makeSideCall = Effect.fnUntraced(function* (bounds: {
  /** What is asked for. */
  readonly kind: "title" | "summary"
  readonly model: string
  /** Tokens of an answer, thoughts included. */
  readonly maximumTokens: number
  /** Characters of an answer that are read. */
  readonly maximumAnswer: number
  readonly timeout: Duration.Input
}) {
  const { kind, maximumAnswer, maximumTokens, model, timeout } = bounds
  const sql = yield* SqlClient.SqlClient
  const config = yield* AppConfig
  const gemini = yield* Gemini
  const models = yield* Models
  const quota = yield* Quota
  const tooSlow = new GeminiError({ kind: "unavailable", detail: `the ${kind} took too long` })
  const recordLate = recordLateCalls(sql, yield* makeCallCounts)
  const asked = [...config.models, ...builtInModels].find(({ id }) => id === model)
  /** The model's lowest; undefined for a model without thinking, or one that is not known. */
  const thinkingLevel = asked === undefined ? undefined : lowestLevel(asked)

  /** Whether the day's budget holds the longest answer. */
  const hasMoney = ({ spent, startedAt, tier }: Payer, promptTokens: number): boolean => {
    const { budget } = quota.limitsOf(tier)
    if (budget === null) return true
    const usage = { promptTokens, replyTokens: maximumTokens, thoughtTokens: 0, cachedTokens: 0, toolTokens: 0 }
    const { costMicros } = models.costOf({ model, modelVersion: null, usage, searches: 0 }, startedAt.getTime())
    return spent < budget && spent + (costMicros ?? 0) <= budget
  }

  /** What `read` finds in an answer, whose end has a reason; `calls` gets what it counted. Fails when it finds nothing. */
  const answer = Effect.fnUntraced(function* (
    prompt: Prompt,
    calls: AttemptCalls,
    startedAt: Date,
    read: (text: string, finishReason: string | undefined) => string | undefined
  ) {
    let text = ""
    let finishReason: string | undefined
    calls.begin(startedAt.getTime())
    yield* gemini
      .answer(prompt, (delta) => {
        calls.observe(delta)
        if (text.length < maximumAnswer) text += delta.text
        finishReason = delta.finishReason ?? finishReason
      })
      .pipe(Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail(tooSlow) }))
    const found = read(text, finishReason)
    return found ?? (yield* new GeminiError({ kind: "stopped", detail: `no ${kind} (${finishReason ?? "cut off"})` }))
  })

  /** Makes calls for a room, which are in the ledger when they have ended. */
  const recorded = <A, E, R>(
    { replyId, userId }: Pick<CallsOwner, "replyId" | "userId">,
    { quotaKey, tier }: Payer,
    promptTokens: number,
    make: (calls: AttemptCalls) => Effect.Effect<A, E, R>
  ) =>
    Effect.suspend(() => {
      const calls = new AttemptCalls({ id: uuid(), kind, attempt: 0, model, tier }, promptTokens)
      const record = Effect.suspend(() => recordLate({ userId, replyId, quotaKey }, calls.rows(models.costOf)))
      return Effect.ensuring(make(calls), record)
    })

  return { thinkingLevel, hasMoney, answer, recorded }
})
