import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { ReadSql } from "../database/Database.ts"
import { makeNotifiedCache } from "../database/NotifiedCache.ts"
import { Notifications } from "../database/Notifications.ts"
import { SessionId, UserId, type CurrentSession } from "./User.ts"

/** Days without use after which a session ends. */
const idleDays = 30
/** Sessions kept in memory, and milliseconds one is at the most. */
const maximumCached = 50_000
const timeToLive = 60_000

interface Known {
  readonly session: Omit<CurrentSession, "tier">
  readonly expiresAt: Date
  readonly proUntil: Date | null
}

/** By session, those of one user that were asked for. */
type KnownOfUser = ReadonlyMap<string, Known>

/** The topic of a user's sessions: whoever ends one, or changes the user or the tier, notifies in the same transaction. */
export const sessionsTopic = (userId: string) => `sessions:${userId}`

export class Sessions extends Context.Service<
  Sessions,
  {
    readonly start: (userId: UserId, userAgent: string | null) => Effect.Effect<SessionId>
    /** The session with its user, or nothing when it was revoked, has expired, or its user is gone. */
    readonly find: (userId: UserId, sessionId: SessionId) => Effect.Effect<CurrentSession | undefined>
  }
>()("chat-backend/auth/Sessions") {
  static readonly layer = Layer.effect(
    Sessions,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const readSql = yield* ReadSql
      const cache = yield* makeNotifiedCache<KnownOfUser>({
        notifications: yield* Notifications,
        kind: "sessions",
        maxSize: maximumCached,
        size: (sessions) => sessions.size,
        ttl: timeToLive
      })

      const start = Effect.fn("Sessions.start")(function* (userId: UserId, userAgent: string | null) {
        const id = SessionId.make(uuid())
        yield* sql`
          insert into sessions (user_id, id, user_agent, expires_at)
          values (${userId}, ${id}, ${userAgent?.slice(0, 300) ?? null}, now() + make_interval(days => ${idleDays}))
        `
        return id
      }, Effect.orDie)

      const load = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
        const [row] = yield* readSql<{
          mobile: string
          name: string | null
          email: string | null
          quotaKey: string
          createdAt: Date
          expiresAt: Date
          proUntil: Date | null
        }>`
          select u.mobile, u.name, u.email, u.quota_key, u.created_at, s.expires_at, u.pro_until
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

      return Sessions.of({ start, find })
    })
  )
}
