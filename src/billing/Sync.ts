import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { Discount } from "../api/billing/Subscription.ts"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Customers } from "./Customers.ts"
import { PendingEvents } from "./PendingEvents.ts"
import { type PlanItem, planItemOf } from "./PlanItem.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, undefinedIfMissing } from "./StripeFailure.ts"
import { Trials } from "./Trials.ts"
import { idOf, type StripeSubscription } from "./StripeObjects.ts"
import { isLive } from "../api/billing/Subscription.ts"

const timestampOf = (seconds: number | null) => (seconds === null ? null : new Date(seconds * 1000).toISOString())

/** The page where the newest invoice can be paid, while it is open. */
const openInvoiceUrl = ({ latest_invoice: invoice }: StripeSubscription): string | null =>
  invoice !== null && typeof invoice !== "string" && invoice.status === "open" ? (invoice.hosted_invoice_url ?? null) : null

/** The discount of a subscription whose coupon Stripe has sent along. */
const discountOf = ({ discounts: [first] }: StripeSubscription): Discount | null => {
  if (first === undefined || typeof first === "string") return null
  const { end, promotion_code: code, source } = first
  if (source.coupon === null || typeof source.coupon === "string") return null
  const { amount_off: amountOff, currency, name, percent_off: percentOff } = source.coupon
  const typed = code === null || typeof code === "string" ? null : code.code
  return { name, code: typed, percentOff, amountOff, currency, endsAt: timestampOf(end) }
}

/** A subscription with the item that makes it one of our plans. */
interface Planned extends PlanItem {
  readonly subscription: StripeSubscription
}

const toRow = (userId: string, fetchedAt: string, { item, plan, subscription }: Planned) => ({
  user_id: userId,
  id: subscription.id,
  customer_id: idOf(subscription.customer),
  status: subscription.status,
  plan,
  billing_interval: item.price.recurring?.interval ?? null,
  trial_end: timestampOf(subscription.trial_end),
  discount: discountOf(subscription),
  current_period_start: timestampOf(item.current_period_start),
  current_period_end: timestampOf(item.current_period_end),
  cancel_at: timestampOf(subscription.cancel_at),
  cancel_at_period_end: subscription.cancel_at_period_end,
  invoice_url: openInvoiceUrl(subscription),
  created_at: timestampOf(subscription.created),
  fetched_at: fetchedAt
})

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
        return Effect.logError(`Subscription ${id} is at a price of no plan (${prices}): Basic`)
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

      /** A subscription that a parallel sync has ended meanwhile is missing. */
      const cancel = (id: string) => undefinedIfMissing(stripe.cancelNow(id))

      /** The subscriptions that a deleted user had when the account was deleted. */
      const endedWithAccount = Effect.fnUntraced(function* (userId: string) {
        const rows = yield* sql<{ id: string }>`
          select id from subscriptions where user_id = ${userId} and account_deleted_at is not null
        `
        return new Set(rows.map(({ id }) => id))
      }, Effect.orDie)

      /**
       * Ends subscriptions that must not continue: every paid one but the oldest of a user, and all of a deleted user. They
       * are refunded, except those that the user had when the account was deleted: a deleted user can still pay in a
       * checkout that was open. Returns whether it ended any.
       */
      const endSurplus = Effect.fnUntraced(function* (customerId: string, subscriptions: ReadonlyArray<StripeSubscription>) {
        const live = subscriptions
          .filter(({ status }) => isLive(status))
          .toSorted((a, b) => a.created - b.created || a.id.localeCompare(b.id))
        if (live.length === 0) return false
        // Read after Stripe has answered: the user may have been deleted meanwhile.
        const owner = yield* customers.ownerOf(customerId)
        const isDeleted = owner?.isDeleted === true
        const surplus = isDeleted ? live : live.filter(({ status }) => status !== "incomplete").slice(1)
        const unrefunded = isDeleted ? yield* endedWithAccount(owner.userId) : new Set<string>()
        for (const { id, latest_invoice } of surplus) {
          if (unrefunded.has(id)) {
            yield* cancel(id)
            continue
          }
          yield* Effect.logWarning(`Ending ${id}: ${isDeleted ? "its user was deleted" : "the user has an older subscription"}`)
          yield* refundLatest({ id, latest_invoice }).pipe(
            // Refunded by hand already, or charged back: the subscription must end nevertheless.
            Effect.catchTag("StripeFailure", (failure) =>
              failure.kind === "refused"
                ? Effect.logError(`The payment of ${id} could not be refunded`, failure)
                : Effect.fail(failure)
            )
          )
          yield* cancel(id)
        }
        return surplus.length > 0
      })

      const refundLatest = Effect.fnUntraced(function* ({
        latest_invoice: invoice,
        id
      }: Pick<StripeSubscription, "id" | "latest_invoice">) {
        const invoiceId = typeof invoice === "string" ? invoice : invoice?.id
        if (invoiceId === undefined) return
        const payments = yield* stripe.invoicePayments(invoiceId)
        const payment = payments.data.find(({ status }) => status === "paid")?.payment
        const intent = idOf(payment?.payment_intent)
        const charge = idOf(payment?.charge)
        if (intent !== null) yield* stripe.refund({ payment_intent: intent }, `refund:${id}`)
        else if (charge !== null) yield* stripe.refund({ charge }, `refund:${id}`)
      })

      const syncSubscriptions = Effect.fnUntraced(function* (userId: string, customerId: string) {
        const fetched = yield* fetch(customerId)
        const { listed, planned } = fetched
        const subscriptions = planned.map(({ subscription }) => subscription)
        yield* store(userId, customerId, fetched)
        const unknown = subscriptions.filter(({ status }) => !knownStatuses.has(status))
        for (const { id, status } of unknown)
          yield* Effect.logError(`Subscription ${id} has the unknown status "${status}": Basic`)
        return { listed, changedAtStripe: yield* endSurplus(customerId, subscriptions) }
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
