import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import { SessionId, UserId, type CurrentSession } from "./User.ts"

/** Days without use after which a session ends. */
const idleDays = 30

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

      const start = Effect.fn("Sessions.start")(function* (userId: UserId, userAgent: string | null) {
        const id = SessionId.make(uuid())
        yield* sql`
          insert into sessions (user_id, id, user_agent, expires_at)
          values (${userId}, ${id}, ${userAgent?.slice(0, 300) ?? null}, now() + make_interval(days => ${idleDays}))
        `
        return id
      }, Effect.orDie)

      const find = Effect.fnUntraced(function* (userId: UserId, sessionId: SessionId) {
        const [row] = yield* sql<{
          mobile: string
          name: string | null
          email: string | null
          quotaKey: string
          createdAt: Date
          isPro: boolean
        }>`
          select u.mobile, u.name, u.email, u.quota_key, u.created_at, coalesce(u.pro_until > now(), false) as is_pro
          from sessions s join users u on u.id = s.user_id
          where s.user_id = ${userId} and s.id = ${sessionId} and s.revoked_at is null and s.expires_at > now()
            and u.status = 'active'
        `
        if (row === undefined) return undefined
        const { isPro, ...user } = row
        return { ...user, userId, sessionId, tier: isPro ? ("pro" as const) : ("basic" as const) }
      }, Effect.orDie)

      return Sessions.of({ start, find })
    })
  )
}
