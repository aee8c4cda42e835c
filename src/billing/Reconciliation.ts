import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Checkout } from "./Checkout.ts"
import { Stripe, type StripeFailure } from "./Stripe.ts"
import { idOf } from "./StripeObjects.ts"
import { Sync } from "./Sync.ts"
import { handledTypes, syncTask, Webhook } from "./Webhook.ts"

/** Days back that undelivered events are asked for. */
const lookBackDays = 3
/** Days that an event is kept once it is done with: Stripe sends none again after so long, nor lists it. */
const keptDays = 90
/** Events forgotten at once. */
const batch = 10_000

/** What makes good for webhooks that never came: a look at whatever should have changed by now. */
export class Reconciliation extends Context.Service<
  Reconciliation,
  {
    /** Brings one customer up to date: subscriptions, holds, tier, and checkouts that have ended. */
    readonly customer: (customerId: string) => Effect.Effect<void, StripeFailure>
    /** The same for whoever paid a charge: a dispute names no customer. */
    readonly charge: (chargeId: string) => Effect.Effect<void, StripeFailure>
    /** Undelivered events, and jobs for customers with stuck events, open checkouts or periods that are over. Old events go. */
    readonly due: Effect.Effect<void, StripeFailure>
    /** Jobs for every customer, those included that the database has lost. */
    readonly all: Effect.Effect<void, StripeFailure>
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

      const customer = Effect.fn("Reconciliation.customer")(function* (customerId: string) {
        yield* sync.customerWithEvents(customerId)
        yield* checkout.reconcile(customerId)
      })

      const charge = Effect.fn("Reconciliation.charge")(function* (chargeId: string) {
        const { customer: reference } = yield* stripe.charge(chargeId)
        const customerId = idOf(reference)
        yield* sql`
          update webhook_events e set customer_id = c.customer_id,
            outcome = case when c.customer_id is null then 'ignored' else e.outcome end
          from (select 1) one left join billing_customers c on c.customer_id = ${customerId}
          where e.charge_id = ${chargeId} and e.outcome = 'pending'
        `.pipe(Effect.orDie)
        if (customerId !== null) yield* customer(customerId)
      })

      const enqueue = (customers: ReturnType<typeof dueCustomers>) =>
        sql`
          select count(j.id) from (${customers}) c, graphile_worker.add_job(
            ${syncTask}, json_build_object('customerId', c.customer_id, 'chargeId', c.charge_id),
            job_key => ${syncTask} || ':' || coalesce(c.customer_id, c.charge_id)) j
        `.pipe(Effect.asVoid, Effect.orDie)

      const dueCustomers = () => sql`
        select customer_id, charge_id from webhook_events where outcome = 'pending' and received_at < now() - interval '2 minutes'
        union select customer_id, null from checkout_attempts where status = 'open' and created_at < now() - interval '5 minutes'
        union select customer_id, null from subscriptions
          where status in ('active', 'trialing', 'past_due') and current_period_end < now() - interval '1 hour'
      `

      const forget = sql`
        delete from webhook_events where id in (
          select id from webhook_events
          where outcome <> 'pending' and received_at < now() - make_interval(days => ${keptDays}) limit ${batch})
      `.pipe(Effect.orDie)

      const undelivered = Effect.gen(function* () {
        const since = Math.floor((yield* Clock.currentTimeMillis) / 1000) - lookBackDays * 86_400
        const events = yield* stripe.undelivered(handledTypes, since)
        yield* Effect.forEach(events, (event) => webhook.keep(event), { discard: true })
      })

      /** Takes subscribers back whom Stripe knows and we do not: the database was put back to before they came. */
      const adopt = Effect.gen(function* () {
        const lost = (yield* stripe.subscribers).map(({ customer, metadata }) => ({
          user_id: metadata["userId"],
          customer_id: idOf(customer)
        }))
        yield* sql`
          insert into billing_customers (user_id, customer_id)
          select u.id, l.customer_id
          from json_to_recordset(${JSON.stringify(lost)}::text::json) as l (user_id text, customer_id text) join users u on u.id::text = l.user_id
          on conflict do nothing
        `.pipe(Effect.orDie)
      })

      return Reconciliation.of({
        customer,
        charge,
        due: Effect.all([enqueue(dueCustomers()), forget, undelivered], { discard: true }).pipe(
          Effect.withSpan("Reconciliation.due")
        ),
        all: Effect.ensuring(adopt, enqueue(sql`select customer_id, null::text as charge_id from billing_customers`))
      })
    })
  )
}
