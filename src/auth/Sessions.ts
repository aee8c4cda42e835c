import { Context, Effect, Layer } from "effect"
import { SqlClient, type Statement } from "effect/sql"
import { isSqlError } from "effect/sql/SqlError"
import { v7 as uuid } from "uuid"
import { RefreshInvalid, RefreshReused } from "../api/auth/AuthErrors.ts"
import { type CurrentSession, SessionId, type UserId } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import { channel, Notifications } from "../database/Notifications.ts"
import { topicOf } from "../database/Topics.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { type Origin, storedUserAgent } from "../http/ClientAddress.ts"
import { makeSessionCache } from "./SessionCache.ts"

/** Seconds without use after which a session ends. */
const idleSeconds = 30 * 86_400
/** Seconds that a recovery session lasts. */
export const recoverySeconds = 600
/** Seconds for which the previous refresh token returns the same successor: requests at once, or a quick retry. */
const refreshGrace = 10
/** Seconds for which the previous refresh token works while its successor is unused, because the response may have been lost. */
const refreshRetry = 3_600
/** Sessions that a user may have. Starting another ends the oldest. */
const maximumOfUser = 100

export interface ListedSession {
  readonly id: SessionId
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly userAgent: string | null
}

/** A session that can be continued with a refresh token. */
interface StartedSession {
  readonly id: SessionId
  /** Seconds until it ends if it is not used. */
  readonly seconds: number
}

/** Which sessions of a user to end. */
export type EndedSessions = { readonly only: SessionId } | { readonly except: SessionId } | "all"

export class Sessions extends Context.Service<
  Sessions,
  {
    readonly start: (userId: UserId, origin: Origin, isRecovery: boolean) => Effect.Effect<StartedSession>
    /**
     * Exchanges a session's refresh counter for the next one. For ten seconds the previous counter returns the same
     * successor. For an hour it returns a new successor, if the other one was never used, and voids the other one. Any
     * other counter, a void one too, means that two clients hold the token, and ends the session. Also returns the seconds
     * until the session ends if it is not used.
     */
    readonly refresh: (
      userId: UserId,
      sessionId: SessionId,
      counter: number
    ) => Effect.Effect<{ readonly counter: number; readonly seconds: number }, RefreshInvalid | RefreshReused>
    /** Ends sessions of the user in every process. Returns how many sessions ended. */
    readonly revoke: (userId: UserId, ended: EndedSessions) => Effect.Effect<number>
    /** The user's sessions before the id `before`, the newest first. */
    readonly list: (
      userId: UserId,
      page: { readonly limit: number; readonly before?: string | undefined }
    ) => Effect.Effect<{ readonly found: ReadonlyArray<ListedSession>; readonly hasMore: boolean }>
    /**
     * Runs `work` in a transaction that also tells every process to drop its cached sessions of this user. The work is
     * repeated when the transaction loses a deadlock.
     */
    readonly change: <A, E>(userId: UserId, work: Effect.Effect<A, E>) => Effect.Effect<A, E>
    /** Completes when the session, or the API key, has ended: it was revoked, or its user deleted, in any process. */
    readonly ended: (userId: UserId, sessionId: SessionId) => Effect.Effect<void>
    /** The session with its user, when both are in memory and the session is still alive. */
    readonly peek: (userId: UserId, sessionId: SessionId) => CurrentSession | undefined
    /** The session, or the API key with this id, with its user; undefined when it was revoked, has expired, or its user was deleted. */
    readonly find: (userId: UserId, sessionId: SessionId) => Effect.Effect<CurrentSession | undefined>
  }
