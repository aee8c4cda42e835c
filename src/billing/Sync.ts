import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { isLive } from "../api/billing/Subscription.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Customers } from "./Customers.ts"
import { PendingEvents } from "./PendingEvents.ts"
import { planItemOf } from "./PlanItem.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, undefinedIfMissing } from "./StripeFailure.ts"
import type { StripeSubscription } from "./StripeObjects.ts"
import { toRow } from "./SubscriptionRow.ts"
import { makeSurplusSubscriptions } from "./SurplusSubscriptions.ts"
import { Trials } from "./Trials.ts"

const knownStatuses = new Set([
  "active",
  "trialing",
  "past_due",
  "unpaid",
  "paused",
  "incomplete",
  "canceled",
  "incomplete_expired"
])

/**
 * The only writer of subscription state. Whatever the occasion (a webhook, a return from the checkout, a cancellation, a
 * schedule), it asks Stripe for the customer's subscriptions and stores the answer, unless a newer one is stored.
 */
export class Sync extends Context.Service<
  Sync,
  {
    /**
     * Brings a customer's subscriptions, holds and tier up to date. Returns whether no event of the customer is left
     * pending: one may be ahead of what Stripe lists. An unknown customer has nothing to sync, so the answer is true.
     */
    readonly run: (customerId: string) => Effect.Effect<boolean, StripeFailure>
  }
>()("chat-backend/billing/Sync") {
  static readonly layer = Layer.effect(
    Sync,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const customers = yield* Customers
      const pendingEvents = yield* PendingEvents
      const trials = yield* Trials
      const surplus = yield* makeSurplusSubscriptions
      const { plans } = yield* AppConfig
      const planIds = JSON.stringify(plans.map(({ id }) => id))

      /** The database's time before Stripe is asked: the answer is at least as new as this. */
      const databaseTime = Effect.gen(function* () {
        const [row] = yield* sql<{ now: string }>`select clock_timestamp()::text as now`
        return row?.now ?? ""
      }).pipe(Effect.orDie)

      /** Its customer pays, and is Basic: the price is missing in the settings, or the plan was taken out of them too early. */
      const reportUnknownPrice = ({ id, items }: StripeSubscription) => {
        const prices = items.data.map(({ price }) => price.id).join(", ")
        return Effect.logError(`Subscription ${id} has a price that is in no plan (${prices}); its user is Basic`)
      }

      /** For a deleted customer Stripe answers "missing" instead of an empty list. */
      const fetch = Effect.fnUntraced(function* (customerId: string) {
        const fetchedAt = yield* databaseTime
        const all = (yield* undefinedIfMissing(stripe.subscriptions(customerId))) ?? []
        const planned = all.flatMap((subscription) => {
          const item = planItemOf(plans, subscription)
          return item === undefined ? [] : [{ ...item, subscription }]
        })
        for (const subscription of all) {
          if (isLive(subscription.status) && planItemOf(plans, subscription) === undefined)
            yield* reportUnknownPrice(subscription)
        }
        return { fetchedAt, planned, listed: new Set(all.map(({ id }) => id)) }
      })

      /**
       * Marks every other stored subscription as canceled. Stripe lists ended subscriptions, too, so one that it does not
       * list was deleted with its customer. One that was moved to another price may continue there, but it is no plan of ours.
       */
      const markOthersCanceled = (userId: string, customerId: string, fetchedAt: string, ids: ReadonlyArray<string>) =>
        sql`
          update subscriptions set status = 'canceled', fetched_at = ${fetchedAt}::text::timestamptz
          where user_id = ${userId} and customer_id = ${customerId} and fetched_at < ${fetchedAt}::text::timestamptz
            and id not in (select json_array_elements_text(${JSON.stringify(ids)}::text::json))
        `

      const store = Effect.fnUntraced(
        function* (userId: string, customerId: string, { fetchedAt, planned }: Effect.Success<ReturnType<typeof fetch>>) {
          const rows = planned.map((each) => toRow(userId, fetchedAt, each))
          yield* sql`
          insert into subscriptions as s select * from json_populate_recordset(null::subscriptions, ${JSON.stringify(rows)}::text::json)
          on conflict (user_id, id) do update set status = excluded.status, customer_id = excluded.customer_id, plan = excluded.plan,
            billing_interval = excluded.billing_interval, trial_end = excluded.trial_end, discount = excluded.discount,
            current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
            cancel_at = excluded.cancel_at, cancel_at_period_end = excluded.cancel_at_period_end,
            invoice_url = excluded.invoice_url, fetched_at = excluded.fetched_at
          where s.fetched_at < excluded.fetched_at
        `
          const ids = planned.map(({ subscription }) => subscription.id)
          yield* markOthersCanceled(userId, customerId, fetchedAt, ids)
          if (planned.some(({ subscription }) => subscription.trial_start !== null)) yield* trials.record(userId)
          yield* sql`
          update billing_customers set synced_at = greatest(synced_at, ${fetchedAt}::text::timestamptz) where customer_id = ${customerId}
        `
          yield* sql`select decide_tier(${userId}, array(select json_array_elements_text(${planIds}::text::json))) as changed`
        },
        sql.withTransaction,
        retryConflicts(sql),
        Effect.orDie
      )

      const syncSubscriptions = Effect.fnUntraced(function* (userId: string, customerId: string) {
        const fetched = yield* fetch(customerId)
        const { listed, planned } = fetched
        const subscriptions = planned.map(({ subscription }) => subscription)
        yield* store(userId, customerId, fetched)
        const unknown = subscriptions.filter(({ status }) => !knownStatuses.has(status))
        for (const { id, status } of unknown)
          yield* Effect.logError(`Subscription ${id} has the unknown status "${status}": Basic`)
        return { listed, changedAtStripe: yield* surplus.end(customerId, subscriptions) }
      })

      const run: Sync["Service"]["run"] = Effect.fn("Sync.run")(function* (customerId) {
        const owner = yield* customers.ownerOf(customerId)
        if (owner === undefined) return true
        const { changedAtStripe, listed } = yield* syncSubscriptions(owner.userId, customerId)
        if (changedAtStripe) yield* syncSubscriptions(owner.userId, customerId)
        return yield* pendingEvents.process(owner.userId, customerId, listed)
      })

      return Sync.of({ run })
    })
  )
}
