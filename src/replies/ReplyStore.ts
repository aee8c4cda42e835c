import { Clock, Context, Data, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Announcer, type ReleasedReply, wakeupsOf } from "../queue/Announcer.ts"
import { Gemini } from "../gemini/Gemini.ts"
import { leaseSeconds } from "./Leases.ts"
import { processId } from "../queue/ProcessId.ts"
import { isRefunded, type Outcome } from "./Outcome.ts"

/** Failures a day whose quota is given back. */
const refundsADay = 5

/** Another worker has taken the reply over; what was made of it here is thrown away. */
export class LeaseLost extends Data.TaggedError("LeaseLost")<{ readonly replyId: string }> {}

/** A reply under our lease. */
export interface Claim {
  readonly userId: string
  readonly id: string
  readonly chatroomId: string
  readonly replyTo: string
  readonly attempt: number
  readonly failures: number
  readonly priority: number
  /** When this attempt began. */
  readonly claimedAt: Date
  /** The database's time in milliseconds: its clock at the claim, and what has passed since. No process's clock is used. */
  readonly now: Effect.Effect<number>
  /** When the first attempt began that failed for a reason that passes: a pause of the whole model is no such. */
  readonly failingSince: Date | null
  readonly startedAt: Date
  readonly systemPrompt: string | null
  readonly model: string
  /** The room names a model, and it is not the server's. */
  readonly isChosenModel: boolean
  readonly temperature: number | null
  readonly pausedUntil: Date | null
}

/** What the model was sent, kept with the reply. */
export interface Receipt {
  readonly messageIds: ReadonlyArray<string>
  readonly systemPrompt: string | null
}

/** What `finish_reply` returns. */
export type FinishOutcome =
  | { readonly outcome: "finished"; readonly nextReplies: ReadonlyArray<ReleasedReply> }
  /** It has ended, is gone, or another attempt holds it. */
  | { readonly outcome: "fenced_off" }

/** The states of a reply, in its row: every change is fenced by the attempt, and announced. */
export class ReplyStore extends Context.Service<
  ReplyStore,
  {
    /** Takes the lease, and with it an attempt; nothing when another holds it or there is nothing to do. */
    readonly claim: (userId: string, replyId: string) => Effect.Effect<Claim | undefined>
    /**
     * Ends the reply, unless it has ended or (with an attempt given) another holds it; returns whether it did. Without an
     * attempt, a worker that holds it stops.
     */
    readonly finish: (
      reply: Pick<Claim, "userId" | "id">,
      attempt: number | null,
      outcome: Outcome,
      receipt?: Receipt
    ) => Effect.Effect<boolean>
    /** Ends the reply, or throws: the queue's failure path looks at who owns the job, its success path does not. */
    readonly settle: (reply: Claim, outcome: Outcome, receipt?: Receipt) => Effect.Effect<void, LeaseLost>
    /** Gives the lease back for this many milliseconds; the job that wakes the reply then is announced now. */
    readonly postpone: (reply: Claim, milliseconds: number, failures: number) => Effect.Effect<void, LeaseLost>
    /** Of a process that is going: the reply starts again elsewhere, at once. */
    readonly handBack: (reply: Claim) => Effect.Effect<void>
  }
