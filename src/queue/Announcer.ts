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

interface Announcement {
  readonly replies?: ReadonlyArray<Wakeup> | undefined
  readonly topics?: ReadonlyArray<Topic> | undefined
}

export const replyTask = "reply"

/** Announcements that wait for the database at most; further ones are dropped. */
const maximumPending = 20_000
/** Jobs added by one statement. */
const batch = 1_000

/**
 * Adds jobs for replies and notifies other processes, in one statement for all announcements of two milliseconds. It
 * is called after the commit, never inside the transaction: NOTIFY serialises commits, and one `add_job` costs more
 * than the rest of sending a message. An announcement is only a hint and may be lost: the reaper finds replies that
 * were not announced, and subscribers look again after a while.
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
      const replies = new Map<string, Wakeup>()
      let topics = new Set<Topic>()

      const send = (wakeups: ReadonlyArray<Wakeup>, payloads: ReadonlyArray<string>) => {
        const specs = wakeups.map(({ priority, replyId, runAt, userId }) => ({
          identifier: replyTask,
          payload: { userId, replyId },
          job_key: replyId,
          priority,
          ...(runAt === undefined ? {} : { run_at: runAt.toISOString() })
        }))
        return sql`
          select set_config('synchronous_commit', 'off', true),
            (select count(*) from graphile_worker.add_jobs(array(
              select json_populate_recordset(null::graphile_worker.job_spec, ${JSON.stringify(specs)}::text::json)))),
            (select count(pg_notify(${channel}, payload)) from json_array_elements_text(${JSON.stringify(payloads)}::text::json) payload)
        `.pipe(retryConflicts(sql))
      }

      const flush = Effect.gen(function* () {
        yield* ready.close
        const wakeups = [...replies.values()].slice(0, batch)
        for (const { replyId } of wakeups) replies.delete(replyId)
        const payloads = packTopics(topics)
        topics = new Set()
        if (replies.size > 0) yield* ready.open
        if (wakeups.length > 0 || payloads.length > 0) yield* send(wakeups, payloads)
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
          for (const wakeup of announcement.replies ?? []) if (replies.size < maximumPending) replies.set(wakeup.replyId, wakeup)
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
