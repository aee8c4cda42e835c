import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { isSqlError } from "effect/sql/SqlError"
import { v7 as uuid } from "uuid"
import { ReadSql } from "../database/Database.ts"
import { makeNotifiedCache } from "../database/NotifiedCache.ts"
import { channel, Notifications } from "../database/Notifications.ts"
import { RefreshInvalid, RefreshReused } from "../api/auth/AuthErrors.ts"
import { SessionId, UserId, type CurrentSession } from "../api/auth/User.ts"
import { topicOf } from "../database/Topics.ts"

/** Seconds without use after which a session ends, and that a recovery lasts. */
const idleSeconds = 30 * 86_400
export const recoverySeconds = 600
/** Seconds in which the previous refresh token still works: its answer may have been lost on the way. */
const refreshGrace = 10
/** Sessions kept in memory, and milliseconds one is at the most. */
const maximumCached = 50_000
const timeToLive = 60_000

export interface ListedSession {
  readonly id: SessionId
  readonly createdAt: Date
  readonly lastUsedAt: Date
  readonly userAgent: string | null
}

interface Known {
  readonly session: Omit<CurrentSession, "tier">
  readonly expiresAt: Date
  readonly proUntil: Date | null
}

/** By session, those of one user that were asked for. */
type KnownOfUser = ReadonlyMap<string, Known>

export class Sessions extends Context.Service<
  Sessions,
  {
    readonly start: (userId: UserId, userAgent: string | null, kind?: "login" | "recovery") => Effect.Effect<SessionId>
    /**
     * Exchanges a session's refresh counter. The previous one is honoured for ten seconds more; an older one means
     * that two hold the token, and ends the session.
     */
    readonly refresh: (
      userId: UserId,
      sessionId: SessionId,
      counter: number
    ) => Effect.Effect<number, RefreshInvalid | RefreshReused>
    /** Ends sessions of the user, in every process at once; returns how many there were. */
    readonly revoke: (
      userId: UserId,
      which: { readonly only: SessionId } | { readonly except: SessionId } | "all"
    ) => Effect.Effect<number>
    /** The newest first, from before `before` on. */
    readonly list: (
      userId: UserId,
      page: { readonly limit: number; readonly before?: string | undefined }
    ) => Effect.Effect<{ readonly found: ReadonlyArray<ListedSession>; readonly hasMore: boolean }>
    /**
     * Does what changes the user, or what is remembered with the sessions, in one transaction: all of it, with the
     * notice after which no process goes on with what it remembers, or nothing.
     */
    readonly change: <A, E>(userId: UserId, work: Effect.Effect<A, E>) => Effect.Effect<A, E>
    /** The session with its user, or nothing when it was revoked, has expired, or its user is gone. */
    readonly find: (userId: UserId, sessionId: SessionId) => Effect.Effect<CurrentSession | undefined>
  }
