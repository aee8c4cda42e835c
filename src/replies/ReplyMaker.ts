import { Cause, Context, Effect, Layer } from "effect"
import { isPassing } from "../database/Connections.ts"
import { topicOf } from "../database/Topics.ts"
import { citedIn } from "../gemini/Citations.ts"
import { isRejected } from "../gemini/GeminiError.ts"
import { estimateTokens } from "../models/TokenEstimate.ts"
import { observedCounter } from "../ops/Metrics.ts"
import { jobSpan } from "../ops/Tracing.ts"
import { Announcer, replyTask } from "../queue/Announcer.ts"
import { DeltaLog } from "../stream/DeltaLog.ts"
import { AttemptCalls } from "./AttemptCalls.ts"
import { type AttemptText, makeAttemptText } from "./AttemptText.ts"
import type { Work } from "./AttemptWork.ts"
import type { Claim } from "./Claim.ts"
import { Conversation, type Conversed } from "./Conversation.ts"
import { hasEarlierFiles, hasOwnFiles, withoutEarlierFiles } from "./EarlierFiles.ts"
import { Leases } from "./Leases.ts"
import { makeModelAsking } from "./ModelAsking.ts"
import { Moderation, ModerationUnavailable } from "./Moderation.ts"
import { cancelled, failed, type Outcome, refused } from "./Outcome.ts"
import { summaryStep } from "./PromptSummary.ts"
import { promptIds, type SourcedTurn, tokensOf } from "./PromptTurns.ts"
import { makeRecovery } from "./Recovery.ts"
import { replyDeadline } from "./ReplyDeadline.ts"
import { LeaseLost, ReplyStore } from "./ReplyStore.ts"
import { TurnFiles } from "./TurnFiles.ts"

/** Milliseconds until the model is asked again for an answer that is not the JSON that it should be. */
const retryDelay = 500

/** What an attempt has sent, filled when moderation allows the question, so that the receipt of a refused one is empty. */
interface Sent extends Work {
  messageIds: ReadonlyArray<string>
  summary: Work["summary"]
}

/** An attempt while it is made. */
interface Attempt {
  readonly reply: Claim
  readonly prompt: Conversed
  readonly calls: AttemptCalls
  readonly text: AttemptText
  readonly work: Sent
  /** Whether moderation has allowed the question, in this attempt or in an earlier one. */
  isModerated: boolean
}

/** Makes replies: claims one under a lease, asks the model, and ends it once, fenced by its attempt. */
export class ReplyMaker extends Context.Service<
  ReplyMaker,
  {
    /** Makes one attempt at the reply; does nothing when another worker holds it, or when it has ended or is not due. */
    readonly attempt: (userId: string, replyId: string) => Effect.Effect<void, LeaseLost>
  }
