import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { CurrentSession } from "../auth/User.ts"
import { Quota } from "../chat/Quota.ts"
import { isoOrNull } from "../Text.ts"
import type { SubscriptionStatus } from "./Subscription.ts"

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

export const isCancelling = (subscription: Stored): boolean => subscription.cancelAtPeriodEnd || subscription.cancelAt !== null

/** Days of a period that is not paid for in which Pro stays; `decide_tier` counts the same. */
const graceDays = 7

const graceEnd = (subscription: Stored): Date | null =>
  subscription.status === "past_due" && subscription.currentPeriodStart !== null
    ? new Date(subscription.currentPeriodStart.getTime() + graceDays * 86_400_000)
    : null

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

      const current = Effect.fnUntraced(function* (userId: string) {
        const [row] = yield* sql<Stored>`
          select id, customer_id, status, current_period_start, current_period_end, cancel_at, cancel_at_period_end,
            invoice_url, fetched_at
          from subscriptions where user_id = ${userId}
          order by case when status in ('active', 'trialing') then 0 when status = 'past_due' then 1
            when status in ('canceled', 'incomplete_expired') then 3 else 2 end, created_at desc
          limit 1
        `
        return row
      }, Effect.orDie)

      const tierNow = Effect.fnUntraced(function* (userId: string) {
        const [row] = yield* sql<{ isPro: boolean; syncedAt: Date | null }>`
          select coalesce(u.pro_until > clock_timestamp(), false) as is_pro, c.synced_at
          from users u left join billing_customers c on c.user_id = u.id where u.id = ${userId}
        `
        return { tier: row?.isPro === true ? ("pro" as const) : ("basic" as const), syncedAt: row?.syncedAt ?? null }
      }, Effect.orDie)

      const status = Effect.fn("Subscriptions.status")(function* (user: CurrentSession) {
        const subscription = yield* current(user.userId)
        const { syncedAt, tier } = yield* tierNow(user.userId)
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
          graceEndsAt: isoOrNull(subscription === undefined ? null : graceEnd(subscription)),
          invoiceUrl: subscription?.invoiceUrl ?? null,
          limits: { daily: limit, ...usage },
          syncedAt: isoOrNull(syncedAt)
        }
      })

      return Subscriptions.of({ current, status })
    })
  )
}
