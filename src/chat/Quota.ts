import { Clock, Context, Effect, Layer } from "effect"
import type { QuotaState } from "../api/account/Usage.ts"
import type { CurrentSession, Tier } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import { ReadSql } from "../database/Database.ts"

const dayMillis = 86_400_000

/** Seconds from `now` (milliseconds) until a time, at least one. */
export const secondsUntil = (resetsAt: string, now: number): number => Math.max(1, Math.ceil((Date.parse(resetsAt) - now) / 1000))

export const quotaState = (limit: number | null, used: number, resetsAt: string): QuotaState => ({
  limit,
  used,
  remaining: limit === null ? null : Math.max(0, limit - used),
  resetsAt
})

/** Prompts of a UTC day. Only the transaction that accepts a question takes them (`send_message`). */
export class Quota extends Context.Service<
  Quota,
  {
    /** Prompts a day by tier; 0 is unlimited. */
    readonly limits: Readonly<Record<Tier, number>>
    /** Today's quota of a user; takes nothing from it. */
    readonly today: (user: CurrentSession) => Effect.Effect<QuotaState>
  }
>()("chat-backend/chat/Quota") {
  static readonly layer = Layer.effect(
    Quota,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      const settings = yield* AppConfig
      const limits = { basic: settings.basicDailyPrompts, pro: settings.proDailyPrompts }

      const today: Quota["Service"]["today"] = Effect.fn("Quota.today")(function* (user) {
        const now = yield* Clock.currentTimeMillis
        const [row] = yield* sql<{ used: number }>`
          select used from usage_daily where quota_key = ${user.quotaKey} and day = (now() at time zone 'utc')::date
        `
        const resetsAt = new Date((Math.floor(now / dayMillis) + 1) * dayMillis).toISOString()
        return quotaState(limits[user.tier] || null, row?.used ?? 0, resetsAt)
      }, Effect.orDie)

      return Quota.of({ limits, today })
    })
  )
}
