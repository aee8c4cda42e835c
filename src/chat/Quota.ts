import { Clock, Context, Effect, Layer } from "effect"
import type { QuotaState } from "../api/account/Usage.ts"
import type { CurrentSession, Tier } from "../api/auth/User.ts"
import { limitsByTier, type TierLimits } from "../config/Plans.ts"
import { AppConfig } from "../config/Settings.ts"
import { ReadSql } from "../database/Database.ts"
import { makeTurnReads } from "../database/TurnReads.ts"

const dayMillis = 86_400_000

/** Seconds from `now` (milliseconds) until a time, at least one. */
export const secondsUntil = (resetsAt: string, now: number): number => Math.max(1, Math.ceil((Date.parse(resetsAt) - now) / 1000))

/** What the day has taken. Money is in millionths of a US dollar. */
interface TakenToday {
  readonly used: number
  readonly spent: number
  readonly reserved: number
}

/** Null limits are unlimited. */
export const quotaState = (limit: number | null, budget: number | null, taken: TakenToday, resetsAt: string): QuotaState => ({
  limit,
  used: taken.used,
  remaining: limit === null ? null : Math.max(0, limit - taken.used),
  resetsAt,
  budget: budget === null ? null : { limitMicros: budget, spentMicros: taken.spent, reservedMicros: taken.reserved, resetsAt }
})

/** Prompts of a UTC day. Only the transaction that accepts a question takes them (`send_message`). */
export class Quota extends Context.Service<
  Quota,
  {
    readonly limitsOf: (tier: Tier) => TierLimits
    /** Today's quota of a user; takes nothing from it. */
    readonly today: (user: CurrentSession) => Effect.Effect<QuotaState>
  }
>()("chat-backend/chat/Quota") {
  static readonly layer = Layer.effect(
    Quota,
    Effect.gen(function* () {
      const sql = yield* ReadSql
      const settings = yield* AppConfig
      const limitsOf = limitsByTier(settings)

      const takenToday = yield* makeTurnReads((keys) =>
        Effect.map(
          sql<TakenToday & { readonly quotaKey: string }>`
            select quota_key, used, cost_micros::float8 as spent, reserved_micros::float8 as reserved from usage_daily
            where quota_key = any(string_to_array(${keys.join(",")}, ',')) and day = (now() at time zone 'utc')::date
          `,
          (rows) => new Map(rows.map((row) => [row.quotaKey, row]))
        )
      )

      const today: Quota["Service"]["today"] = Effect.fnUntraced(function* (user) {
        const now = yield* Clock.currentTimeMillis
        const row = yield* takenToday(user.quotaKey)
        const resetsAt = new Date((Math.floor(now / dayMillis) + 1) * dayMillis).toISOString()
        const limits = limitsOf(user.tier)
        return quotaState(limits.prompts, limits.budget, row ?? { used: 0, spent: 0, reserved: 0 }, resetsAt)
      }, Effect.orDie)

      return Quota.of({ limitsOf, today })
    })
  )
}
