import { Cause, Context, Deferred, Duration, Effect, Layer, Random } from "effect"
import { maximumReplyBytes } from "../chat/MessageRow.ts"
import { isPassing } from "../database/Connections.ts"
import { topicOf } from "../database/Topics.ts"
import type { AnswerDelta } from "../gemini/AnswerEvent.ts"
import { citedIn } from "../gemini/Citations.ts"
import { Gemini, type Prompt } from "../gemini/Gemini.ts"
import { GeminiError } from "../gemini/GeminiError.ts"
import { observedCounter } from "../ops/Metrics.ts"
import { jobSpan } from "../ops/Tracing.ts"
import { Announcer, replyTask } from "../queue/Announcer.ts"
import { DeltaLog } from "../stream/DeltaLog.ts"
import { AttemptCalls } from "./AttemptCalls.ts"
import { Conversation, estimateTokens, promptIds, type SourcedTurn, tokensOf } from "./Conversation.ts"
import { Leases } from "./Leases.ts"
import {
  type AnswerEnd,
  appendDelta,
  blocked,
  cancelled,
  emptyAnswer,
  failed,
  type ModelAnswer,
  type Outcome,
  outcomeOf,
  withOutput,
  withThoughts
} from "./Outcome.ts"
import { replyDeadline } from "./ReplyDeadline.ts"
import { Moderation, ModerationUnavailable } from "./Moderation.ts"
import { summaryStep } from "./PromptSummary.ts"
import { RateLimitPause } from "./RateLimitPause.ts"
import { type Claim, LeaseLost, ReplyStore, type Work } from "./ReplyStore.ts"
import { makeTextLimit, makeThoughts } from "./TextLimit.ts"
import { TurnFiles } from "./TurnFiles.ts"

/** Attempts at a reply whose calls fail transiently, and the time from the first one in which the last one starts. */
const maximumAttempts = 4
const retryWindow = Duration.toMillis("120 seconds")
/** Milliseconds to pause a model after a 429 that does not say how long. */
const defaultPause = 5_000

/** Bytes of UTF-8 that a reply's thoughts may have: 64 KiB. */
const maximumThoughtBytes = 65_536

/** Milliseconds until the model is asked again for an answer that is not the JSON that it should be. */
const retryDelay = 500

/** What an attempt has sent, filled when moderation allows the question, so that the receipt of a refused one is empty. */
interface Sent extends Work {
  messageIds: ReadonlyArray<string>
  summary: Work["summary"]
  /** Tokens that its prompt leaves out and no summary covers. */
  readonly uncoveredTokens: number
}

/** What an attempt has written: both are streamed at once. */
interface Written {
  readonly addText: (piece: string) => void
  readonly thoughts: ReturnType<typeof makeThoughts>
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
      const gemini = yield* Gemini
      const conversation = yield* Conversation
      const leases = yield* Leases
      const moderation = yield* Moderation
      const rateLimitPause = yield* RateLimitPause
      const turnFiles = yield* TurnFiles
      const deltaLog = yield* DeltaLog
      const { claim, finish, handBack, handBackAfterOutage, postpone, record, settle } = yield* ReplyStore

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

