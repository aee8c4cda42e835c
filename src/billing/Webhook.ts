import { Clock, Context, Effect, Layer, Option, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { EventUnreadable, SignatureInvalid } from "../api/billing/BillingErrors.ts"
import { counters, histograms, observedGauge } from "../ops/Metrics.ts"
import { makeRareWarning } from "../ops/RareLog.ts"
import { Stripe } from "./Stripe.ts"
import { idOf, maximumId } from "./StripeObjects.ts"
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

/** When a signature was made, in Unix seconds: the only `t` of `t=…,v1=…`. NaN when there is none or a second one. */
const timestampOf = (header: string): number => {
  const times = header.split(",").filter((item) => /^t(?:=|$)/.test(item))
  return times.length === 1 ? Number(/^t=(\d{1,12})$/.exec(times[0] ?? "")?.[1] ?? "NaN") : NaN
}

// Stripe signs bytes: the SDK's own decoder drops a byte order mark and replaces what is not UTF-8.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The end of the year 9999 in Unix seconds. */
const latest = 253_402_300_799

/** Stripe's ids and types are short and without NUL, which Postgres cannot store, nor can it store every number as a time. */
const isStorable = (event: StripeEvent): boolean =>
  (event.created === undefined || (event.created >= 0 && event.created <= latest)) &&
  [event.id, event.type, event.data.object.id, customerOf(event), idOf(event.data.object.charge)].every(
    (name) => name === null || name === undefined || (name.length <= maximumId && !name.includes("\u0000"))
  )

/** Anyone can post to the webhook, so it is logged rarely. */
const wrongSignature =
  "A delivery to /webhook/stripe is not signed with a secret of STRIPE_WEBHOOK_SECRETS: it is another endpoint's secret, or the sender is not Stripe"

const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(StripeEvent))

/**
 * The inbox of Stripe's events. One statement stores an event once, with the job that brings its customer up to date;
 * only then the delivery is answered. The content of an event is not trusted: it only says that something changed.
 */
export class Webhook extends Context.Service<
  Webhook,
  {
    /** Stores a delivered event, if its signature is valid and it can be read. */
    readonly receive: (body: Uint8Array, signature: string | undefined) => Effect.Effect<void, SignatureInvalid | EventUnreadable>
    /** Stores an event that was fetched, as if it had been delivered. */
    readonly store: (event: StripeEvent) => Effect.Effect<void>
    /** Reads the events that wait into the metrics. */
    readonly measure: Effect.Effect<void>
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
      const deliveries = yield* counters(
        "chat_webhook_deliveries_total",
        "Deliveries of Stripe's events: pending or ignored when they are stored, duplicate, or the code of the refusal.",
        ["outcome"]
      )
      const outcomes = ["pending", "ignored", "duplicate", "signature_invalid", "event_unreadable"]
      for (const outcome of outcomes) deliveries(outcome)
      const count = (outcome: string) => deliveries(outcome).add(1)
      const lags = yield* histograms(
        "chat_webhook_lag_seconds",
        "Time from an event at Stripe until it is stored here.",
        [],
        [0.5, 1, 2, 5, 10, 30, 60, 300, 1_800, 3_600, 14_400, 86_400]
      )
      const lag = lags()
      const refused = makeRareWarning()

      /** The text that the signature signs. */
      const verify = Effect.fnUntraced(function* (body: Uint8Array, signature: string) {
        const now = (yield* Clock.currentTimeMillis) / 1000
        // The SDK refuses an old timestamp, but not one in the future.
        if (!(timestampOf(signature) <= now + tolerance)) return yield* new SignatureInvalid()
        const invalid = () => new SignatureInvalid()
        const text = yield* Effect.try({ try: () => decoder.decode(body), catch: invalid })
        for (const secret of secrets) {
          if (yield* stripe.verify(text, signature, Redacted.value(secret), tolerance)) return text
        }
        return yield* invalid()
      })

      const read = Effect.fnUntraced(function* (text: string) {
        const event = Option.filter(decodeEvent(text), isStorable)
        if (Option.isSome(event)) return event.value
        yield* Effect.logWarning(
          "Stripe sent a signed body that is not a snapshot event; set the webhook endpoint's payload style to snapshot"
        )
        return yield* new EventUnreadable()
      })

      const store = Effect.fn("Webhook.store")(function* (event: StripeEvent) {
        const customerId = customerOf(event)
        const isRelevant = handled.has(event.type) && (event.livemode ?? isLive) === isLive
        const object = event.data.object
        const chargeId = customerId === null ? idOf(object.charge ?? null) : null
        const [row] = yield* sql<{ outcome: string | null }>`
          with stored as (
            insert into webhook_events (id, type, customer_id, object_id, charge_id, outcome, created_at)
            select ${event.id}, ${event.type}, c.customer_id, ${object.id ?? null}, ${chargeId},
              case when ${isRelevant} and (c.customer_id is not null or ${chargeId}::text is not null) then 'pending' else 'ignored' end,
              coalesce(to_timestamp(${event.created ?? null}), clock_timestamp())
            from (select 1) one left join billing_customers c on c.customer_id = ${customerId}
            on conflict (id) do nothing
            returning id, customer_id, charge_id, outcome
          )
          select count(j.id), (select outcome from stored) as outcome from stored, graphile_worker.add_job(
            ${syncTask}, json_build_object('customerId', stored.customer_id, 'chargeId', stored.charge_id),
            job_key => ${syncTask} || ':' || coalesce(stored.customer_id, stored.id)
          ) j where stored.outcome = 'pending'
        `
        return row?.outcome ?? "duplicate"
      }, Effect.orDie)

      const receive: Webhook["Service"]["receive"] = Effect.fn("Webhook.receive")(
        function* (body, signature) {
          if (signature === undefined) return yield* new SignatureInvalid()
          const event = yield* read(yield* verify(body, signature))
          count(yield* store(event))
          if (event.created !== undefined) lag.observe(Math.max(0, (yield* Clock.currentTimeMillis) / 1_000 - event.created))
        },
        Effect.tapError(({ code }) => {
          count(code)
          return code === "signature_invalid" ? refused(wrongSignature) : Effect.void
        })
      )

      /** Stripe's events that wait for their customer to be brought up to date. */
      const pending = { count: 0, oldestSeconds: 0 }
      yield* observedGauge(
        "chat_webhook_events_pending",
        "Stripe's events that are stored and not processed.",
        () => pending.count
      )
      yield* observedGauge(
        "chat_webhook_oldest_pending_seconds",
        "How long the oldest stored event of Stripe has waited to be processed.",
        () => pending.oldestSeconds
      )
      const measure = Effect.gen(function* () {
        const [row] = yield* sql<{ count: number; oldestSeconds: number }>`
          select count(*)::int as count, coalesce(extract(epoch from now() - min(received_at)), 0)::float8 as oldest_seconds
          from webhook_events where outcome = 'pending'
        `
        Object.assign(pending, row)
      }).pipe(Effect.orDie)

      return Webhook.of({ receive, store: (event) => Effect.asVoid(store(event)), measure })
    })
  )
}
