import { Clock, Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../Config.ts"
import { SignatureInvalid } from "./BillingErrors.ts"
import { Stripe } from "./Stripe.ts"
import { idOf } from "./StripeObjects.ts"
import { StripeEvent } from "./StripeEvent.ts"

/** Seconds a signature may be old; and one from the future is none either. */
const tolerance = 300

/** The types we act on: what an endpoint at Stripe is to be registered for. */
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

/** The queue's name for bringing a customer up to date. */
export const syncTask = "stripe_sync"

/** Whom an event is about. */
const customerOf = ({ data: { object } }: StripeEvent): string | null =>
  object.object === "customer" ? (object.id ?? null) : idOf(object.customer ?? null)

/** When a signature was made, in Unix seconds: `t` of `t=…,v1=…`. NaN when it does not say. */
const timestampOf = (header: string): number => Number(/(?:^|,)t=(\d{1,12})(?:,|$)/.exec(header)?.[1] ?? "NaN")

/** No name of Stripe's has a NUL in it, and Postgres keeps none. */
const isStorable = (event: StripeEvent): boolean =>
  ![event.id, event.type, event.data.object.id, customerOf(event), idOf(event.data.object.charge)].join().includes("\u0000")

const decodeEvent = Schema.decodeUnknownOption(StripeEvent)

/**
 * The inbox of Stripe's events. One is kept once, with the job that brings its customer up to date, in one
 * statement; only then Stripe is told that it was received. What it says is not believed, only that something changed.
 */
export class Webhook extends Context.Service<
  Webhook,
  {
    readonly receive: (body: Uint8Array, signature: string | undefined) => Effect.Effect<void, SignatureInvalid>
    /** Keeps an event that was fetched, as if it had been delivered. */
    readonly keep: (event: StripeEvent) => Effect.Effect<void>
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
        // The SDK looks at how old a signature is, not at one that is too new.
        if (!(timestampOf(signature) <= now + tolerance)) return yield* new SignatureInvalid()
        for (const secret of secrets) {
          const event = yield* Effect.try({
            try: () => stripe.verify(Buffer.from(body), signature, Redacted.value(secret), tolerance),
            catch: () => "not this one" as const
          }).pipe(
            Effect.flatMap((event) => Effect.fromOption(decodeEvent(event))),
            Effect.filterOrFail(isStorable),
            Effect.option
          )
          if (Option.isSome(event)) return event.value
        }
        return yield* new SignatureInvalid()
      })

      const keep = Effect.fn("Webhook.keep")(function* (event: StripeEvent) {
        const customerId = customerOf(event)
        const concerns = handled.has(event.type) && event.livemode === isLive
        const object = event.data.object
        const chargeId = customerId === null ? idOf(object.charge ?? null) : null
        yield* sql`
          with kept as (
            insert into webhook_events (id, type, customer_id, object_id, charge_id, outcome, created_at)
            select ${event.id}, ${event.type}, c.customer_id, ${object.id ?? null}, ${chargeId},
              case when ${concerns} and (c.customer_id is not null or ${chargeId}::text is not null) then 'pending' else 'ignored' end,
              to_timestamp(${event.created})
            from (select 1) one left join billing_customers c on c.customer_id = ${customerId}
            on conflict (id) do nothing
            returning id, customer_id, charge_id, outcome
          )
          select count(j.id) from kept, graphile_worker.add_job(
            ${syncTask}, json_build_object('customerId', kept.customer_id, 'chargeId', kept.charge_id),
            job_key => ${syncTask} || ':' || coalesce(kept.customer_id, kept.id)
          ) j where kept.outcome = 'pending'
        `
      }, Effect.orDie)

      const receive: Webhook["Service"]["receive"] = Effect.fn("Webhook.receive")(function* (body, signature) {
        if (signature === undefined) return yield* new SignatureInvalid()
        const event = yield* verify(body, signature)
        yield* keep(event)
      })

      return Webhook.of({ receive, keep })
    })
  )
}
