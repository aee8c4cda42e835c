import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Customers } from "./Customers.ts"
import { Holds } from "./Holds.ts"
import { Stripe, StripeFailure } from "./Stripe.ts"
import { idOf, type StripeSubscription } from "./StripeObjects.ts"
import { isLive } from "../api/billing/Subscription.ts"

const time = (seconds: number | null) => (seconds === null ? null : new Date(seconds * 1000).toISOString())

/** Where an unpaid invoice can be paid. */
const openInvoice = ({ latest_invoice: invoice }: StripeSubscription): string | null =>
  invoice !== null && typeof invoice !== "string" && invoice.status === "open" ? (invoice.hosted_invoice_url ?? null) : null

/**
 * The only writer of subscription state. Whatever the occasion (a webhook, a return from the checkout, a cancel, the
 * clock), it asks Stripe for the customer's subscriptions and stores the answer, unless a newer one is there.
 */
export class Sync extends Context.Service<
  Sync,
  {
    /** Brings a customer's subscriptions, holds and tier up to date; nothing for a customer that is not ours. */
    readonly customer: (customerId: string) => Effect.Effect<void, StripeFailure>
    /** The same for the queue, which comes back when this fails: an event may be ahead of what Stripe lists. */
    readonly customerWithEvents: (customerId: string) => Effect.Effect<void, StripeFailure>
  }
>()("chat-backend/billing/Sync") {
  static readonly layer = Layer.effect(
    Sync,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const customers = yield* Customers
      const holds = yield* Holds

      /** What the database's clock says before Stripe is asked: an answer is at least as new as this. */
      const clock = Effect.gen(function* () {
        const [row] = yield* sql<{ now: string }>`select clock_timestamp()::text as now`
        return row?.now ?? ""
      }).pipe(Effect.orDie)

      /** A deleted customer has none, and no list either. */
      const fetch = Effect.fnUntraced(function* (customerId: string) {
        const fetchedAt = yield* clock
        const all = yield* stripe
          .subscriptions(customerId)
          .pipe(
            Effect.catchTag("StripeFailure", (failure) =>
              failure.kind === "missing" ? Effect.succeed([]) : Effect.fail(failure)
            )
          )
        const subscriptions = all.filter((subscription) => stripe.proItem(subscription) !== undefined)
        return { fetchedAt, subscriptions, listed: new Set(all.map(({ id }) => id)) }
      })

      /**
       * Stripe lists even what has ended: what it does not list is gone with its customer. And what was moved to
       * another price may go on there, but as Pro it has ended.
       */
      const endOthers = (userId: string, customerId: string, fetchedAt: string, ids: ReadonlyArray<string>) =>
        sql`
          update subscriptions set status = 'canceled', fetched_at = ${fetchedAt}::text::timestamptz
          where user_id = ${userId} and customer_id = ${customerId} and fetched_at < ${fetchedAt}::text::timestamptz
            and id not in (select json_array_elements_text(${JSON.stringify(ids)}::text::json))
        `

      const store = Effect.fnUntraced(
        function* (userId: string, customerId: string, { fetchedAt, subscriptions }: Effect.Success<ReturnType<typeof fetch>>) {
          const rows = subscriptions.map((subscription) => {
            const item = stripe.proItem(subscription)
            return {
              user_id: userId,
              id: subscription.id,
              customer_id: customerId,
              status: subscription.status,
              current_period_start: time(item?.current_period_start ?? null),
              current_period_end: time(item?.current_period_end ?? null),
              cancel_at: time(subscription.cancel_at),
              cancel_at_period_end: subscription.cancel_at_period_end,
              invoice_url: openInvoice(subscription),
              created_at: time(subscription.created),
              fetched_at: fetchedAt
            }
          })
          yield* sql`
          insert into subscriptions as s select * from json_populate_recordset(null::subscriptions, ${JSON.stringify(rows)}::text::json)
          on conflict (user_id, id) do update set status = excluded.status, customer_id = excluded.customer_id,
            current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
            cancel_at = excluded.cancel_at, cancel_at_period_end = excluded.cancel_at_period_end,
            invoice_url = excluded.invoice_url, fetched_at = excluded.fetched_at
          where s.fetched_at < excluded.fetched_at
        `
          const ids = subscriptions.map(({ id }) => id)
          yield* endOthers(userId, customerId, fetchedAt, ids)
          yield* sql`
          update billing_customers set synced_at = greatest(synced_at, ${fetchedAt}::text::timestamptz) where customer_id = ${customerId}
        `
          yield* sql`select decide_tier(${userId}) as changed`
        },
        sql.withTransaction,
        Effect.catchTag("SqlError", Effect.die)
      )

      /**
       * Two were paid: the older stays, a newer one is ended and its money given back. So is one that was paid in a
       * checkout that outlived its user.
       */
      const endSurplus = Effect.fnUntraced(function* (userId: string, subscriptions: ReadonlyArray<StripeSubscription>) {
        const paid = subscriptions
          .filter(({ status }) => isLive(status) && status !== "incomplete")
          .toSorted((a, b) => a.created - b.created || a.id.localeCompare(b.id))
        if (paid.length === 0) return false
        const users = yield* Effect.orDie(sql`select 1 from users where id = ${userId}`)
        const surplus = users.length === 0 ? paid : paid.slice(1)
        for (const { id, latest_invoice } of surplus) {
          yield* Effect.logWarning(`Ending ${id}: ${users.length === 0 ? "its user is gone" : "it is the second subscription"}`)
          yield* refundLatest({ id, latest_invoice }).pipe(
            // Given back by hand already, or charged back: that must not keep it alive.
            Effect.catchTag("StripeFailure", (failure) =>
              failure.kind === "refused"
                ? Effect.logError(`The payment of ${id} could not be given back`, failure)
                : Effect.fail(failure)
            )
          )
          yield* stripe.cancelNow(id)
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

      const once = Effect.fnUntraced(function* (userId: string, customerId: string) {
        const fetched = yield* fetch(customerId)
        const { listed, subscriptions } = fetched
        yield* store(userId, customerId, fetched)
        const unknown = subscriptions.filter(({ status }) => !knownStatuses.has(status))
        for (const { id, status } of unknown)
          yield* Effect.logError(`Subscription ${id} has the unknown status "${status}": Basic`)
        return { listed, changedAtStripe: yield* endSurplus(userId, subscriptions) }
      })

      const bringUpToDate = Effect.fn("Sync.customer")(function* (customerId: string) {
        const userId = yield* customers.userOf(customerId)
        if (userId === undefined) return true
        const { changedAtStripe, listed } = yield* once(userId, customerId)
        if (changedAtStripe) yield* once(userId, customerId)
        return yield* holds.settle(userId, customerId, listed)
      })

      const customer: Sync["Service"]["customer"] = (customerId) => Effect.asVoid(bringUpToDate(customerId))

      const customerWithEvents: Sync["Service"]["customerWithEvents"] = Effect.fnUntraced(function* (customerId) {
        const allSettled = yield* bringUpToDate(customerId)
        if (!allSettled) return yield* new StripeFailure({ kind: "unavailable", detail: "an event is ahead of the list" })
      })

      return Sync.of({ customer, customerWithEvents })
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
