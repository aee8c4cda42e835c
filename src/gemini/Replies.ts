import { Clock, Context, Data, Duration, Effect, Layer, Random } from "effect"
import { SqlClient } from "effect/sql"
import { listTopic } from "../chat/Chatrooms.ts"
import { replyTopic } from "../chat/Messages.ts"
import { Queue } from "../queue/Queue.ts"
import { StreamLog } from "../stream/StreamLog.ts"
import { Conversation } from "./Conversation.ts"
import { Gemini, type Prompt } from "./Gemini.ts"
import { GeminiError } from "./GeminiError.ts"
import { Leases, leaseSeconds, processId } from "./Leases.ts"
import { ModelPause } from "./ModelPause.ts"
import { add, cancelled, failed, isRefunded, nothing, type Outcome, outcomeOf } from "./Outcome.ts"

/** Tries of a call that fails for reasons that pass, and the time they may take together. */
const maximumAttempts = 4
const retryWindow = Duration.toMillis("120 seconds")
/** From its first attempt on, whatever happens, a reply ends within this. */
export const replyDeadline = Duration.toMillis("10 minutes")
/** The pause after a 429 that names none. */
const defaultPause = 5_000
/** Failures a day whose quota is given back. */
const refundsADay = 5

/** Another worker has taken the reply over; what was made of it here is thrown away. */
export class LeaseLost extends Data.TaggedError("LeaseLost")<{ readonly replyId: string }> {}

interface Claim {
  readonly userId: string
  readonly id: string
  readonly chatroomId: string
  readonly replyTo: string
  readonly attempt: number
  readonly failures: number
  /** When its first call failed for a reason that passes: a pause of the whole model is no such. */
  readonly failingSince: Date | null
  readonly startedAt: Date
  readonly systemPrompt: string | null
  readonly model: string
  readonly temperature: number | null
  readonly pausedUntil: Date | null
}

/** What the model was sent, kept with the reply. */
interface Receipt {
  readonly messageIds: ReadonlyArray<string>
  readonly systemPrompt: string | null
}

/** Makes the replies: claims one under a lease, asks the model, and ends it once, fenced by its attempt. */
export class Replies extends Context.Service<
  Replies,
  {
    /** Does what is to be done for the reply now; nothing when another holds it or it has ended. */
    readonly answer: (userId: string, replyId: string) => Effect.Effect<void, LeaseLost>
    /** Ends a reply without an attempt: its deadline has passed. */
    readonly expire: (userId: string, replyId: string) => Effect.Effect<void>
  }
