import { Clock, Effect, Fiber } from "effect"
import { type CurrentSession, type SessionId, type Tier, type UserId } from "../api/auth/User.ts"
import { ReadSql } from "../database/Database.ts"
import { makeNotifiedCache } from "../database/NotifiedCache.ts"
import { Notifications } from "../database/Notifications.ts"
import { topicOf } from "../database/Topics.ts"
import { cacheLookups } from "../ops/Metrics.ts"

/** Sessions kept in memory, and the milliseconds after which one is read again. */
const maximumCached = 50_000
const timeToLive = 60_000

/** A session or an API key with its user, without what depends on the time of the request. */
interface CachedSession {
  /** Milliseconds. */
  readonly expiresAt: number
  /** The session at the tier that the user has until then (milliseconds), in the order of these times. */
  readonly tiers: ReadonlyArray<{ readonly until: number; readonly session: CurrentSession }>
}

/** What a session's query returns. */
interface SessionRow extends Omit<CurrentSession, "tier" | "userId" | "sessionId"> {
  readonly expiresAt: Date
  readonly proUntil: Date | null
  /** The paid plans, from the best one; null in a row of the previous release, whose only plan is `pro`. */
  readonly plans: ReadonlyArray<{ readonly plan: Tier; readonly until: string }> | null
}

/** The sessions of one user that were read, by id. */
type CachedSessions = ReadonlyMap<string, CachedSession>

/**
 * The sessions and API keys of requests, with their users: read from Postgres, and kept in memory until a notification
 * says that they have changed.
 */
export const makeSessionCache = Effect.gen(function* () {
  const readSql = yield* ReadSql
  const notifications = yield* Notifications
  const clock = yield* Clock.Clock
  const cache = yield* makeNotifiedCache<CachedSessions>({
    notifications,
    kind: "sessions",
    maxSize: maximumCached,
    size: (sessions) => sessions.size,
    ttl: timeToLive
  })

  const load = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
    const [row] = yield* readSql<SessionRow>`
      select u.mobile, u.name, u.email, u.quota_key, u.created_at, s.expires_at, u.pro_until, u.plans,
        u.password_hash is not null as has_password, s.is_recovery, s.is_key, s.created_at as logged_in_at
      from (
        select user_id, expires_at, is_recovery, false as is_key, created_at from sessions
        where user_id = ${userId} and id = ${sessionId} and revoked_at is null
        union all
        select user_id, coalesce(expires_at, '9999-12-31 00:00:00Z'), false, true, created_at from api_keys
        where user_id = ${userId} and id = ${sessionId}
      ) s join users u on u.id = s.user_id
      where s.expires_at > now() and u.status = 'active'
    `
    if (row === undefined) return undefined
    const { expiresAt, plans, proUntil, ...rest } = row
    const session = { ...rest, userId, sessionId }
    const paid = plans?.map(({ plan, until }) => ({ until: Date.parse(until), session: { ...session, tier: plan } }))
    const pro = { until: proUntil?.getTime() ?? 0, session: { ...session, tier: "pro" } }
    return {
      expiresAt: expiresAt.getTime(),
      tiers: [...(paid ?? [pro]), { until: Infinity, session: { ...session, tier: "basic" } }]
    }
  }, Effect.orDie)

  /** Expiry and tier depend on the time, so they are computed on every read. */
  const at = (now: number, { expiresAt, tiers }: CachedSession): CurrentSession | undefined =>
    expiresAt > now ? tiers.find(({ until }) => until > now)?.session : undefined

  const lookups = yield* cacheLookups("sessions")
  const peek = (userId: UserId, sessionId: SessionId) => {
    const cached = cache.peek(userId)?.get(sessionId)
    if (cached !== undefined) lookups.hit.add(1)
    return cached === undefined ? undefined : at(clock.currentTimeMillisUnsafe(), cached)
  }

  const find = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
    const cached = cache.peek(userId)?.get(sessionId)
    const now = yield* Clock.currentTimeMillis
    const counted = cached === undefined ? lookups.miss : lookups.hit
    counted.add(1)
    if (cached !== undefined) return at(now, cached)
    const add = Effect.map(load(userId, sessionId), (loaded): CachedSessions => {
      // Read after the query, so that sessions dropped during the query stay dropped.
      const others = cache.peek(userId) ?? new Map<string, CachedSession>()
      // A missing session is not cached: it may exist in a moment.
      return loaded === undefined ? others : new Map([...others, [sessionId, loaded]])
    })
    const loaded = (yield* cache.fill(userId, add)).value.get(sessionId)
    return loaded === undefined ? undefined : at(now, loaded)
  })

  const ended = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
    while (true) {
      // Listens before it reads, so that no end is missed between the two.
      const notified = yield* Effect.forkChild(notifications.once(topicOf("sessions", userId)), { startImmediately: true })
      if ((yield* find(userId, sessionId)) === undefined) return yield* Fiber.interrupt(notified)
      yield* Fiber.join(notified)
    }
  })

  return { ended, peek, find }
})
