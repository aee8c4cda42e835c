import { Context, Data, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { topicOf } from "../database/Topics.ts"
import { Models } from "../models/Models.ts"
import { counters, histograms, modelSeconds } from "../ops/Metrics.ts"
import { Announcer, type ReleasedReply, wakeupsOf } from "../queue/Announcer.ts"
import type { AttemptCalls } from "./AttemptCalls.ts"
import type { Work } from "./AttemptWork.ts"
import { makeCallCounts } from "./CallCounts.ts"
import { type Claim, makeClaim } from "./Claim.ts"
import { endingOf, makeFinishReply } from "./FinishReply.ts"
import { recordLateCalls } from "./LateCalls.ts"
import type { Outcome } from "./Outcome.ts"
import { retryOutages } from "./OutageRetries.ts"

/** Another worker has taken the reply over; what was made of it here is thrown away. */
export class LeaseLost extends Data.TaggedError("LeaseLost")<{ readonly replyId: string }> {}

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
      const claim = yield* makeClaim
      const finishReply = yield* makeFinishReply
      const countCalls = yield* makeCallCounts
      const ended = yield* counters(
        "chat_replies_total",
        "Replies that have ended: completed, cancelled, or by the code of the failure.",
        ["outcome"]
      )
      for (const outcome of ["completed", "cancelled"]) ended(outcome)
      const durations = yield* histograms(
        "chat_reply_duration_seconds",
        "Time from a question to the end of its reply, by tier.",
        ["tier"],
        modelSeconds
      )

      /** Announces the end of the reply, and of the replies that may run now. */
      const announceEnd = (userId: string, replyId: string, nextReplies: ReadonlyArray<ReleasedReply>, isTaken: boolean) =>
        announcer.announce({
          replies: wakeupsOf(userId, nextReplies),
          topics: [
            topicOf("reply", replyId),
            // A worker that holds it has lost it.
            ...(isTaken ? [topicOf("stop", replyId)] : []),
            // With the next reply's turn comes its question's place in the list, should that news have been lost.
            ...(nextReplies.length === 0 ? [] : [topicOf("chatrooms", userId)])
          ]
        })

      const finish = Effect.fnUntraced(function* (
        reply: Pick<Claim, "userId" | "id">,
        attempt: number | null,
        outcome: Outcome,
        work?: Work
      ) {
        const calls = work?.calls.rows(models.costOf) ?? []
        const finished = yield* finishReply(endingOf(reply, attempt, outcome, calls, work)).pipe(Effect.orDie)
        switch (finished.outcome) {
          case "fenced_off":
            return false
          case "finished": {
            if (work !== undefined) work.calls.isRecorded = true
            countCalls(calls)
            ended(outcome.error?.code ?? outcome.status).add(1)
            yield* announceEnd(reply.userId, reply.id, finished.nextReplies, attempt === null)
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
      const orExpire = Effect.catchCause((cause) =>
        Effect.logWarning("A lease could not be returned; it expires by itself", cause)
      )
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
