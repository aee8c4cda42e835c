import { Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Announcer, type ReleasedReply, wakeupsOf } from "../queue/Announcer.ts"
import { leftovers } from "./Leftovers.ts"
import { failed } from "./Outcome.ts"
import { ReplyStore } from "./ReplyStore.ts"

const sweepEvery = "3 seconds"
const sweepLock = 4_211_962
const replacedLock = 4_211_963

/**
 * Makes again what can be lost: the wake-up of a reply whose process died before announcing it, the lease of a
 * worker that died holding it, the jobs it had locked, the release of a held reply. Raises the priority of replies that
 * have waited. One sweep of the fleet runs at a time.
 */
export const ReaperLayer = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const announcer = yield* Announcer
    const replies = yield* ReplyStore
    const { userConcurrency } = yield* AppConfig

    const { endLeasesOfKilled, forgetReplaced, overdue, promoteAged, unlockDead, usersToRelease } = leftovers(
      sql,
      userConcurrency
    )

    /** In a transaction of its own, because it takes the user's lock. */
    const release = Effect.fnUntraced(function* (userId: string) {
      const [row] = yield* sql<{ released: ReadonlyArray<ReleasedReply> }>`
        select release_replies(p_user => ${userId}, p_basic_running => ${userConcurrency.basic},
          p_pro_running => ${userConcurrency.pro}) as released
      `
      const released = row?.released ?? []
      if (released.length > 0) yield* Effect.logInfo(`Releasing ${released.length} held replies`)
      yield* announcer.announce({ replies: wakeupsOf(userId, released) })
    })

    /** Runs when no other process of the fleet is at the same work. */
    const alone = <A, E>(number: number, work: Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        const [lock] = yield* sql<{ ours: boolean }>`select pg_try_advisory_xact_lock(${number}) as ours`
        return lock?.ours === true ? yield* work : undefined
      }).pipe(sql.withTransaction, retryConflicts(sql))

    const look = Effect.gen(function* () {
      yield* endLeasesOfKilled
      const found = yield* overdue
      yield* unlockDead
      yield* promoteAged
      return { found, waiting: yield* usersToRelease }
    })

    /** Ends, without an attempt, a reply whose deadline has passed. */
    const expire = (userId: string, id: string) => replies.finish({ userId, id }, null, failed("model_unavailable"))

    const sweep = Effect.gen(function* () {
      const { found, waiting } = (yield* alone(sweepLock, look)) ?? { found: [], waiting: [] }
      const [live, expired] = [found.filter((reply) => !reply.expired), found.filter((reply) => reply.expired)]
      if (found.length > 0) yield* Effect.logInfo(`Announcing ${live.length} replies again, ending ${expired.length}`)
      yield* announcer.announce({ replies: live.map(({ id, priority, userId }) => ({ userId, replyId: id, priority })) })
      yield* Effect.forEach(expired, ({ id, userId }) => expire(userId, id), { discard: true })
      yield* Effect.forEach(waiting, ({ userId }) => release(userId), { discard: true })
    })

    const guarded = <A, E>(what: string, work: Effect.Effect<A, E>) =>
      work.pipe(
        Effect.timeout("15 seconds"),
        Effect.catchCause((cause) => Effect.logWarning(`${what} failed`, cause))
      )

    yield* guarded("A sweep", sweep).pipe(Effect.repeat(Schedule.spaced(sweepEvery)), Effect.forkScoped)
    yield* guarded("Forgetting replaced jobs", alone(replacedLock, forgetReplaced)).pipe(
      Effect.repeat(Schedule.spaced("10 minutes")),
      Effect.forkScoped
    )
  })
)