>()("chat-backend/auth/Sessions") {
  static readonly layer = Layer.effect(
    Sessions,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const notifications = yield* Notifications
      const cache = yield* makeNotifiedCache<KnownOfUser>({
        notifications,
        kind: "sessions",
        maxSize: maximumCached,
        size: (sessions) => sessions.size,
        ttl: timeToLive
      })

      const start: Sessions["Service"]["start"] = Effect.fn("Sessions.start")(function* (userId, userAgent, kind = "login") {
        const id = SessionId.make(uuid())
        const isRecovery = kind === "recovery"
        yield* sql`
          insert into sessions (user_id, id, user_agent, is_recovery, expires_at)
          values (${userId}, ${id}, ${userAgent?.slice(0, 300) ?? null}, ${isRecovery},
            now() + make_interval(secs => ${isRecovery ? recoverySeconds : idleSeconds}))
        `
        return id
      }, Effect.orDie)

      const refresh: Sessions["Service"]["refresh"] = Effect.fn("Sessions.refresh")(function* (userId, sessionId, counter) {
        const [row] = yield* sql<{ counter: number; reused: boolean }>`
          with exchanged as (
            update sessions set
              counter = case when counter = ${counter} then counter + 1 else counter end,
              rotated_at = case when counter = ${counter} then clock_timestamp() else rotated_at end,
              last_used_at = clock_timestamp(),
              expires_at = greatest(expires_at, now() + make_interval(secs => ${idleSeconds})),
              revoked_at = case when counter = ${counter}
                  or (counter = ${counter} + 1 and rotated_at > clock_timestamp() - make_interval(secs => ${refreshGrace}))
                then null else clock_timestamp() end
            where user_id = ${userId} and id = ${sessionId} and revoked_at is null and expires_at > now() and ${counter} <= counter
              and not is_recovery
            returning counter, revoked_at is not null as reused
          ), told as (select pg_notify(${channel}, ${topicOf("sessions", userId)}) from exchanged where reused)
          select counter, reused, (select count(*) from told) as told from exchanged
        `.pipe(Effect.orDie)
        if (row === undefined) return yield* new RefreshInvalid()
        if (row.reused) {
          notifications.publishLocal(topicOf("sessions", userId))
          return yield* new RefreshReused()
        }
        return row.counter
      })

      /** The notice is part of the statement; this process does not wait for its own. */
      const revoke: Sessions["Service"]["revoke"] = Effect.fn("Sessions.revoke")(function* (userId, which) {
        const chosen = which === "all" ? sql`true` : "only" in which ? sql`id = ${which.only}` : sql`id <> ${which.except}`
        const [row] = yield* sql<{ count: number }>`
          with ended as (
            update sessions set revoked_at = now() where user_id = ${userId} and revoked_at is null and expires_at > now() and ${chosen}
            returning 1
          ), told as (select pg_notify(${channel}, ${topicOf("sessions", userId)}) from (select count(*) as n from ended) e where e.n > 0)
          select (select count(*) from ended)::int as count, (select count(*) from told) as told
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

      const change: Sessions["Service"]["change"] = (userId, work) =>
        work.pipe(
          Effect.tap(sql`select pg_notify(${channel}, ${topicOf("sessions", userId)})`.pipe(Effect.orDie)),
          sql.withTransaction,
          Effect.catchIf(isSqlError, Effect.die),
          // Only now: what this process read while the transaction was open is as it was before.
          Effect.tap(Effect.sync(() => notifications.publishLocal(topicOf("sessions", userId)))),
          Effect.withSpan("Sessions.change")
        )

      const load = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
        const [row] = yield* readSql<{
          mobile: string
          name: string | null
          email: string | null
          quotaKey: string
          hasPassword: boolean
          isRecovery: boolean
          createdAt: Date
          loggedInAt: Date
          expiresAt: Date
          proUntil: Date | null
        }>`
          select u.mobile, u.name, u.email, u.quota_key, u.created_at, s.expires_at, u.pro_until,
            u.password_hash is not null as has_password, s.is_recovery, s.created_at as logged_in_at
          from sessions s join users u on u.id = s.user_id
          where s.user_id = ${userId} and s.id = ${sessionId} and s.revoked_at is null and s.expires_at > now()
            and u.status = 'active'
        `
        if (row === undefined) return undefined
        const { expiresAt, proUntil, ...user } = row
        return { session: { ...user, userId, sessionId }, expiresAt, proUntil }
      }, Effect.orDie)

      /** Time passes in a cached session, too. */
      const asOf = (known: Known, now: number): CurrentSession | undefined =>
        known.expiresAt.getTime() <= now
          ? undefined
          : { ...known.session, tier: known.proUntil !== null && known.proUntil.getTime() > now ? "pro" : "basic" }

      const find = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
        const known = cache.peek(userId)?.get(sessionId)
        const now = yield* Clock.currentTimeMillis
        if (known !== undefined) return asOf(known, now)
        // A refusal is not remembered: what is not there yet may be in a moment.
        const add = Effect.map(load(userId, sessionId), (loaded): KnownOfUser => {
          // Read now and not before: what was forgotten meanwhile must not be brought back.
          const others = cache.peek(userId) ?? new Map<string, Known>()
          return loaded === undefined ? others : new Map([...others, [sessionId, loaded]])
        })
        const loaded = (yield* cache.fill(userId, add)).value.get(sessionId)
        return loaded === undefined ? undefined : asOf(loaded, now)
      })

      return Sessions.of({ start, refresh, revoke, list, change, find })
    })
  )
}
