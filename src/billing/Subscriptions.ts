import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { CurrentSession, Tier } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import { Quota } from "../chat/Quota.ts"
import { isoOrNull } from "../api/Schemas.ts"
import type { Discount, SubscriptionStatus } from "../api/billing/Subscription.ts"

/** A subscription as stored. */
export interface Stored {
  readonly id: string
  readonly customerId: string
  readonly status: string
  /** Null in a row of the previous release, whose only plan is `pro`. */
  readonly plan: string | null
  /** Null in such a row, until the next sync. */
  readonly interval: string | null
  readonly trialEnd: Date | null
  readonly discount: Discount | null
  readonly currentPeriodStart: Date | null
  readonly currentPeriodEnd: Date | null
  readonly cancelAt: Date | null
  readonly cancelAtPeriodEnd: boolean
  readonly invoiceUrl: string | null
  readonly fetchedAt: Date
}

/** The columns of a subscription for a user without one. */
interface NoSubscriptionRow {
  readonly id: null
}

export const isCancelling = (subscription: Stored): boolean => subscription.cancelAtPeriodEnd || subscription.cancelAt !== null

/** Reads a user's stored subscription; `Sync` is its only writer. */
export class Subscriptions extends Context.Service<
  Subscriptions,
  {
    /** The subscription that counts: a live one before an ended one, then the highest plan, then the newest. */
    readonly current: (userId: string) => Effect.Effect<Stored | undefined>
    /** The tier, the subscription and the quota of the day. */
    readonly status: (user: CurrentSession) => Effect.Effect<SubscriptionStatus>
  }
>()("chat-backend/billing/Subscriptions") {
  static readonly layer = Layer.effect(
    Subscriptions,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const quota = yield* Quota
      const { plans } = yield* AppConfig
      const ids = JSON.stringify(plans.map(({ id }) => id))

      const currentRow = (userId: string) => sql`
        select id, customer_id, status, plan, billing_interval as interval, trial_end, discount, current_period_start,
          current_period_end, cancel_at, cancel_at_period_end, invoice_url, fetched_at
        from subscriptions where user_id = ${userId}
        order by case when status in ('active', 'trialing') then 0 when status = 'past_due' then 1
          when status in ('canceled', 'incomplete_expired') then 3 else 2 end,
          array_position(array(select json_array_elements_text(${ids}::text::json)), coalesce(plan, 'pro')) desc nulls last,
          created_at desc
        limit 1
      `

      const current = Effect.fn("Subscriptions.current")(function* (userId: string) {
        const [row] = yield* sql<Stored>`${currentRow(userId)}`
        return row
      }, Effect.orDie)

      /** One statement, because a sync between two could combine a new tier with an old subscription. */
      const storedStatus = Effect.fnUntraced(function* (userId: string) {
        const [row] = yield* sql<(Stored | NoSubscriptionRow) & { tier: Tier; proUntil: Date | null; syncedAt: Date | null }>`
          select tier_of(u) as tier, u.pro_until, c.synced_at, s.*
          from users u left join billing_customers c on c.user_id = u.id left join lateral (${currentRow(userId)}) s on true
          where u.id = ${userId}
        `
        return {
          subscription: row === undefined || row.id === null ? undefined : row,
          tier: row?.tier ?? "basic",
          proUntil: row?.proUntil ?? null,
          syncedAt: row?.syncedAt ?? null
        }
      }, Effect.orDie)

      const status = Effect.fn("Subscriptions.status")(function* (user: CurrentSession) {
        const { proUntil, subscription, syncedAt, tier } = yield* storedStatus(user.userId)
        const { limit, ...usage } = yield* quota.today({ ...user, tier })
        const cancelAt =
          subscription === undefined
            ? null
            : (subscription.cancelAt ?? (subscription.cancelAtPeriodEnd ? subscription.currentPeriodEnd : null))
        const isInTrial = subscription?.status === "trialing"
        return {
          tier,
          plan: subscription === undefined ? null : (subscription.plan ?? "pro"),
          interval: subscription?.interval ?? null,
          status: subscription?.status ?? null,
          currentPeriodEnd: isoOrNull(subscription?.currentPeriodEnd ?? null),
          trialEndsAt: isoOrNull(isInTrial ? subscription.trialEnd : null),
          discount: subscription?.discount ?? null,
          cancelAt: isoOrNull(cancelAt),
          graceEndsAt: isoOrNull(subscription?.status === "past_due" ? proUntil : null),
          invoiceUrl: subscription?.invoiceUrl ?? null,
          limits: { daily: limit, ...usage },
          syncedAt: isoOrNull(syncedAt)
        }
      })

      return Subscriptions.of({ current, status })
    })
  )
}
