import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { CurrentSession } from "../api/auth/User.ts"
import { Quota } from "../chat/Quota.ts"
import { isoOrNull } from "../api/Schemas.ts"
import type { SubscriptionStatus } from "../api/billing/Subscription.ts"

/** A subscription as the database has it. */
export interface Stored {
  readonly id: string
  readonly customerId: string
  readonly status: string
  readonly currentPeriodStart: Date | null
  readonly currentPeriodEnd: Date | null
  readonly cancelAt: Date | null
  readonly cancelAtPeriodEnd: boolean
  readonly invoiceUrl: string | null
  readonly fetchedAt: Date
}

/** The columns of a subscription where there is none. */
interface Nothing {
  readonly id: null
}

export const isCancelling = (subscription: Stored): boolean => subscription.cancelAtPeriodEnd || subscription.cancelAt !== null

/** Reads what is known of a user's subscription, from the database alone. Its only writer is the sync. */
export class Subscriptions extends Context.Service<
  Subscriptions,
  {
    /** The one that counts: a live one before an ended one, and of those the newest. */
    readonly current: (userId: string) => Effect.Effect<Stored | undefined>
    readonly status: (user: CurrentSession) => Effect.Effect<SubscriptionStatus>
  }
>()("chat-backend/billing/Subscriptions") {
  static readonly layer = Layer.effect(
    Subscriptions,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const quota = yield* Quota

      const newest = (userId: string) => sql`
        select id, customer_id, status, current_period_start, current_period_end, cancel_at, cancel_at_period_end,
          invoice_url, fetched_at
        from subscriptions where user_id = ${userId}
        order by case when status in ('active', 'trialing') then 0 when status = 'past_due' then 1
          when status in ('canceled', 'incomplete_expired') then 3 else 2 end, created_at desc
        limit 1
      `

      const current = Effect.fnUntraced(function* (userId: string) {
        const [row] = yield* sql<Stored>`${newest(userId)}`
        return row
      }, Effect.orDie)

      /** In one statement: between two a sync could commit, and a new tier stand beside an old subscription. */
      const now = Effect.fnUntraced(function* (userId: string) {
        const [row] = yield* sql<(Stored | Nothing) & { isPro: boolean; proUntil: Date | null; syncedAt: Date | null }>`
          select coalesce(u.pro_until > clock_timestamp(), false) as is_pro, u.pro_until, c.synced_at, s.*
          from users u left join billing_customers c on c.user_id = u.id left join lateral (${newest(userId)}) s on true
          where u.id = ${userId}
        `
        return {
          subscription: row === undefined || row.id === null ? undefined : row,
          tier: row?.isPro === true ? ("pro" as const) : ("basic" as const),
          proUntil: row?.proUntil ?? null,
          syncedAt: row?.syncedAt ?? null
        }
      }, Effect.orDie)

      const status = Effect.fn("Subscriptions.status")(function* (user: CurrentSession) {
        const { proUntil, subscription, syncedAt, tier } = yield* now(user.userId)
        const { limit, ...usage } = yield* quota.today({ ...user, tier })
        const ends =
          subscription === undefined
            ? null
            : (subscription.cancelAt ?? (subscription.cancelAtPeriodEnd ? subscription.currentPeriodEnd : null))
        return {
          tier,
          status: subscription?.status ?? null,
          currentPeriodEnd: isoOrNull(subscription?.currentPeriodEnd ?? null),
          cancelAt: isoOrNull(ends),
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
