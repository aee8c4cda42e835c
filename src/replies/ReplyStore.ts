import { Clock, Context, Data, Effect, Layer, Schedule } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import type { Tier } from "../api/auth/User.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { limitsByTier } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { isPassing } from "../database/Connections.ts"
import { inOrder, makeBatches, rowsOf, unlockedRowsOf } from "../database/Batches.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { counters, histograms, modelSeconds } from "../ops/Metrics.ts"
import { Announcer, type ReleasedReply, wakeupsOf } from "../queue/Announcer.ts"
import { Models } from "../models/Models.ts"
import type { ReplySettings } from "../models/Settings.ts"
import type { AttemptCalls, CallRow } from "./AttemptCalls.ts"
import { recordLateCalls } from "./LateCalls.ts"
import { leaseSeconds } from "./Leases.ts"
import { processId } from "../queue/ProcessId.ts"
import { makeCallCounts } from "./CallCounts.ts"
import { isRefunded, type Outcome } from "./Outcome.ts"
import { type PromptSummary, type SentSummary, sentSummary } from "./PromptSummary.ts"

/** Failures a day whose quota is given back. */
const refundsADay = 5
/** Repetitions, four a second, of a change that Postgres was away for; after two minutes the lease decides. */
const outageRetries = 480

/** A statement failed because Postgres was away. */
class Outage extends Data.TaggedError("Outage")<{ readonly cause: unknown }> {}

/**
 * Repeats a change that Postgres was away for: its result is kept, and the user's place becomes free when Postgres is
 * back and not when the lease expires. A change that was committed, or a lease that was lost, fences the repetition off.
 */
const retryOutages = <A, E, R>(change: Effect.Effect<A, E, R>) =>
  change.pipe(
    Effect.catchDefect((cause) => (isPassing(cause) ? Effect.fail(new Outage({ cause })) : Effect.die(cause))),
    Effect.retry({ while: (error) => error instanceof Outage, schedule: Schedule.spaced("250 millis"), times: outageRetries }),
    Effect.catchIf(
      (error) => error instanceof Outage,
      ({ cause }) => Effect.die(cause)
    )
  )

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
  /** Seconds from its question to the claim. */
  readonly ageSeconds: number
  /** The database's time in milliseconds: its clock at the claim, and what has passed since. No process's clock is used. */
  readonly now: Effect.Effect<number>
  /** When the first attempt began that failed for a reason that passes: a pause of the whole model is no such. */
  readonly failingSince: Date | null
  readonly startedAt: Date
  /** As they were when the question was accepted. */
  readonly settings: ReplySettings
  readonly systemPrompt: string | null
  readonly pausedUntil: Date | null
  /** The day whose quota and budget it takes, and of whom. */
  readonly quotaDay: string
  readonly quotaKey: string
  readonly tier: Tier
  /** Whether the day's budget is used up: asked before an attempt is repeated. */
  readonly isOverBudget: boolean
  /** Whether moderation has allowed its question in an earlier attempt. */
  readonly isModerated: boolean
  /** Bytes that the attempt before had written when its process was lost; 0 when it was not lost. */
  readonly lostBytes: number
}

/** What an attempt has made besides text: what it sent to the model, and the calls that it cost. */
export interface Work {
  /** The ids of the messages, and of their files, that were sent. */
  readonly messageIds: ReadonlyArray<string>
  /** The summary that was sent with them. */
  readonly summary: PromptSummary | null
  /** Whether files of the question were sent. */
  readonly hasFiles: boolean
  readonly calls: AttemptCalls
}

/** What `finish_reply` returns. */
export type FinishOutcome =
  | { readonly outcome: "finished"; readonly nextReplies: ReadonlyArray<ReleasedReply> }
  /** It has ended, is gone, or another attempt holds it. */
  | { readonly outcome: "fenced_off" }

interface ReplyJob {
  readonly userId: string
  readonly replyId: string
}
const jobColumns = { userId: "uuid", replyId: "uuid" }

interface ClaimedRow extends Omit<Claim, "now" | "settings" | "systemPrompt" | "pausedUntil" | "isOverBudget"> {
  /** Null in a reply that a process of the previous release has accepted. */
  readonly settings: ReplySettings | null
  readonly roomModel: string | null
  readonly roomPrompt: string | null
  readonly roomTemperature: number | null
  readonly taken: number
  /** Seconds that it could have been made; null for one that waited for its next attempt. */
  readonly queuedSeconds: number | null
  readonly pauses: Readonly<Record<string, string>> | null
}