>()("chat-backend/auth/Sessions") {
  static readonly layer = Layer.effect(
    Sessions,
    Effect.gen(function* () {
      const { sessionMaxDays } = yield* AppConfig
      const sql = yield* SqlClient.SqlClient
      const notifications = yield* Notifications
      const cache = yield* makeSessionCache

      /** When a session that began at this time ends although it is used; infinity without `SESSION_MAX_DAYS`. */
      const latestEnd = (began: Statement.Fragment) =>
        sessionMaxDays === 0 ? sql`'infinity'::timestamptz` : sql`${began} + make_interval(days => ${sessionMaxDays})`

      const secondsUntil = (time: Statement.Fragment) => sql`floor(extract(epoch from ${time} - now()))::int`

      const start: Sessions["Service"]["start"] = Effect.fn("Sessions.start")(function* (userId, origin, isRecovery) {
        const id = SessionId.make(uuid())
        const [row] = yield* sql<{ ended: number; seconds: number }>`
          with started as (
            insert into sessions (user_id, id, user_agent, is_recovery, expires_at)
            values (${userId}, ${id}, ${storedUserAgent(origin)}, ${isRecovery},
              least(now() + make_interval(secs => ${isRecovery ? recoverySeconds : idleSeconds}), ${latestEnd(sql`now()`)}))
            returning expires_at
          ), ended as (
            update sessions set revoked_at = now() where user_id = ${userId} and revoked_at is null and id in (
              select id from sessions where user_id = ${userId} and revoked_at is null and expires_at > now()
              order by id desc offset ${maximumOfUser - 1}
            ) returning 1
          ), notified as (
            select pg_notify(${channel}, ${topicOf("sessions", userId)}) from (select count(*) as n from ended) e where e.n > 0
          )
          select (select count(*) from ended)::int as ended, (select count(*) from notified) as notified,
            (select ${secondsUntil(sql`expires_at`)} from started) as seconds
        `
        if (row !== undefined && row.ended > 0) notifications.publishLocal(topicOf("sessions", userId))
        return { id, seconds: row?.seconds ?? 0 }
      }, Effect.orDie)

      const refresh: Sessions["Service"]["refresh"] = Effect.fn("Sessions.refresh")(function* (userId, sessionId, counter) {
        const [row] = yield* sql<{ counter: number; reused: boolean; seconds: number }>`
          with found as (
            select counter as current, coalesce(exchanged_at, rotated_at) as exchanged,
              ${counter} = counter as is_current,
              ${counter} = coalesce(previous_counter, counter - 1) as is_previous,
              rotated_at > clock_timestamp() - make_interval(secs => ${refreshGrace}) as is_quick,
              coalesce(exchanged_at, rotated_at) > clock_timestamp() - make_interval(secs => ${refreshRetry}) as is_recent
            from sessions
            where user_id = ${userId} and id = ${sessionId} and revoked_at is null and expires_at > now() and ${counter} <= counter
              and not is_recovery
            for no key update
          ), judged as (
            select *, is_current or (is_previous and not is_quick and is_recent) as is_next,
              is_current or (is_previous and (is_quick or is_recent)) as is_valid
            from found
          ), exchanged as (
            update sessions set
              counter = case when is_next then counter + 1 else counter end,
              rotated_at = case when is_next then clock_timestamp() else rotated_at end,
              previous_counter = case when is_valid then ${counter}::integer else previous_counter end,
              exchanged_at = case when is_current then clock_timestamp() else exchanged end,
              last_used_at = clock_timestamp(),
              expires_at = least(greatest(expires_at, now() + make_interval(secs => ${idleSeconds})), ${latestEnd(sql`created_at`)}),
              revoked_at = case when is_valid then null else clock_timestamp() end
            from judged
            where user_id = ${userId} and id = ${sessionId}
            returning counter, revoked_at is not null as reused, ${secondsUntil(sql`expires_at`)} as seconds
          ), notified as (select pg_notify(${channel}, ${topicOf("sessions", userId)}) from exchanged where reused)
          select counter, reused, seconds, (select count(*) from notified) as notified from exchanged
        `.pipe(Effect.orDie)
        if (row === undefined) return yield* new RefreshInvalid()
        if (row.reused) {
          notifications.publishLocal(topicOf("sessions", userId))
          return yield* new RefreshReused()
        }
        return { counter: row.counter, seconds: row.seconds }
      })

      /** The statement notifies the other processes. This process drops its cached sessions at once. */
      const revoke: Sessions["Service"]["revoke"] = Effect.fn("Sessions.revoke")(function* (userId, ended) {
        const chosen = ended === "all" ? sql`true` : "only" in ended ? sql`id = ${ended.only}` : sql`id <> ${ended.except}`
        const [row] = yield* sql<{ count: number }>`
          with ended as (
            update sessions set revoked_at = now() where user_id = ${userId} and revoked_at is null and expires_at > now() and ${chosen}
            returning 1
          ), notified as (
            select pg_notify(${channel}, ${topicOf("sessions", userId)}) from (select count(*) as n from ended) e where e.n > 0
          )
          select (select count(*) from ended)::int as count, (select count(*) from notified) as notified
        `
        notifications.publishLocal(topicOf("sessions", userId))
        return row?.count ?? 0
      }, Effect.orDie)

      const list: Sessions["Service"]["list"] = Effect.fn("Sessions.list")(function* (userId, { before, limit }) {
        const rows = yield* sql<ListedSession>`
          select id, created_at, last_used_at, user_agent from sessions
          where user_id = ${userId} and revoked_at is null and expires_at > now() and not is_recovery
            and (${before ?? null}::uuid is null or id < ${before ?? null}::uuid)
          order by id desc limit ${limit + 1}
        `
        return { found: rows.slice(0, limit), hasMore: rows.length > limit }
      }, Effect.orDie)

      const change: Sessions["Service"]["change"] = Effect.fn("Sessions.change")(function* <A, E>(
        userId: UserId,
        work: Effect.Effect<A, E>
      ) {
        const topic = topicOf("sessions", userId)
        const result = yield* work.pipe(
          Effect.tap(sql`select pg_notify(${channel}, ${topic})`.pipe(Effect.orDie)),
          sql.withTransaction,
          retryConflicts(sql),
          Effect.catchIf(isSqlError, Effect.die)
        )
        // After the commit: sessions that this process read during the transaction are outdated, too.
        notifications.publishLocal(topic)
        return result
      })

      return Sessions.of({ ...cache, start, refresh, revoke, list, change })
    })
  )
}
