import { Clock, Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { SignatureInvalid } from "../api/billing/BillingErrors.ts"
import { Stripe } from "./Stripe.ts"
import { idOf } from "./StripeObjects.ts"
import { StripeEvent } from "../api/billing/StripeEvent.ts"

/** Seconds that the timestamp of a signature may differ from now, in either direction. */
const tolerance = 300

/** The event types that we act on: register the endpoint at Stripe for these. */
export const handledTypes = [
  "checkout.session.completed",
  "checkout.session.async_payment_succeeded",
  "checkout.session.async_payment_failed",
  "checkout.session.expired",
  "customer.deleted",
  "customer.subscription.created",
  "customer.subscription.updated",
  "customer.subscription.deleted",
  "customer.subscription.paused",
  "customer.subscription.resumed",
  "invoice.paid",
  "invoice.payment_failed",
  "charge.refunded",
  "charge.dispute.created",
  "charge.dispute.updated",
  "charge.dispute.closed"
] as const
const handled: ReadonlySet<string> = new Set(handledTypes)

/** The queue's task that brings a customer up to date. */
export const syncTask = "stripe_sync"

/** The customer that an event is about. */
const customerOf = ({ data: { object } }: StripeEvent): string | null =>
  object.object === "customer" ? (object.id ?? null) : idOf(object.customer ?? null)

/** When a signature was made, in Unix seconds: `t` of `t=…,v1=…`. NaN when it does not say. */
const timestampOf = (header: string): number => Number(/(?:^|,)t=(\d{1,12})(?:,|$)/.exec(header)?.[1] ?? "NaN")

/** Postgres cannot store NUL, and no id or type of Stripe's contains it. */
const isStorable = (event: StripeEvent): boolean =>
  ![event.id, event.type, event.data.object.id, customerOf(event), idOf(event.data.object.charge)].join().includes("\u0000")

const decodeEvent = Schema.decodeUnknownOption(StripeEvent)

/**
 * The inbox of Stripe's events. One statement stores an event once, with the job that brings its customer up to date;
 * only then the delivery is answered. The content of an event is not trusted: it only says that something changed.
 */
export class Webhook extends Context.Service<
  Webhook,
  {
    /** Stores a delivered event, if its signature is valid. */
    readonly receive: (body: Uint8Array, signature: string | undefined) => Effect.Effect<void, SignatureInvalid>
    /** Stores an event that was fetched, as if it had been delivered. */
    readonly store: (event: StripeEvent) => Effect.Effect<void>
  }
>()("chat-backend/billing/Webhook") {
  static readonly layer = Layer.effect(
    Webhook,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const { billing } = yield* AppConfig
      const secrets = billing?.webhookSecrets ?? []
      const isLive = billing?.isLive ?? false

      const verify = Effect.fnUntraced(function* (body: Uint8Array, signature: string) {
        const now = (yield* Clock.currentTimeMillis) / 1000
        // The SDK refuses an old timestamp, but not one in the future.
        if (!(timestampOf(signature) <= now + tolerance)) return yield* new SignatureInvalid()
        for (const secret of secrets) {
          const event = yield* Effect.try({
            try: () => stripe.verify(Buffer.from(body), signature, Redacted.value(secret), tolerance),
            catch: () => "invalid" as const
          }).pipe(
            Effect.flatMap((event) => Effect.fromOption(decodeEvent(event))),
            Effect.filterOrFail(isStorable),
            Effect.option
          )
          if (Option.isSome(event)) return event.value
        }
        return yield* new SignatureInvalid()
      })

      const store = Effect.fn("Webhook.store")(function* (event: StripeEvent) {
        const customerId = customerOf(event)
        const isRelevant = handled.has(event.type) && event.livemode === isLive
        const object = event.data.object
        const chargeId = customerId === null ? idOf(object.charge ?? null) : null
        yield* sql`
          with stored as (
            insert into webhook_events (id, type, customer_id, object_id, charge_id, outcome, created_at)
            select ${event.id}, ${event.type}, c.customer_id, ${object.id ?? null}, ${chargeId},
              case when ${isRelevant} and (c.customer_id is not null or ${chargeId}::text is not null) then 'pending' else 'ignored' end,
              to_timestamp(${event.created})
            from (select 1) one left join billing_customers c on c.customer_id = ${customerId}
            on conflict (id) do nothing
            returning id, customer_id, charge_id, outcome
          )
          select count(j.id) from stored, graphile_worker.add_job(
            ${syncTask}, json_build_object('customerId', stored.customer_id, 'chargeId', stored.charge_id),
            job_key => ${syncTask} || ':' || coalesce(stored.customer_id, stored.id)
          ) j where stored.outcome = 'pending'
        `
      }, Effect.orDie)

      const receive: Webhook["Service"]["receive"] = Effect.fn("Webhook.receive")(function* (body, signature) {
        if (signature === undefined) return yield* new SignatureInvalid()
        const event = yield* verify(body, signature)
        yield* store(event)
      })

      return Webhook.of({ receive, store })
    })
  )
}