      /** Postpones the reply, or ends it when the wait would outlast its deadline. */
      const waitUntil = Effect.fnUntraced(function* (reply: Claim, at: number, failures: number) {
        return at > reply.startedAt.getTime() + replyDeadline
          ? yield* settle(reply, failed("model_unavailable"))
          : yield* postpone(reply, at - (yield* reply.now), failures)
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

      /** Ends or postpones the reply after a call that failed. */
      const recover = Effect.fnUntraced(function* (reply: Claim, error: GeminiError, work: Work) {
        switch (error.kind) {
          case "misconfigured": {
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
          }
          case "daily_quota":
            yield* Effect.logWarning(`Gemini's daily quota for ${reply.settings.model} is used up`, error)
            return yield* settle(reply, failed("model_quota_exhausted"), work)
          case "rate_limited": {
            const until = yield* rateLimitPause.pause(reply.settings.model, error.retryAfter ?? defaultPause)
            return yield* waitUntil(reply, until.getTime() + (yield* Random.next) * 1_000, reply.failures)
          }
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

      /** Ends the reply with its answer, or asks once more for one that is not the JSON that it should be. */
      const end = Effect.fnUntraced(function* (reply: Claim, outcome: Outcome, work: Sent) {
        if (outcome.error?.code !== "invalid_output" || reply.failures > 0) {
          yield* settle(reply, withGrounding(outcome, work.calls), work)
          if (outcome.status !== "completed" || work.uncoveredTokens <= summaryStep) return
          const { chatroomId: roomId, id: replyId, userId } = reply
          return yield* announcer.announce({ summaries: [{ userId, roomId, replyId }] })
        }
        yield* Effect.logWarning(`Attempt ${reply.attempt} gave JSON that does not fit`)
        return yield* postpone(reply, retryDelay, reply.failures + 1)
      })

      /** Passes on the text as it arrives; an answer whose text reaches the limit is cut there, and the call is ended. */
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

      /** Asks the model, and passes on the text as it arrives; asks once more when the answer is empty. */
      const ask = Effect.fnUntraced(
        function* (reply: Claim, turns: Prompt["turns"], calls: AttemptCalls, written: Written) {
          const { maxOutputTokens, model, responseFormat, stop, temperature, thinking, tools, topP } = reply.settings
          const prompt: Prompt = {
            model,
            systemPrompt: reply.systemPrompt,
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
          // Replaced by `modelVersion` when the answer has one.
          const unanswered: ModelAnswer = { ...emptyAnswer, model }
          let answer = unanswered
          for (let tries = 0; tries < 2; tries++) {
            answer = unanswered
            calls.begin(yield* reply.now)
            const end = yield* call(prompt, (delta) => {
              calls.observe(delta)
              answer = appendDelta(answer, delta)
              if (thinking?.summaries === true) written.thoughts.add(delta.thought ?? "")
              if (delta.text !== "") written.addText(delta.text)
            })
            const outcome = yield* outcomeOf(answer, end)
            if (outcome !== undefined) return withOutput(withThoughts(outcome, written.thoughts.text), responseFormat)
          }
          return failed("empty_response", { finishReason: "STOP", model: answer.model, usage: answer.usage })
        },
        (effect, reply) =>
          Effect.flatMap(reply.now, (now) =>
            Effect.timeoutOrElse(effect, {
              duration: Math.max(0, reply.startedAt.getTime() + replyDeadline - now),
              orElse: () => Effect.fail(deadlinePassed)
            })
          )
      )

      const make = Effect.fnUntraced(function* (reply: Claim) {
        const stopped = yield* leases.hold({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt })
        const { summary, systemPrompt, turns, uncoveredTokens } = yield* conversation.promptFor({
          ...reply,
          questionId: reply.replyTo,
          contextTokens: reply.settings.contextTokens,
          model: reply.settings.model
        })
        const promptTokens = turns.reduce((sum, turn) => sum + tokensOf(turn), estimateTokens(systemPrompt ?? ""))
        const callsOf = (attempt: number) =>
          new AttemptCalls({ id: reply.id, kind: "reply", attempt, model: reply.settings.model, tier: reply.tier }, promptTokens)
        if (reply.lostBytes > 0) {
          const lost = callsOf(reply.attempt - 1)
          lost.addLost(reply.lostBytes, reply.claimedAt.getTime())
          yield* record(reply, lost)
        }
        const calls = callsOf(reply.attempt)
        const attempt = { userId: reply.userId, replyId: reply.id, attempt: reply.attempt }
        let text = ""
        const written: Written = {
          addText: (piece) => {
            text += piece
            deltaLog.append(attempt, piece)
          },
          thoughts: makeThoughts(maximumThoughtBytes, (piece) => deltaLog.append({ ...attempt, isThought: true }, piece))
        }
        const work: Sent = { messageIds: [], summary: null, calls, hasFiles: hasOwnFiles(turns), uncoveredTokens }
        let isModerated = reply.isModerated
        const answered = Effect.gen(function* () {
          // A completion's request has brought all of its turns.
          const asked = turns.filter(({ messageId, text }) => messageId === reply.replyTo && text !== "")
          const question = asked.map(({ text }) => text).join("\n\n")
          const verdict =
            isModerated || question === ""
              ? undefined
              : yield* moderation.check({ text: question, replyId: reply.id, quotaKey: reply.quotaKey })
          if (verdict?.allow === false) return refused(verdict.category)
          isModerated ||= verdict?.isChecked === true
          const send = Effect.fnUntraced(function* (sent: ReadonlyArray<SourcedTurn>) {
            work.messageIds = promptIds(summary, sent)
            work.summary = summary
            return yield* ask({ ...reply, systemPrompt }, yield* turnFiles.prepare(reply.userId, sent), calls, written)
          })
          return yield* Effect.catchIf(
            send(turns),
            (error) => error.kind === "misconfigured" && isRejected(error) && hasEarlierFiles(turns),
            () => send(withoutEarlierFiles(turns))
          )
        }).pipe(Effect.result)
        return yield* Effect.gen(function* () {
          const result = yield* Effect.raceFirst(answered, stopped)
          if (result === "stopped") {
            const stoppedAnswer = cancelled(text, reply.settings.model, calls.lastUsage, written.thoughts.text)
            const outcome = withGrounding(stoppedAnswer, calls)
            // When the room was deleted there is no reply to end, which is not an error.
            return yield* Effect.asVoid(finish(reply, reply.attempt, outcome, work))
          }
          if (result === "lost") return yield* new LeaseLost({ replyId: reply.id })
          const attempted = { ...reply, isModerated }
          if (result._tag === "Success") return yield* end(attempted, result.success, work)
          return result.failure instanceof ModerationUnavailable
            ? yield* retryOrEnd(attempted, failed("moderation_unavailable"), work)
            : yield* recover(attempted, result.failure, work)
        }).pipe(Effect.ensuring(record(reply, calls)))
      }, Effect.scoped)

      const attemptAt = Effect.fnUntraced(function* (reply: Claim) {
        const now = yield* reply.now
        if (now > reply.startedAt.getTime() + replyDeadline) return yield* settle(reply, failed("model_unavailable"))
        if (reply.isOverBudget) return yield* settle(reply, failed("budget_exceeded"))
        if (reply.pausedUntil !== null) {
          return yield* waitUntil(reply, reply.pausedUntil.getTime() + (yield* Random.next) * 1_000, reply.failures)
        }
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

/** Google does not take what is in the request. */
const isRejected = ({ reason, status }: GeminiError): boolean => status === 400 && reason !== "API_KEY_INVALID"

/** Whether a turn came with the question, as all turns of a completion do. */
const isOwn = (turns: ReadonlyArray<SourcedTurn>) => {
  const own = turns.at(-1)?.messageId
  return ({ messageId }: SourcedTurn): boolean => messageId === own
}
const hasSentFiles = ({ files = [] }: SourcedTurn): boolean => files.some(({ isSent }) => isSent)

/** Whether the question has files, and whether earlier ones do. */
const hasOwnFiles = (turns: ReadonlyArray<SourcedTurn>): boolean => turns.filter(isOwn(turns)).some(hasSentFiles)
const hasEarlierFiles = (turns: ReadonlyArray<SourcedTurn>): boolean => {
  const isOwnTurn = isOwn(turns)
  return turns.some((turn) => !isOwnTurn(turn) && hasSentFiles(turn))
}

/** The turns without the files of earlier questions: one that this model refuses must not fail every later question. */
const withoutEarlierFiles = (turns: ReadonlyArray<SourcedTurn>): Array<SourcedTurn> => {
  const isOwnTurn = isOwn(turns)
  return turns.map((turn) =>
    turn.files === undefined || isOwnTurn(turn)
      ? turn
      : { ...turn, files: turn.files.map((file) => ({ ...file, isSent: false })) }
  )
}

const refused = (category: string | null): Outcome =>
  blocked({ reason: "MODERATION", about: "question", categories: category === null ? [] : [category] })

const deadlinePassed = new GeminiError({ kind: "unavailable", detail: "the answer took too long" })