>()("chat-backend/replies/ReplyMaker") {
  static readonly layer = Layer.effect(
    ReplyMaker,
    Effect.gen(function* () {
      const announcer = yield* Announcer
      const conversation = yield* Conversation
      const leases = yield* Leases
      const moderation = yield* Moderation
      const turnFiles = yield* TurnFiles
      const deltaLog = yield* DeltaLog
      const { claim, finish, handBack, handBackAfterOutage, postpone, record, settle } = yield* ReplyStore
      const { recover, retryOrEnd, waitForModel } = yield* makeRecovery
      const askModel = yield* makeModelAsking

      let droppedCitations = 0
      yield* observedCounter(
        "chat_citations_dropped_total",
        "Citations left out of replies, because their text was not where Google said.",
        () => droppedCitations
      )

      /** The outcome with what its text relies on. Each try and each attempt begins without: its text is another. */
      const withGrounding = (outcome: Outcome, calls: AttemptCalls): Outcome => {
        if (outcome.status === "failed" || outcome.content === null || outcome.content === "") return outcome
        const { dropped, grounding } = citedIn(outcome.content, calls.lastGrounding)
        droppedCitations += dropped
        return { ...outcome, grounding }
      }

      /** Reads the prompt, and first records what the attempt before has cost if its process was lost. */
      const begin = Effect.fnUntraced(function* (reply: Claim) {
        const { contextTokens, model } = reply.settings
        const prompt = yield* conversation.promptFor({ ...reply, questionId: reply.replyTo, contextTokens, model })
        const { systemPrompt, turns } = prompt
        const promptTokens = turns.reduce((sum, turn) => sum + tokensOf(turn), estimateTokens(systemPrompt ?? ""))
        const callsOf = (attempt: number) =>
          new AttemptCalls({ id: reply.id, kind: "reply", attempt, model, tier: reply.tier }, promptTokens)
        if (reply.lostBytes > 0) {
          const lost = callsOf(reply.attempt - 1)
          lost.addLost(reply.lostBytes, reply.claimedAt.getTime())
          yield* record(reply, lost)
        }
        const calls = callsOf(reply.attempt)
        const text = makeAttemptText({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt }, deltaLog.append)
        const work: Sent = { messageIds: [], summary: null, calls, hasFiles: hasOwnFiles(turns) }
        return { reply, prompt, calls, text, work, isModerated: reply.isModerated }
      })

      /** The outcome of a question that moderation refuses; undefined when it allows it. */
      const moderate = Effect.fnUntraced(function* (attempt: Attempt) {
        const { id: replyId, quotaKey, replyTo } = attempt.reply
        // A completion's request has brought all of its turns.
        const asked = attempt.prompt.turns.filter(({ messageId, text }) => messageId === replyTo && text !== "")
        const question = asked.map(({ text }) => text).join("\n\n")
        if (attempt.isModerated || question === "") return undefined
        const verdict = yield* moderation.check({ text: question, replyId, quotaKey })
        if (!verdict.allow) return refused(verdict.category)
        attempt.isModerated = verdict.isChecked
        return undefined
      })

      const ask = Effect.fnUntraced(function* ({ calls, prompt, reply, text, work }: Attempt, sent: ReadonlyArray<SourcedTurn>) {
        const { summary, systemPrompt } = prompt
        work.messageIds = promptIds(summary, sent)
        work.summary = summary
        const turns = yield* turnFiles.prepare(reply.userId, sent)
        return yield* askModel({ reply, systemPrompt, turns, calls, text })
      })

      /** Asks moderation, then the model; once more without earlier files when the model refuses the request with them. */
      const answer = Effect.fnUntraced(function* (attempt: Attempt) {
        const refusal = yield* moderate(attempt)
        if (refusal !== undefined) return refusal
        const { turns } = attempt.prompt
        return yield* Effect.catchIf(
          ask(attempt, turns),
          (error) => error.kind === "misconfigured" && isRejected(error) && hasEarlierFiles(turns),
          () => ask(attempt, withoutEarlierFiles(turns))
        )
      })

      /** Ends the reply with its answer, or postpones it once for an answer that is not the JSON that it should be. */
      const end = Effect.fnUntraced(function* (reply: Claim, outcome: Outcome, { prompt, work }: Attempt) {
        if (outcome.error?.code !== "invalid_output" || reply.failures > 0) {
          yield* settle(reply, withGrounding(outcome, work.calls), work)
          if (outcome.status !== "completed" || prompt.uncoveredTokens <= summaryStep) return
          const { chatroomId: roomId, id: replyId, userId } = reply
          return yield* announcer.announce({ summaries: [{ userId, roomId, replyId }] })
        }
        yield* Effect.logWarning(`Attempt ${reply.attempt} gave JSON that does not fit the schema`)
        return yield* postpone(reply, retryDelay, reply.failures + 1)
      })

      /** Ends the reply that its user has stopped. When the room was deleted there is no reply to end, which is not an error. */
      const endStopped = ({ calls, reply, text, work }: Attempt) => {
        const outcome = cancelled(text.text, reply.settings.model, calls.lastUsage, text.thoughts.text)
        return Effect.asVoid(finish(reply, reply.attempt, withGrounding(outcome, calls), work))
      }

      const make = Effect.fnUntraced(function* (reply: Claim) {
        const stopped = yield* leases.hold({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt })
        const attempt: Attempt = yield* begin(reply)
        return yield* Effect.gen(function* () {
          const result = yield* Effect.raceFirst(Effect.result(answer(attempt)), stopped)
          if (result === "stopped") return yield* endStopped(attempt)
          if (result === "lost") return yield* new LeaseLost({ replyId: reply.id })
          const attempted = { ...reply, isModerated: attempt.isModerated }
          if (result._tag === "Success") return yield* end(attempted, result.success, attempt)
          return result.failure instanceof ModerationUnavailable
            ? yield* retryOrEnd(attempted, failed("moderation_unavailable"), attempt.work)
            : yield* recover(attempted, result.failure, attempt.work)
        }).pipe(Effect.ensuring(record(reply, attempt.calls)))
      }, Effect.scoped)

      /** Ends or postpones a reply for which the model may not be asked now; makes the others. */
      const attemptAt = Effect.fnUntraced(function* (reply: Claim) {
        const now = yield* reply.now
        if (now > reply.startedAt.getTime() + replyDeadline) return yield* settle(reply, failed("model_unavailable"))
        if (reply.isOverBudget) return yield* settle(reply, failed("budget_exceeded"))
        if (reply.pausedUntil !== null) return yield* waitForModel(reply, reply.pausedUntil)
        yield* announcer.announce({ topics: [topicOf("attempt", reply.id)] })
        return yield* make(reply).pipe(
          // Where Postgres was away for a read, the reply starts again when it is back, before the lease expires.
          Effect.tapCause((cause) =>
            Cause.hasDies(cause) && isPassing(Cause.squash(cause)) ? handBackAfterOutage(reply) : Effect.void
          ),
          Effect.onInterrupt(() => handBack(reply)),
          Effect.ensuring(deltaLog.close(reply.id, reply.attempt))
        )
      })

      const attempt: ReplyMaker["Service"]["attempt"] = Effect.fnUntraced(
        function* (userId, replyId) {
          const reply = yield* claim(userId, replyId)
          // The claim says which trace the attempt continues.
          if (reply !== undefined)
            yield* attemptAt(reply).pipe(jobSpan("ReplyMaker.attempt", replyTask, reply.settings.traceparent))
        },
        (effect, _, replyId) => Effect.annotateLogs(effect, { replyId })
      )

      return ReplyMaker.of({ attempt })
    })
  )
}
