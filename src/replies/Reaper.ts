import { Effect, Layer, Schedule } from "effect"
import { SqlClient } from "effect/sql"
import { replyDeadline, ReplyMaker } from "./ReplyMaker.ts"
import { Announcer } from "../queue/Announcer.ts"
import { lockKey } from "../queue/WorkerLock.ts"
import { leaseSeconds } from "./Leases.ts"

/** Seconds between sweeps, and how long a reply may lie unannounced before a sweep finds it. */
const sweepEvery = "3 seconds"
const unannounced = 2
/** Seconds without a heartbeat after which a worker process counts as gone. */
const deadAfter = 45
const sweepLock = 4_211_962
const replacedLock = 4_211_963
const batch = 1_000

/**
 * Makes again what can be lost: the wake-up of a reply whose process died before announcing it, the lease of a
 * worker that died holding it, the jobs it had locked. One sweep of the fleet runs at a time.
 */
export const ReaperLayer = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const announcer = yield* Announcer
    const replies = yield* ReplyMaker

    /** Replies that should be running and have no unlocked job: one that is due soon is not touched. */
    const overdue = sql<{ userId: string; id: string; expired: boolean }>`
      select m.user_id, m.id, coalesce(m.started_at < clock_timestamp() - make_interval(secs => ${replyDeadline / 1000}), false) as expired
      from messages m
      where m.completed_at is null
        and (m.status = 'queued' and m.queued_at < clock_timestamp() - make_interval(secs => ${unannounced})
          or m.status = 'waiting' and m.retry_at < clock_timestamp() - make_interval(secs => ${unannounced})
          or m.status = 'processing' and m.lease_until < clock_timestamp())
        and not exists (select 1 from graphile_worker.jobs j where j.key = m.id::text and j.locked_at is null and j.attempts < j.max_attempts)
      limit ${batch}
    `

    /**
     * Ends the leases of workers whose lock is free: they were killed. A lock from before the server's last start says
     * nothing, and shortly after a start (a failover) no worker may have taken its lock again; the lease decides then.
     */
    const endLeasesOfKilled = sql`
      with killed as (
        delete from worker_heartbeats h
        where h.locked_since > pg_postmaster_start_time()
          and pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => ${leaseSeconds})
          and pg_try_advisory_xact_lock_shared(${sql.literal(lockKey("h.id"))})
        returning h.id, h.graphile_worker_ids as ids
      ), unlocked as (
        select graphile_worker.force_unlock_workers(array_agg(k)) as jobs from killed, unnest(killed.ids) k having count(*) > 0
      ), freed as (
        update messages m set lease_until = clock_timestamp() - interval '1 millisecond'
        where m.completed_at is null and m.status = 'processing' and m.worker_id in (select id from killed)
        returning 1
      )
      select (select count(*) from killed) as killed, (select count(*) from unlocked) as unlocked, (select count(*) from freed) as freed
    `

    /** Also what nobody alive has had locked for long: its holder died before its first heartbeat, or was cut off when it left. */
    const unlockDead = sql`
      with dead as (
        delete from worker_heartbeats where seen_at < now() - make_interval(secs => ${deadAfter}) returning graphile_worker_ids as ids
      )
      select graphile_worker.force_unlock_workers(array_agg(distinct j.locked_by)) is null as done from graphile_worker.jobs j
      where j.locked_by in (select unnest(ids) from dead)
        or j.locked_at < now() - make_interval(secs => ${deadAfter})
          and not exists (select from worker_heartbeats h where j.locked_by = any(h.graphile_worker_ids))
      having count(*) > 0
    `

    /** A job that was announced again while its dead worker had it locked has lost its key and its attempts. */
    const forgetReplaced = sql`
      select count(*) from graphile_worker.complete_jobs(array(
        select id from graphile_worker.jobs where key is null and locked_at is null and attempts >= max_attempts))
    `

    /** Runs when no other process of the fleet is at the same work. */
    const alone = <A, E>(number: number, work: Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        const [lock] = yield* sql<{ ours: boolean }>`select pg_try_advisory_xact_lock(${number}) as ours`
        return lock?.ours === true ? yield* work : undefined
      }).pipe(sql.withTransaction)

    const sweep = Effect.gen(function* () {
      const found =
        (yield* alone(
          sweepLock,
          Effect.andThen(
            endLeasesOfKilled,
            Effect.tap(overdue, () => unlockDead)
          )
        )) ?? []
      const [live, expired] = [found.filter((reply) => !reply.expired), found.filter((reply) => reply.expired)]
      if (found.length > 0) yield* Effect.logInfo(`Announcing ${live.length} replies again, ending ${expired.length}`)
      yield* announcer.announce({ replies: live.map(({ id, userId }) => ({ userId, replyId: id })) })
      yield* Effect.forEach(expired, ({ id, userId }) => replies.expire(userId, id), { discard: true })
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
