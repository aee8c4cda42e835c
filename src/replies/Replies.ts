import { Clock, Context, Duration, Effect, Layer, Random } from "effect"
import { topicOf } from "../database/Topics.ts"
import { Announcer } from "../queue/Announcer.ts"
import { DeltaLog } from "../stream/DeltaLog.ts"
import { Conversation } from "./Conversation.ts"
import { Gemini, type Prompt } from "../gemini/Gemini.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import { Leases } from "./Leases.ts"
import { RateLimitPause } from "./RateLimitPause.ts"
import { add, type Answer, cancelled, failed, nothing, outcomeOf } from "./Outcome.ts"
import { type Claim, LeaseLost, type Receipt, ReplyStore } from "./ReplyStore.ts"

/** Tries of a call that fails for reasons that pass, and the time in which the last of them begins. */
const maximumAttempts = 4
const retryWindow = Duration.toMillis("120 seconds")
/** From its first attempt on, whatever happens, a reply ends within this. */
export const replyDeadline = Duration.toMillis("10 minutes")
/** The pause after a 429 that names none. */
const defaultPause = 5_000

/** Makes the replies: claims one under a lease, asks the model, and ends it once, fenced by its attempt. */
export class Replies extends Context.Service<
  Replies,
  {
    /** Does what is to be done for the reply now; nothing when another holds it or it has ended. */
    readonly answer: (userId: string, replyId: string) => Effect.Effect<void, LeaseLost>
    /** Ends a reply without an attempt: its deadline has passed. */
    readonly expire: (userId: string, replyId: string) => Effect.Effect<void>
  }
>()("chat-backend/replies/Replies") {
  static readonly layer = Layer.effect(
    Replies,
    Effect.gen(function* () {
      const announcer = yield* Announcer
      const gemini = yield* Gemini
      const conversation = yield* Conversation
      const leases = yield* Leases
      const modelPause = yield* RateLimitPause
      const streamLog = yield* DeltaLog
      const { claim, finish, handBack, postpone, settle } = yield* ReplyStore

      /** Waits, or gives up when the wait would outlast the reply's deadline. */
      const waitUntil = Effect.fnUntraced(function* (reply: Claim, at: number, failures: number) {
        return at > reply.startedAt.getTime() + replyDeadline
          ? yield* settle(reply, failed("model_unavailable"))
          : yield* postpone(reply, new Date(at), failures)
      })

      const recover = Effect.fnUntraced(function* (reply: Claim, error: GeminiError, receipt: Receipt) {
        const now = yield* Clock.currentTimeMillis
        const jitter = yield* Random.next
        switch (error.kind) {
          case "misconfigured":
            yield* Effect.logError(`Gemini refuses our requests for ${reply.model}`, error)
            return yield* settle(reply, failed("model_misconfigured"), receipt)
          case "daily_quota":
            yield* Effect.logWarning(`Gemini's daily quota for ${reply.model} is used up`, error)
            return yield* settle(reply, failed("model_quota_exhausted"), receipt)
          case "rate_limited": {
            const until = yield* modelPause.pause(reply.model, error.retryAfter ?? defaultPause)
            return yield* waitUntil(reply, until.getTime() + jitter * 1_000, reply.failures)
          }
          case "unavailable": {
            const failures = reply.failures + 1
            const delay = Math.max(error.retryAfter ?? 0, 500 * 2 ** failures * (0.5 + jitter / 2))
            yield* Effect.logWarning(`Attempt ${reply.attempt} failed`, error)
            return failures >= maximumAttempts || now + delay > (reply.failingSince ?? reply.claimedAt).getTime() + retryWindow
              ? yield* settle(reply, failed("model_unavailable"), receipt)
              : yield* postpone(reply, new Date(now + delay), failures)
          }
        }
      })

      /** Asks the model, handing on what it writes; an empty answer is asked for once more. */
      const ask = Effect.fnUntraced(
        function* (reply: Claim, turns: Prompt["turns"], onText: (text: string) => void) {
          const { model, systemPrompt, temperature } = reply
          // Its full name, should the answer tell it.
          const unwritten: Answer = { ...nothing, model }
          let answer = unwritten
          for (let tries = 0; tries < 2; tries++) {
            answer = unwritten
            yield* gemini.answer({ model, systemPrompt, temperature, turns }, (delta) => {
              answer = add(answer, delta)
              if (delta.text !== "") onText(delta.text)
            })
            const outcome = yield* outcomeOf(answer)
            if (outcome !== undefined) return outcome
          }
          return failed("empty_response", { finishReason: "STOP", model: answer.model, usage: answer.usage })
        },
        (effect, reply) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            Effect.timeoutOrElse(effect, {
              duration: Math.max(0, reply.startedAt.getTime() + replyDeadline - now),
              orElse: () => Effect.fail(overtime)
            })
          )
      )

      const make = Effect.fnUntraced(function* (reply: Claim) {
        const stopped = yield* leases.hold({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt })
        const turns = yield* conversation.before({ ...reply, questionId: reply.replyTo })
        const receipt = { messageIds: turns.map(({ messageId }) => messageId), systemPrompt: reply.systemPrompt }
        let written = ""
        const onText = (text: string) => {
          written += text
          streamLog.append({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt }, text)
        }
        const answered = Effect.result(ask(reply, turns, onText))
        const result = yield* Effect.raceFirst(answered, stopped)
        // Nothing is there to be ended when its room was deleted: that is no error.
        if (result === "stopped")
          return yield* Effect.asVoid(finish(reply, reply.attempt, cancelled(written, reply.model), receipt))
        if (result === "lost") return yield* new LeaseLost({ replyId: reply.id })
        return result._tag === "Success"
          ? yield* settle(reply, result.success, receipt)
          : yield* recover(reply, result.failure, receipt)
      }, Effect.scoped)

      const answer: Replies["Service"]["answer"] = Effect.fn("Replies.answer")(
        function* (userId, replyId) {
          const reply = yield* claim(userId, replyId)
          if (reply === undefined) return
          const now = yield* Clock.currentTimeMillis
          if (now > reply.startedAt.getTime() + replyDeadline) return yield* settle(reply, failed("model_unavailable"))
          if (reply.pausedUntil !== null) {
            return yield* waitUntil(reply, reply.pausedUntil.getTime() + (yield* Random.next) * 1_000, reply.failures)
          }
          yield* announcer.announce({ topics: [topicOf("reply", replyId)] })
          return yield* make(reply).pipe(
            Effect.onInterrupt(() => handBack(reply)),
            Effect.ensuring(streamLog.close(replyId, reply.attempt))
          )
        },
        (effect, _, replyId) => Effect.annotateLogs(effect, { replyId })
      )

      const expire: Replies["Service"]["expire"] = (userId, replyId) =>
        Effect.asVoid(finish({ userId, id: replyId }, null, failed("model_unavailable")))

      return Replies.of({ answer, expire })
    })
  )
}

const overtime = new GeminiError({ kind: "unavailable", detail: "the answer took too long" })