>()("chat-backend/gemini/Replies") {
  static readonly layer = Layer.effect(
    Replies,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const queue = yield* Queue
      const gemini = yield* Gemini
      const conversation = yield* Conversation
      const leases = yield* Leases
      const modelPause = yield* ModelPause
      const streamLog = yield* StreamLog

      const claim = Effect.fnUntraced(function* (userId: string, replyId: string) {
        const [row] = yield* sql<Claim>`
          with claimed as (
            update messages m set status = 'processing', attempt = m.attempt + 1, worker_id = ${processId}, retry_at = null,
              lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}),
              started_at = coalesce(m.started_at, clock_timestamp())
            from chatrooms c
            where m.user_id = ${userId} and m.id = ${replyId} and c.user_id = m.user_id and c.id = m.chatroom_id
              and (m.status = 'queued'
                or m.status = 'waiting' and m.retry_at <= clock_timestamp()
                or m.status = 'processing' and m.lease_until < clock_timestamp())
            returning m.user_id, m.id, m.chatroom_id, m.reply_to, m.attempt, m.failures, m.failing_since, m.started_at,
              c.system_prompt, coalesce(c.model, ${gemini.defaultModel}) as model, c.temperature
          )
          select claimed.*, p.until as paused_until from claimed
          left join model_pauses p on p.model = claimed.model and p.until > clock_timestamp()
        `
        return row
      }, Effect.orDie)

      const finish = Effect.fnUntraced(function* (
        reply: Pick<Claim, "userId" | "id">,
        attempt: number | null,
        outcome: Outcome,
        receipt?: Receipt
      ) {
        const { error, usage } = outcome
        const [row] = yield* sql<{ finished: boolean; nextReply: string | null }>`
          select * from finish_reply(${reply.userId}, ${reply.id}, ${attempt}::int, ${outcome.status}, ${outcome.content},
            ${outcome.finishReason}, ${outcome.truncated}, ${error?.code ?? null}, ${error?.message ?? null}, ${outcome.model},
            ${usage?.promptTokens ?? null}::int, ${usage?.replyTokens ?? null}::int, ${usage?.thoughtTokens ?? null}::int,
            ${usage?.cachedTokens ?? null}::int, ${isRefunded(outcome)}, ${refundsADay},
            string_to_array(${receipt?.messageIds.join(",") ?? null}, ',')::uuid[], ${receipt?.systemPrompt ?? null})
        `.pipe(Effect.orDie)
        if (row?.finished !== true) return false
        yield* queue.announce({
          replies: row.nextReply === null ? [] : [{ userId: reply.userId, replyId: row.nextReply }],
          // With the next reply's turn comes its question's place in the list, should that news have been lost.
          topics: [replyTopic(reply.id), ...(row.nextReply === null ? [] : [listTopic(reply.userId)])]
        })
        return true
      })

      /** Ends the reply, or throws: the queue's failure path looks at who owns the job, its success path does not. */
      const settle = Effect.fnUntraced(function* (reply: Claim, outcome: Outcome, receipt?: Receipt) {
        const finished = yield* finish(reply, reply.attempt, outcome, receipt)
        if (!finished) return yield* new LeaseLost({ replyId: reply.id })
      })

      /** Gives the lease back until `retryAt`; the job that wakes the reply then is announced now. */
      const postpone = Effect.fnUntraced(function* (reply: Claim, retryAt: Date, failures: number) {
        const kept = yield* sql`
          update messages set status = 'waiting', retry_at = ${retryAt}, failures = ${failures},
            failing_since = case when ${failures} > 0 then coalesce(failing_since, clock_timestamp()) end, lease_until = null, worker_id = null
          where user_id = ${reply.userId} and id = ${reply.id} and attempt = ${reply.attempt} and status = 'processing'
          returning 1
        `.pipe(Effect.orDie)
        if (kept.length === 0) return yield* new LeaseLost({ replyId: reply.id })
        yield* queue.announce({
          replies: [{ userId: reply.userId, replyId: reply.id, runAt: retryAt }],
          topics: [replyTopic(reply.id)]
        })
      })

      /** Of a process that is going: the reply starts again elsewhere, at once. */
      const handBack = Effect.fnUntraced(
        function* (reply: Claim) {
          yield* sql`
          update messages set status = 'queued', queued_at = clock_timestamp(), lease_until = null, worker_id = null
          where user_id = ${reply.userId} and id = ${reply.id} and attempt = ${reply.attempt} and status = 'processing'
        `
          yield* queue.announce({ replies: [{ userId: reply.userId, replyId: reply.id }] })
        },
        Effect.catchCause((cause) => Effect.logWarning("A lease could not be handed back; it will expire", cause))
      )

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
            return failures >= maximumAttempts || now + delay > (reply.failingSince?.getTime() ?? now) + retryWindow
              ? yield* settle(reply, failed("model_unavailable"), receipt)
              : yield* postpone(reply, new Date(now + delay), failures)
          }
        }
      })

      /** Asks the model, handing on what it writes; an empty answer is asked for once more. */
      const ask = Effect.fnUntraced(
        function* (prompt: Prompt, onText: (text: string) => void) {
          for (let tries = 0; tries < 2; tries++) {
            let answer = nothing
            yield* gemini.answer(prompt, (delta) => {
              answer = add(answer, delta)
              if (delta.text !== "") onText(delta.text)
            })
            const outcome = yield* outcomeOf(answer)
            if (outcome !== undefined) return outcome
          }
          return failed("empty_response", { finishReason: "STOP" })
        },
        Effect.timeoutOrElse({ duration: retryWindow, orElse: () => Effect.fail(overtime) })
      )

      const make = Effect.fnUntraced(function* (reply: Claim) {
        const stopped = yield* leases.hold({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt })
        const { model, systemPrompt, temperature } = reply
        const turns = yield* conversation.before({ ...reply, questionId: reply.replyTo })
        const receipt = { messageIds: turns.map(({ messageId }) => messageId), systemPrompt }
        let written = ""
        const onText = (text: string) => {
          written += text
          streamLog.append({ userId: reply.userId, replyId: reply.id, attempt: reply.attempt }, text)
        }
        const answered = Effect.result(ask({ model, systemPrompt, temperature, turns }, onText))
        const result = yield* Effect.raceFirst(answered, stopped)
        // Nothing is there to be ended when its room was deleted: that is no error.
        if (result === "stopped") return yield* Effect.asVoid(finish(reply, reply.attempt, cancelled(written), receipt))
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
          yield* queue.announce({ topics: [replyTopic(replyId)] })
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