/** The arguments of `finish_reply` that differ between replies. */
interface Ending {
  readonly userId: string
  readonly id: string
  readonly attempt: number | null
  readonly status: Outcome["status"]
  readonly content: string | null
  readonly finishReason: string | null
  readonly truncated: boolean
  readonly errorCode: string | null
  readonly errorMessage: string | null
  readonly model: string | null
  readonly promptTokens: number | null
  readonly replyTokens: number | null
  readonly thoughtTokens: number | null
  readonly cachedTokens: number | null
  readonly toolTokens: number | null
  readonly calls: ReadonlyArray<CallRow>
  readonly refundsADay: number | null
  readonly contextIds: ReadonlyArray<string> | null
  readonly output: string | null
  readonly thoughts: string | null
  readonly errorDetail: object | null
  readonly grounding: object | null
  readonly contextSummary: SentSummary | null
}

const endingColumns = {
  userId: "uuid",
  id: "uuid",
  attempt: "int",
  status: "text",
  content: "text",
  finishReason: "text",
  truncated: "boolean",
  errorCode: "text",
  errorMessage: "text",
  model: "text",
  promptTokens: "int",
  replyTokens: "int",
  thoughtTokens: "int",
  cachedTokens: "int",
  toolTokens: "int",
  calls: "jsonb",
  refundsADay: "int",
  contextIds: "uuid[]",
  output: "text",
  thoughts: "text",
  errorDetail: "jsonb",
  grounding: "jsonb",
  contextSummary: "jsonb"
}

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
      work?: Work
    ) => Effect.Effect<boolean>
    /** Ends the reply, or throws: the queue's failure path looks at who owns the job, its success path does not. */
    readonly settle: (reply: Claim, outcome: Outcome, work?: Work) => Effect.Effect<void, LeaseLost>
    /** Gives the lease back for this many milliseconds; the job that wakes the reply then is announced now. */
    readonly postpone: (reply: Claim, milliseconds: number, failures: number) => Effect.Effect<void, LeaseLost>
    /** Of a process that is going: the reply starts again elsewhere, at once. */
    readonly handBack: (reply: Claim) => Effect.Effect<void>
    /** The same when Postgres is back; a second later, so that a full server is not asked at once. */
    readonly handBackAfterOutage: (reply: Claim) => Effect.Effect<void>
    /** Writes the calls of an attempt into the ledger, unless they came with the reply's end. */
    readonly record: (reply: Claim, calls: AttemptCalls) => Effect.Effect<void>
  }
