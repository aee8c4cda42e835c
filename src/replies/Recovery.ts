import { Duration, Effect, Random } from "effect"
import { type GeminiError, isRejected } from "../gemini/GeminiError.ts"
import type { Work } from "./AttemptWork.ts"
import type { Claim } from "./Claim.ts"
import { failed, type Outcome } from "./Outcome.ts"
import { RateLimitPause } from "./RateLimitPause.ts"
import { replyDeadline } from "./ReplyDeadline.ts"
import { ReplyStore } from "./ReplyStore.ts"

/** Attempts at a reply whose calls fail transiently, and the time from the first one in which the last one starts. */
const maximumAttempts = 4
const retryWindow = Duration.toMillis("120 seconds")
/** Milliseconds to pause a model after a 429 that does not say how long. */
const defaultPause = 5_000

/** What follows a failed attempt: the reply waits for its next attempt, or it ends. */
export const makeRecovery = Effect.gen(function* () {
  const { postpone, settle } = yield* ReplyStore
  const rateLimitPause = yield* RateLimitPause

  /** Postpones the reply until a paused model may be asked, or ends it when the wait would outlast its deadline. */
  const waitForModel = Effect.fnUntraced(function* (reply: Claim, pausedUntil: Date) {
    // Replies that wait for the same model do not all ask at once.
    const at = pausedUntil.getTime() + (yield* Random.next) * 1_000
    return at > reply.startedAt.getTime() + replyDeadline
      ? yield* settle(reply, failed("model_unavailable"))
      : yield* postpone(reply, at - (yield* reply.now), reply.failures)
  })

  /** Postpones the reply with backoff after a failed attempt, or ends it with the outcome when it has had enough. */
  const retryOrEnd = Effect.fnUntraced(function* (
    reply: Claim,
    outcome: Outcome,
    work: Work,
    limits: { readonly attempts?: number | undefined; readonly retryAfter?: number | undefined } = {}
  ) {
    const failures = reply.failures + 1
    const delay = Math.max(limits.retryAfter ?? 0, 500 * 2 ** failures * (0.5 + (yield* Random.next) / 2))
    return failures >= (limits.attempts ?? maximumAttempts) ||
      (yield* reply.now) + delay > (reply.failingSince ?? reply.claimedAt).getTime() + retryWindow
      ? yield* settle(reply, outcome, work)
      : yield* postpone(reply, delay, failures)
  })

  /** Ends a reply whose request Google refuses: for its files, for its schema, or because of our key or settings. */
  const endRefused = Effect.fnUntraced(function* (reply: Claim, error: GeminiError, work: Work) {
    if (isRejected(error) && work.hasFiles) {
      yield* Effect.logWarning(`Gemini refuses a request with files for ${reply.settings.model}`, error)
      return yield* settle(reply, failed("attachment_rejected"), work)
    }
    const hasSchema = reply.settings.responseFormat?.schema !== undefined
    if (hasSchema && isRejected(error)) {
      yield* Effect.logWarning(`Gemini refuses a schema for ${reply.settings.model}`, error)
      return yield* settle(reply, failed("schema_rejected"), work)
    }
    yield* Effect.logError(`Gemini refuses our requests for ${reply.settings.model}`, error)
    return yield* settle(reply, failed("model_misconfigured"), work)
  })

  /** Ends or postpones the reply after a call that failed. */
  const recover = Effect.fnUntraced(function* (reply: Claim, error: GeminiError, work: Work) {
    switch (error.kind) {
      case "misconfigured":
        return yield* endRefused(reply, error, work)
      case "daily_quota":
        yield* Effect.logWarning(`Gemini's daily quota for ${reply.settings.model} is used up`, error)
        return yield* settle(reply, failed("model_quota_exhausted"), work)
      case "rate_limited":
        return yield* waitForModel(reply, yield* rateLimitPause.pause(reply.settings.model, error.retryAfter ?? defaultPause))
      case "stopped":
      case "unavailable": {
        yield* Effect.logWarning(`Attempt ${reply.attempt} failed`, error)
        const outcome =
          error.kind === "stopped"
            ? failed("model_stopped", { finishReason: error.finishReason ?? null })
            : failed("model_unavailable")
        return yield* retryOrEnd(reply, outcome, work, { attempts: error.maximumAttempts, retryAfter: error.retryAfter })
      }
    }
  })

  return { recover, retryOrEnd, waitForModel }
})
