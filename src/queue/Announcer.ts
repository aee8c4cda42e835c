import { Context, Effect, Latch, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { backgroundStep } from "../ops/BackgroundStep.ts"
import { channel, Notifications, packTopics } from "../database/Notifications.ts"
import type { Topic } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"

/** A reply that a worker is to make, now or at `runAt`; those of a lower `priority` come first. */
export interface Wakeup {
  readonly userId: string
  readonly replyId: string
  readonly priority: number
  readonly runAt?: Date | undefined
}

/** A reply that was held and may run now, as SQL functions return it. */
export interface ReleasedReply {
  readonly id: string
  readonly priority: number
}

export const wakeupsOf = (userId: string, released: ReadonlyArray<ReleasedReply>): ReadonlyArray<Wakeup> =>
  released.map(({ id, priority }) => ({ userId, replyId: id, priority }))

/** A room whose title a worker is to ask a model for, beside the reply to its first question. */
export interface TitleWakeup {
  readonly userId: string
  readonly roomId: string
  readonly questionId: string
  readonly replyId: string
  /** The trace that the job continues. */
  readonly traceparent?: string | undefined
}

/** A long room that a worker is to summarise, after the reply that shows it. */
export interface SummaryWakeup {
  readonly userId: string
  readonly roomId: string
  readonly replyId: string
}

interface Announcement {
  readonly replies?: ReadonlyArray<Wakeup> | undefined
  readonly titles?: ReadonlyArray<TitleWakeup> | undefined
  readonly summaries?: ReadonlyArray<SummaryWakeup> | undefined
  readonly topics?: ReadonlyArray<Topic> | undefined
}

export const replyTask = "reply"
export const titleTask = "title"
export const summaryTask = "summary"
/** Titles and summaries come after every reply. */
const backgroundPriority = 20

/** A job as graphile-worker's `job_spec` names its members. */
interface JobSpec {
  readonly identifier: string
  readonly payload: object
  readonly job_key: string
  readonly priority: number
  readonly run_at?: string
}

const replyJob = ({ priority, replyId, runAt, userId }: Wakeup): JobSpec => ({
  identifier: replyTask,
  payload: { userId, replyId },
  job_key: replyId,
  priority,
  ...(runAt === undefined ? {} : { run_at: runAt.toISOString() })
})

const titleJob = (title: TitleWakeup): JobSpec => ({
  identifier: titleTask,
  payload: title,
  job_key: `title:${title.roomId}`,
  priority: backgroundPriority
})

const summaryJob = (summary: SummaryWakeup): JobSpec => ({
  identifier: summaryTask,
  payload: summary,
  job_key: `summary:${summary.roomId}`,
  priority: backgroundPriority
})

/** Announcements that wait for the database at most; further ones are dropped. */
const maximumPending = 20_000
/** Jobs added by one statement. */
const batch = 1_000

/**
 * Adds jobs for replies, titles and summaries, and notifies other processes, in one statement for all announcements of two milliseconds. It
 * is called after the commit, never inside the transaction: NOTIFY serialises commits, and one `add_job` costs more
 * than the rest of sending a message. An announcement is only a hint and may be lost: the reaper finds replies that
 * were not announced, a title that was not stays the question's words, a summary is announced again after the next reply, and subscribers look again after a while.
 */
export class Announcer extends Context.Service<
  Announcer,
  {
    /** Returns at once. Subscribers in this process are notified before it returns. */
    readonly announce: (announcement: Announcement) => Effect.Effect<void>
  }
>()("chat-backend/queue/Announcer") {
  static readonly layer = Layer.effect(
    Announcer,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const notifications = yield* Notifications
      const ready = yield* Latch.make(false)
      const jobs = new Map<string, JobSpec>()
      let topics = new Set<Topic>()

      const send = (specs: ReadonlyArray<JobSpec>, payloads: ReadonlyArray<string>) => {
        const notify = sql`
          (select count(pg_notify(${channel}, payload)) from json_array_elements_text(${JSON.stringify(payloads)}::text::json) payload)
        `
        // Without a job to add, `add_jobs` would still run its statements and wake every worker.
        if (specs.length === 0) return sql`select set_config('synchronous_commit', 'off', true), ${notify}`
        // A plan that is made while the table of jobs is empty would read all of it for ever.
        return sql`
          select set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true),
            (select count(*) from graphile_worker.add_jobs(array(
              select json_populate_recordset(null::graphile_worker.job_spec, ${JSON.stringify(specs)}::text::json)))),
            ${notify}
        `.pipe(retryConflicts(sql))
      }

      const flush = Effect.gen(function* () {
        yield* ready.close
        const specs = [...jobs.values()].slice(0, batch)
        for (const { job_key } of specs) jobs.delete(job_key)
        const payloads = packTopics(topics)
        topics = new Set()
        if (jobs.size > 0) yield* ready.open
        if (specs.length > 0 || payloads.length > 0) yield* send(specs, payloads)
      })
      const flushStep = backgroundStep("Announcements were lost; the reaper will repeat those of replies", flush, { pause: 0 })

      yield* ready.await.pipe(
        Effect.andThen(Effect.sleep("2 millis")),
        Effect.andThen(flushStep),
        Effect.forever,
        Effect.forkScoped
      )
      yield* Effect.addFinalizer(() => flushStep)

      const announce: Announcer["Service"]["announce"] = (announcement) =>
        Effect.suspend(() => {
          const { replies = [], summaries = [], titles = [] } = announcement
          const specs = [...replies.map(replyJob), ...titles.map(titleJob), ...summaries.map(summaryJob)]
          for (const spec of specs) if (jobs.size < maximumPending) jobs.set(spec.job_key, spec)
          for (const topic of announcement.topics ?? []) {
            if (topics.size < maximumPending) topics.add(topic)
            notifications.publishLocal(topic)
          }
          return ready.open
        })

      return Announcer.of({ announce })
    })
  )
}