>()("chat-backend/replies/ReplyStore") {
  static readonly layer = Layer.effect(
    ReplyStore,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const announcer = yield* Announcer
      const models = yield* Models
      const config = yield* AppConfig
      const { userConcurrency } = config
      const limitsOf = limitsByTier(config)
      const countCalls = yield* makeCallCounts
      const ended = yield* counters(
        "chat_replies_total",
        "Replies that have ended: completed, cancelled, or by the code of the failure.",
        ["outcome"]
      )
      for (const outcome of ["completed", "cancelled"]) ended(outcome)
      const queueTimes = yield* histograms(
        "chat_reply_queue_seconds",
        "Time from the moment at which a reply could be made until a worker begins, by tier.",
        ["tier"],
        modelSeconds
      )
      const durations = yield* histograms(
        "chat_reply_duration_seconds",
        "Time from a question to the end of its reply, by tier.",
        ["tier"],
        modelSeconds
      )

      const claimInBatch = yield* makeBatches<ReplyJob, ClaimedRow | null, SqlError.SqlError>((jobs) => {
        const claimed = sql<ClaimedRow & { readonly position: number }>`
            update messages m set status = 'processing', attempt = m.attempt + 1, worker_id = ${processId}, retry_at = null,
              lease_until = clock_timestamp() + make_interval(secs => ${leaseSeconds}),
              started_at = coalesce(m.started_at, clock_timestamp())
            from ${rowsOf(sql, jobs, jobColumns)} job, chatrooms c, users u, messages old
            where m.user_id = job."userId" and m.id = job."replyId" and c.user_id = m.user_id and c.id = m.chatroom_id
              and u.id = m.user_id and old.user_id = m.user_id and old.id = m.id
              and (m.status = 'queued'
                or m.status = 'waiting' and m.retry_at <= clock_timestamp()
                or m.status = 'processing' and m.lease_until < clock_timestamp())
            returning job.position, m.user_id, m.id, m.chatroom_id, m.reply_to, m.attempt, m.failures, m.priority, m.is_moderated, m.failing_since, m.started_at, clock_timestamp() as claimed_at,
              case when old.status = 'queued' then extract(epoch from clock_timestamp() - old.queued_at) end::float8 as queued_seconds,
              extract(epoch from clock_timestamp() - m.created_at)::float8 as age_seconds,
              m.settings, c.system_prompt as room_prompt, c.model as room_model, c.temperature as room_temperature,
              m.quota_day::text as quota_day, u.quota_key, tier_of(u) as tier,
              coalesce((select d.cost_micros + d.reserved_micros from usage_daily d
                where m.attempt > 1 and d.quota_key = u.quota_key and d.day = m.quota_day), 0)::float8 as taken,
              coalesce((select sum(octet_length(s.body)) from stream_segments s where old.status = 'processing'
                and s.user_id = m.user_id and s.reply_id = m.id and s.attempt = old.attempt), 0)::int as lost_bytes,
              (select jsonb_object_agg(p.model, p.until) from model_pauses p where p.until > clock_timestamp()) as pauses
        `
        return Effect.map(retryConflicts(sql)(claimed), (rows) => inOrder(jobs, rows).map((row) => row ?? null))
      })

      const claim = Effect.fnUntraced(function* (userId: string, replyId: string) {
        const row = yield* claimInBatch({ userId, replyId })
        if (row === null) return undefined
        const start = yield* Clock.monotonicTimeNanos
        const elapsed = Effect.map(Clock.monotonicTimeNanos, (now) => Number(now - start) / 1_000_000)
        const { pauses, queuedSeconds, roomModel, roomPrompt, roomTemperature, taken, ...claimed } = row
        const { tier } = claimed
        if (queuedSeconds !== null) queueTimes(tier).observe(queuedSeconds)
        const room = { model: roomModel, temperature: roomTemperature, thinking: defaultThinking, tools: [] }
        const settings = row.settings ?? (yield* models.defaults(room, tier))
        const until = pauses?.[settings.model]
        return {
          ...claimed,
          settings,
          systemPrompt: settings.systemPrompt === undefined ? roomPrompt : settings.systemPrompt,
          pausedUntil: until === undefined ? null : new Date(until),
          isOverBudget: taken > (limitsOf(tier).budget ?? Infinity),
          now: Effect.map(elapsed, (milliseconds) => row.claimedAt.getTime() + milliseconds)
        }
      }, Effect.orDie)

      const endInBatch = yield* makeBatches<Ending, FinishOutcome, SqlError.SqlError>((endings, waits) => {
        const rows = sql<{ position: number; ended: FinishOutcome }>`
          select e.position, finish_reply(p_user => e."userId", p_reply => e.id, p_attempt => e.attempt,
            p_status => e.status, p_content => e.content, p_finish_reason => e."finishReason", p_truncated => e.truncated,
            p_error_code => e."errorCode", p_error_message => e."errorMessage", p_model => e.model,
            p_prompt_tokens => e."promptTokens", p_reply_tokens => e."replyTokens", p_thought_tokens => e."thoughtTokens",
            p_cached_tokens => e."cachedTokens", p_tool_tokens => e."toolTokens", p_calls => e.calls,
            p_refunds_a_day => e."refundsADay", p_basic_running => ${userConcurrency.basic},
            p_pro_running => ${userConcurrency.pro}, p_context_ids => e."contextIds", p_output => e.output::json,
            p_thoughts => e.thoughts, p_error_detail => e."errorDetail",
            p_grounding => e.grounding, p_context_summary => e."contextSummary") as ended
          from ${unlockedRowsOf(sql, endings, endingColumns, waits)} e
        `
        return Effect.map(waits ? retryConflicts(sql)(rows) : rows, (found) => inOrder(endings, found).map((row) => row?.ended))
      })

      const finish = Effect.fnUntraced(function* (
        reply: Pick<Claim, "userId" | "id">,
        attempt: number | null,
        outcome: Outcome,
        work?: Work
      ) {
        const { error, usage } = outcome
        const calls = work?.calls.rows(models.costOf) ?? []
        const finished = yield* endInBatch({
          userId: reply.userId,
          id: reply.id,
          attempt,
          status: outcome.status,
          content: outcome.content,
          finishReason: outcome.finishReason,
          truncated: outcome.truncated,
          errorCode: error?.code ?? null,
          errorMessage: error?.message ?? null,
          model: outcome.model,
          promptTokens: usage?.promptTokens ?? null,
          replyTokens: usage?.replyTokens ?? null,
          thoughtTokens: usage?.thoughtTokens ?? null,
          cachedTokens: usage?.cachedTokens ?? null,
          toolTokens: usage?.toolTokens ?? null,
          calls,
          refundsADay: isRefunded(outcome) ? refundsADay : null,
          contextIds: work?.messageIds ?? null,
          output: outcome.output ?? null,
          thoughts: outcome.thoughts ?? null,
          errorDetail: error?.detail ?? null,
          grounding: outcome.grounding ?? null,
          contextSummary: sentSummary(work?.summary ?? null)
        }).pipe(Effect.orDie)
        switch (finished.outcome) {
          case "fenced_off":
            return false
          case "finished": {
            if (work !== undefined) work.calls.isRecorded = true
            countCalls(calls)
            ended(error?.code ?? outcome.status).add(1)
            yield* announcer.announce({
              replies: wakeupsOf(reply.userId, finished.nextReplies),
              topics: [
                topicOf("reply", reply.id),
                // A worker that holds it has lost it.
                ...(attempt === null ? [topicOf("stop", reply.id)] : []),
                // With the next reply's turn comes its question's place in the list, should that news have been lost.
                ...(finished.nextReplies.length === 0 ? [] : [topicOf("chatrooms", reply.userId)])
              ]
            })
            return true
          }
          default:
            return yield* Effect.die(new Error(`finish_reply returned ${JSON.stringify(finished satisfies never)}`))
        }
      })

      /** Fails when another attempt has the reply; one whose room was deleted meanwhile needs nothing more. */
      const checkLost = Effect.fnUntraced(function* (reply: Claim) {
        const found = yield* sql`select 1 from messages where user_id = ${reply.userId} and id = ${reply.id}`.pipe(Effect.orDie)
        if (found.length > 0) return yield* new LeaseLost({ replyId: reply.id })
      })

      const settle = Effect.fnUntraced(function* (reply: Claim, outcome: Outcome, work?: Work) {
        if (!(yield* retryOutages(finish(reply, reply.attempt, outcome, work)))) return yield* checkLost(reply)
        durations(reply.tier).observe(reply.ageSeconds + ((yield* reply.now) - reply.claimedAt.getTime()) / 1_000)
      })

      const postpone = Effect.fnUntraced(function* (reply: Claim, milliseconds: number, failures: number) {
        // In whole milliseconds, as a job's time is: one that came earlier would find nothing to do.
        const [kept] = yield* sql<{ retryAt: Date }>`
          update messages set status = 'waiting', failures = ${failures}, is_moderated = ${reply.isModerated},
            retry_at = date_trunc('milliseconds', clock_timestamp() + make_interval(secs => ${milliseconds / 1_000})),
            failing_since = case when ${failures} > 0 then coalesce(failing_since, ${reply.claimedAt}) end, lease_until = null, worker_id = null
          where user_id = ${reply.userId} and id = ${reply.id} and attempt = ${reply.attempt} and status = 'processing'
          returning retry_at
        `.pipe(Effect.orDie, retryOutages)
        if (kept === undefined) return yield* checkLost(reply)
        yield* announcer.announce({
          replies: [{ userId: reply.userId, replyId: reply.id, priority: reply.priority, runAt: kept.retryAt }],
          topics: [topicOf("reply", reply.id)]
        })
      })

      const giveBack = Effect.fnUntraced(function* (reply: Claim) {
        yield* sql`
          update messages set status = 'queued', queued_at = clock_timestamp(), lease_until = null, worker_id = null
          where user_id = ${reply.userId} and id = ${reply.id} and attempt = ${reply.attempt} and status = 'processing'
        `
        yield* announcer.announce({ replies: [{ userId: reply.userId, replyId: reply.id, priority: reply.priority }] })
      }, Effect.orDie)
      const orExpire = Effect.catchCause((cause) => Effect.logWarning("A lease could not be handed back; it will expire", cause))
      const handBack = (reply: Claim) => giveBack(reply).pipe(orExpire)
      const handBackAfterOutage = (reply: Claim) =>
        Effect.sleep("1 second").pipe(Effect.andThen(giveBack(reply)), retryOutages, orExpire)

      const recordLate = recordLateCalls(sql, countCalls)
      const record = (reply: Claim, calls: AttemptCalls) =>
        Effect.suspend(() => {
          const { id: replyId, quotaDay: day, quotaKey, userId } = reply
          return recordLate({ userId, replyId, quotaKey, day }, calls.isRecorded ? [] : calls.rows(models.costOf))
        })

      return ReplyStore.of({ claim, finish, settle, postpone, handBack, handBackAfterOutage, record })
    })
  )
}
