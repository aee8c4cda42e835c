import type { SqlClient } from "effect/sql"
import type { Settings } from "../config/Settings.ts"
import { replyTask } from "../queue/Announcer.ts"
import { lockKey, timeline } from "../queue/WorkerLock.ts"
import { leaseSeconds } from "./Leases.ts"
import { replyDeadline } from "./ReplyDeadline.ts"

/** Seconds that a reply may lie unannounced before a sweep finds it. */
const unannounced = 2
/** Seconds after which a Basic reply has the priority of a Pro one; with the time between sweeps, ten at most. */
const agedAfter = 7
/** Seconds without a heartbeat after which a worker process counts as gone. */
const deadAfter = 45
const batch = 1_000

/** The statements that find and mend what processes left when they died, and what has waited for long. */
export const leftovers = (sql: SqlClient.SqlClient, userConcurrency: Settings["userConcurrency"]) => {
  /** Replies that should be running and have no unlocked job: one that is due soon is not touched. */
  const overdue = sql<{ userId: string; id: string; priority: number; expired: boolean }>`
    select m.user_id, m.id,
      case when m.queued_at < clock_timestamp() - make_interval(secs => ${agedAfter}) then 0 else m.priority end::int as priority,
      coalesce(m.started_at < clock_timestamp() - make_interval(secs => ${replyDeadline / 1000}), false) as expired
    from messages m
    where m.completed_at is null
      and (m.status = 'queued' and m.queued_at < clock_timestamp() - make_interval(secs => ${unannounced})
        or m.status = 'waiting' and m.retry_at < clock_timestamp() - make_interval(secs => ${unannounced})
        or m.status = 'processing' and m.lease_until < clock_timestamp())
      and not exists (select 1 from graphile_worker.jobs j where j.key = m.id::text and j.locked_at is null and j.attempts < j.max_attempts)
    limit ${batch}
  `

  /**
   * Ends the leases of workers whose lock is free: they were killed. A lock from before the server's last start or its
   * promotion says nothing, and shortly after a start no worker may have taken its lock again; the lease decides then.
   */
  const endLeasesOfKilled = sql`
    with killed as (
      delete from worker_heartbeats h
      where h.locked_since > pg_postmaster_start_time() and h.locked_timeline = ${sql.literal(timeline)}
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

  /**
   * Unlocks the jobs of workers without a heartbeat, and old jobs whose worker has no heartbeat row, because it died at
   * start or was cut off at shutdown.
   */
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

  /**
   * Gives jobs that have been due for long the priority of Pro. They keep their time, and so their place before jobs that
   * came later.
   */
  const promoteAged = sql`
    select count(*) from graphile_worker.reschedule_jobs(array(
      select id from graphile_worker.jobs
      where task_identifier = ${replyTask} and priority > 0 and locked_at is null
        and run_at < now() - make_interval(secs => ${agedAfter})
      order by run_at limit ${batch}), priority => 0)
  `

  /**
   * Users with held replies that may run. The transaction that ends a reply releases the next ones, so there are such
   * users only after a change from outside: an upgrade, another setting. Every plan has the limit of Pro, and `pro_until`
   * is the end of the user's last plan, whichever it is.
   */
  const usersToRelease = sql<{ userId: string }>`
    with rooms as (
      select user_id, count(*) filter (where status <> 'held') as running from messages
      where completed_at is null group by user_id, chatroom_id
    )
    select user_id from rooms r join users u on u.id = r.user_id
    group by user_id, u.pro_until
    having min(running) = 0
      and sum(running) < case when u.pro_until > now() then ${userConcurrency.pro}::int else ${userConcurrency.basic}::int end
    limit ${batch}
  `

  /** A job that was announced again while its dead worker had it locked has lost its key and its attempts. */
  const forgetReplaced = sql`
    select count(*) from graphile_worker.complete_jobs(array(
      select id from graphile_worker.jobs where key is null and locked_at is null and attempts >= max_attempts))
  `

  return { overdue, endLeasesOfKilled, unlockDead, promoteAged, usersToRelease, forgetReplaced }
}
