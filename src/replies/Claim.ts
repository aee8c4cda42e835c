import { Clock, Effect } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import type { Tier } from "../api/auth/User.ts"
import { defaultThinking } from "../api/chat/Thinking.ts"
import { limitsByTier } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { inOrder, makeBatches, rowsOf } from "../database/Batches.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Models } from "../models/Models.ts"
import type { ReplySettings } from "../models/Settings.ts"
import { histograms, modelSeconds } from "../ops/Metrics.ts"
import { processId } from "../queue/ProcessId.ts"
import { leaseSeconds } from "./Leases.ts"

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
  /** When the first attempt began that failed for a reason that passes: a pause of the whole model does not count. */
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

/** The replies of the jobs that no other worker holds and that are due, each under a lease of this process. */
const claimedRows = (sql: SqlClient.SqlClient, jobs: ReadonlyArray<ReplyJob>) => sql<ClaimedRow & { readonly position: number }>`
  update messages m set status = 'processing', attempt = m.attempt + 1, worker_id = ${processId}, retry_at = null,
    claimed_attempt = case when m.claimed_attempt is not null then m.attempt + 1 end,
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

/** Makes the function that takes the lease of a reply, and with it an attempt. Claims that come together share a statement. */
export const makeClaim = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const models = yield* Models
  const limitsOf = limitsByTier(yield* AppConfig)
  const queueTimes = yield* histograms(
    "chat_reply_queue_seconds",
    "Time from the moment at which a reply could be made until a worker begins, by tier.",
    ["tier"],
    modelSeconds
  )

  const claimInBatch = yield* makeBatches<ReplyJob, ClaimedRow | null, SqlError.SqlError>((jobs) =>
    Effect.map(retryConflicts(sql)(claimedRows(sql, jobs)), (rows) => inOrder(jobs, rows).map((row) => row ?? null))
  )

  return Effect.fnUntraced(function* (userId: string, replyId: string) {
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
})