>()("chat-backend/replies/ReplyStore") {
  static readonly layer = Layer.effect(
    ReplyStore,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const { defaultModel } = yield* Gemini
      const { userConcurrency } = yield* AppConfig

      const claim = Effect.fnUntraced(function* (userId: string, replyId: string) {
        const [row] = yield* sql<Omit<Claim, "now">>`
          with claimed as (
            update messages m set status = 'processing', attempt = m.attempt + 1, worker_id = ${processId}, retry_at = null,
              lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}),
              started_at = coalesce(m.started_at, clock_timestamp())
            from chatrooms c
            where m.user_id = ${userId} and m.id = ${replyId} and c.user_id = m.user_id and c.id = m.chatroom_id
              and (m.status = 'queued'
                or m.status = 'waiting' and m.retry_at <= clock_timestamp()
                or m.status = 'processing' and m.lease_until < clock_timestamp())
            returning m.user_id, m.id, m.chatroom_id, m.reply_to, m.attempt, m.failures, m.priority, m.failing_since, m.started_at, clock_timestamp() as claimed_at,
              c.system_prompt, coalesce(c.model, ${defaultModel}) as model, coalesce(c.model <> ${defaultModel}, false) as is_chosen_model, c.temperature
          )
          select claimed.*, p.until as paused_until from claimed
          left join model_pauses p on p.model = claimed.model and p.until > clock_timestamp()
        `
        if (row === undefined) return undefined
        const start = yield* Clock.monotonicTimeNanos
        const elapsed = Effect.map(Clock.monotonicTimeNanos, (now) => Number(now - start) / 1_000_000)
        return { ...row, now: Effect.map(elapsed, (milliseconds) => row.claimedAt.getTime() + milliseconds) }
      }, Effect.orDie)

      const finish = Effect.fnUntraced(function* (
        reply: Pick<Claim, "userId" | "id">,
        attempt: number | null,
        outcome: Outcome,
        receipt?: Receipt
      ) {
        const { error, usage } = outcome
        const [row] = yield* sql<{ ended: FinishOutcome }>`
          select finish_reply(p_user => ${reply.userId}, p_reply => ${reply.id}, p_attempt => ${attempt}::int,
            p_status => ${outcome.status}, p_content => ${outcome.content}, p_finish_reason => ${outcome.finishReason},
            p_truncated => ${outcome.truncated}, p_error_code => ${error?.code ?? null},
            p_error_message => ${error?.message ?? null}, p_model => ${outcome.model},
            p_prompt_tokens => ${usage?.promptTokens ?? null}::int, p_reply_tokens => ${usage?.replyTokens ?? null}::int,
            p_thought_tokens => ${usage?.thoughtTokens ?? null}::int, p_cached_tokens => ${usage?.cachedTokens ?? null}::int,
            p_refunds_a_day => ${isRefunded(outcome) ? refundsADay : null}::int,
            p_basic_running => ${userConcurrency.basic}, p_pro_running => ${userConcurrency.pro},
            p_context_ids => string_to_array(${receipt?.messageIds.join(",") ?? null}, ',')::uuid[],
            p_context_system_prompt => ${receipt?.systemPrompt ?? null}) as ended
        `.pipe(retryConflicts(sql), Effect.orDie)
        if (row === undefined) return yield* Effect.die("finish_reply returned nothing")
        const { ended } = row
        switch (ended.outcome) {
          case "fenced_off":
            return false
          case "finished": {
            yield* announcer.announce({
              replies: wakeupsOf(reply.userId, ended.nextReplies),
              topics: [
                topicOf("reply", reply.id),
                // A worker that holds it has lost it.
                ...(attempt === null ? [topicOf("stop", reply.id)] : []),
                // With the next reply's turn comes its question's place in the list, should that news have been lost.
                ...(ended.nextReplies.length === 0 ? [] : [topicOf("chatrooms", reply.userId)])
              ]
            })
            return true
          }
          default:
            return yield* Effect.die(new Error(`finish_reply returned ${JSON.stringify(ended satisfies never)}`))
        }
      })

      const settle = Effect.fnUntraced(function* (reply: Claim, outcome: Outcome, receipt?: Receipt) {
        const finished = yield* finish(reply, reply.attempt, outcome, receipt)
        if (!finished) return yield* new LeaseLost({ replyId: reply.id })
      })

      const postpone = Effect.fnUntraced(function* (reply: Claim, milliseconds: number, failures: number) {
        // In whole milliseconds, as a job's time is: one that came earlier would find nothing to do.
        const [kept] = yield* sql<{ retryAt: Date }>`
          update messages set status = 'waiting', failures = ${failures},
            retry_at = date_trunc('milliseconds', clock_timestamp() + make_interval(secs => ${milliseconds / 1_000})),
            failing_since = case when ${failures} > 0 then coalesce(failing_since, ${reply.claimedAt}) end, lease_until = null, worker_id = null
          where user_id = ${reply.userId} and id = ${reply.id} and attempt = ${reply.attempt} and status = 'processing'
          returning retry_at
        `.pipe(Effect.orDie)
        if (kept === undefined) return yield* new LeaseLost({ replyId: reply.id })
        yield* announcer.announce({
          replies: [{ userId: reply.userId, replyId: reply.id, priority: reply.priority, runAt: kept.retryAt }],
          topics: [topicOf("reply", reply.id)]
        })
      })

      const handBack = Effect.fnUntraced(
        function* (reply: Claim) {
          yield* sql`
            update messages set status = 'queued', queued_at = clock_timestamp(), lease_until = null, worker_id = null
            where user_id = ${reply.userId} and id = ${reply.id} and attempt = ${reply.attempt} and status = 'processing'
          `
          yield* announcer.announce({ replies: [{ userId: reply.userId, replyId: reply.id, priority: reply.priority }] })
        },
        Effect.catchCause((cause) => Effect.logWarning("A lease could not be handed back; it will expire", cause))
      )

      return ReplyStore.of({ claim, finish, settle, postpone, handBack })
    })
  )
}
