import { Clock, Context, Effect, Layer } from "effect"
import type { CurrentSession, Tier } from "../api/auth/User.ts"
import type { QuotaState } from "../api/account/Usage.ts"
import { AppConfig } from "../config/Settings.ts"
import { ReadSql } from "../database/Database.ts"

const day = 86_400_000

/** Seconds from `now` until a time, at least one. */
export const secondsUntil = (resetsAt: string, now: number): number => Math.max(1, Math.ceil((Date.parse(resetsAt) - now) / 1000))

export const quotaState = (limit: number | null, used: number, resetsAt: string): QuotaState => ({
  limit,
  used,
  remaining: limit === null ? null : Math.max(0, limit - used),
  resetsAt
})

/** Prompts of a UTC day. They are taken in the transaction that accepts a message (`send_message`) and nowhere else. */
export class Quota extends Context.Service<
  Quota,
  {
    /** Prompts a day of a tier; 0 is unlimited. */
    readonly limits: Readonly<Record<Tier, number>>
    /** How today stands, without taking anything. */
    readonly today: (user: CurrentSession) => Effect.Effect<QuotaState>
  }
>()("chat-backend/chat/Quota") {
  static readonly layer = Layer.effect(
    Quota,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      const settings = yield* AppConfig
      const limits = { basic: settings.basicDailyPrompts, pro: settings.proDailyPrompts }

      const today: Quota["Service"]["today"] = Effect.fnUntraced(function* (user) {
        const now = yield* Clock.currentTimeMillis
        const [row] = yield* sql<{ used: number }>`
          select used from usage_daily where quota_key = ${user.quotaKey} and day = (now() at time zone 'utc')::date
        `
        const resetsAt = new Date((Math.floor(now / day) + 1) * day).toISOString()
        return quotaState(limits[user.tier] || null, row?.used ?? 0, resetsAt)
      }, Effect.orDie)

      return Quota.of({ limits, today })
    })
  )
}
