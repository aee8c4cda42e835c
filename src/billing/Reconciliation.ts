import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Checkout } from "./Checkout.ts"
import { Stripe } from "./Stripe.ts"
import { StripeFailure } from "./StripeFailure.ts"
import { idOf } from "./StripeObjects.ts"
import { Sync } from "./Sync.ts"
import { handledTypes, syncTask, Webhook } from "./Webhook.ts"

/** How many days back undelivered events are fetched. */
const lookBackDays = 3

/** Runs the sync, and makes up for webhooks that never arrived by syncing whatever should have changed by now. */
export class Reconciliation extends Context.Service<
  Reconciliation,
  {
    /** Brings one customer up to date: subscriptions, holds, tier and checkouts. Fails while an event is ahead of Stripe's list. */
    readonly reconcileCustomer: (customerId: string) => Effect.Effect<void, StripeFailure>
    /** Does the same for the customer who paid a charge: the event of a dispute does not name the customer. */
    readonly reconcilePayer: (chargeId: string) => Effect.Effect<void, StripeFailure>
    /**
     * Enqueues every customer that should have changed by now: with stuck events, an open checkout or a period that is
     * over. Fetches undelivered events.
     */
    readonly catchUp: Effect.Effect<void, StripeFailure>
    /** Enqueues every customer, including those that Stripe knows and the database lost. */
    readonly enqueueAll: Effect.Effect<void, StripeFailure>
  }
>()("chat-backend/billing/Reconciliation") {
  static readonly layer = Layer.effect(
    Reconciliation,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const sync = yield* Sync
      const checkout = yield* Checkout
      const webhook = yield* Webhook

      const reconcileCustomer = Effect.fn("Reconciliation.reconcileCustomer")(function* (customerId: string) {
        const isComplete = yield* sync.run(customerId)
        // A failure makes the queue retry the job later.
        if (!isComplete) return yield* new StripeFailure({ kind: "unavailable", detail: "an event is ahead of the list" })
        yield* checkout.reconcile(customerId)
      })

      const reconcilePayer = Effect.fn("Reconciliation.reconcilePayer")(function* (chargeId: string) {
        const { customer } = yield* stripe.charge(chargeId)
        const customerId = idOf(customer)
        yield* sql`
          update webhook_events e set customer_id = c.customer_id,
            outcome = case when c.customer_id is null then 'ignored' else e.outcome end
          from (select 1) one left join billing_customers c on c.customer_id = ${customerId}
          where e.charge_id = ${chargeId} and e.outcome = 'pending'
        `.pipe(Effect.orDie)
        if (customerId !== null) yield* reconcileCustomer(customerId)
      })

      const dueCustomers = sql`
        select customer_id, charge_id from webhook_events where outcome = 'pending' and received_at < now() - interval '2 minutes'
        union select customer_id, null from checkout_attempts where status = 'open' and created_at < now() - interval '5 minutes'
        union select customer_id, null from subscriptions
          where status in ('active', 'trialing', 'past_due') and current_period_end < now() - interval '1 hour'
      `
      const allCustomers = sql`select customer_id, null::text as charge_id from billing_customers`

      const enqueue = (customers: typeof allCustomers) =>
        sql`
          select count(j.id) from (${customers}) c, graphile_worker.add_job(
            ${syncTask}, json_build_object('customerId', c.customer_id, 'chargeId', c.charge_id),
            job_key => ${syncTask} || ':' || coalesce(c.customer_id, c.charge_id)) j
        `.pipe(Effect.asVoid, Effect.orDie)

      const fetchUndelivered = Effect.gen(function* () {
        const since = Math.floor((yield* Clock.currentTimeMillis) / 1000) - lookBackDays * 86_400
        const events = yield* stripe.undelivered(handledTypes, since)
        yield* Effect.forEach(events, (event) => webhook.store(event), { discard: true })
      })

      /** Links customers again that the database lost, e.g. when it was restored from an old backup. */
      const relinkCustomers = Effect.gen(function* () {
        const links = (yield* stripe.subscribers).map(({ customer, metadata }) => ({
          user_id: metadata["userId"],
          customer_id: idOf(customer)
        }))
        yield* sql`
          insert into billing_customers (user_id, customer_id)
          select u.id, l.customer_id
          from json_to_recordset(${JSON.stringify(links)}::text::json) as l (user_id text, customer_id text) join users u on u.id::text = l.user_id
          on conflict do nothing
        `.pipe(Effect.orDie)
      })

      return Reconciliation.of({
        reconcileCustomer,
        reconcilePayer,
        catchUp: Effect.all([enqueue(dueCustomers), fetchUndelivered], { discard: true }).pipe(
          Effect.withSpan("Reconciliation.catchUp")
        ),
        enqueueAll: relinkCustomers.pipe(
          // Also when Stripe fails: the customers that are known must not wait for it.
          Effect.ensuring(enqueue(allCustomers)),
          Effect.withSpan("Reconciliation.enqueueAll")
        )
      })
    })
  )
}
