import { Context, Effect, Latch, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { channel, Notifications, packTopics } from "../database/Notifications.ts"
import type { Topic } from "../database/Topics.ts"

/** A reply that is ready to be made, now or at a time. */
export interface Wakeup {
  readonly userId: string
  readonly replyId: string
  readonly runAt?: Date
}

export const replyTask = "reply"

/** Announcements kept when the database does not take them; past this the reaper finds the replies anyway. */
const maximumPending = 20_000
const batch = 1_000

/**
 * Announces what was committed: wake-up jobs for replies and topics for other processes, gathered for a moment
 * and sent in one statement. Never inside the transaction that it follows: NOTIFY serialises commits, and one
 * `add_job` costs more than the rest of a send. An announcement is a hint; one that is lost is made again.
 */
export class Announcer extends Context.Service<
  Announcer,
  {
    readonly announce: (what: {
      readonly replies?: ReadonlyArray<Wakeup>
      readonly topics?: ReadonlyArray<Topic>
    }) => Effect.Effect<void>
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
        const specs = wakeups.map(({ userId, replyId, runAt }) => ({
          identifier: replyTask,
          payload: { userId, replyId },
          job_key: replyId,
          ...(runAt === undefined ? {} : { run_at: runAt.toISOString() })
        }))
        return sql`
          select set_config('synchronous_commit', 'off', true),
            (select count(*) from graphile_worker.add_jobs(array(
              select json_populate_recordset(null::graphile_worker.job_spec, ${JSON.stringify(specs)}::text::json)))),
            (select count(pg_notify(${channel}, payload)) from json_array_elements_text(${JSON.stringify(payloads)}::text::json) payload)
        `
      }

      const flush = Effect.gen(function* () {
        yield* ready.close
        const wakeups = [...replies.values()].slice(0, batch)
        for (const { replyId } of wakeups) replies.delete(replyId)
        const payloads = packTopics(topics)
        topics = new Set()
        if (replies.size > 0) yield* ready.open
        if (wakeups.length > 0 || payloads.length > 0) yield* send(wakeups, payloads)
      }).pipe(
        Effect.timeout("10 seconds"),
        Effect.catchCause((cause) => Effect.logWarning("An announcement was lost; the reaper will make it again", cause))
      )

      yield* ready.await.pipe(Effect.andThen(Effect.sleep("2 millis")), Effect.andThen(flush), Effect.forever, Effect.forkScoped)
      yield* Effect.addFinalizer(() => flush)

      const announce: Announcer["Service"]["announce"] = (what) =>
        Effect.suspend(() => {
          for (const wakeup of what.replies ?? []) if (replies.size < maximumPending) replies.set(wakeup.replyId, wakeup)
          for (const topic of what.topics ?? []) {
            if (topics.size < maximumPending) topics.add(topic)
            notifications.publishLocal(topic)
          }
          return ready.open
        })

      return Announcer.of({ announce })
    })
  )
}
