import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { AppConfig } from "../config/Settings.ts"
import { retryConflicts } from "../database/Transactions.ts"
import { Stripe } from "./Stripe.ts"
import type { StripeFailure } from "./StripeFailure.ts"
import { idOf, type StripeCharge } from "./StripeObjects.ts"

interface PendingEvent {
  readonly id: string
  readonly type: string
  readonly objectId: string | null
  readonly isRecent: boolean
}

/** Seconds that an event waits for Stripe to list its subscription. */
const listDelay = 120

/** Whether the event is about a subscription that Stripe did not list yet when it was asked a moment ago. */
const isAheadOfList = ({ isRecent, objectId, type }: PendingEvent, listed: ReadonlySet<string>): boolean =>
  isRecent && objectId !== null && /^customer\.subscription\.(created|updated)$/.test(type) && !listed.has(objectId)

/**
 * The stored events of a customer that are not processed yet. Most of them only say "this customer changed", which the
 * sync has covered. An event about a refund or a dispute names a charge, which is fetched from Stripe: a charge that was
 * refunded or lost puts a hold on its period.
 */
export class PendingEvents extends Context.Service<
  PendingEvents,
  {
    /**
     * `listed` are the ids of the customer's subscriptions at Stripe: an event that is ahead of that list stays pending.
     * Returns whether none stayed.
     */
    readonly process: (userId: string, customerId: string, listed: ReadonlySet<string>) => Effect.Effect<boolean, StripeFailure>
  }
>()("chat-backend/billing/PendingEvents") {
  static readonly layer = Layer.effect(
    PendingEvents,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const { plans } = yield* AppConfig
      const planIds = JSON.stringify(plans.map(({ id }) => id))

      /** A hold needs the subscription that the charge paid for: another subscription of the user stays Pro. */
      const addHold = Effect.fnUntraced(function* (
        userId: string,
        { created, id, payment_intent: intent }: StripeCharge,
        reason: string
      ) {
        const subscriptionId = intent === null ? null : yield* stripe.subscriptionPaidBy(idOf(intent) ?? "")
        if (subscriptionId === null) return
        yield* sql`
          insert into billing_holds (user_id, charge_id, reason, subscription_id, charged_at)
          values (${userId}, ${id}, ${reason}, ${subscriptionId}, to_timestamp(${created}))
          on conflict do nothing
        `.pipe(Effect.orDie)
      })

      const removeHold = (userId: string, { id }: StripeCharge, reason: string) =>
        sql`delete from billing_holds where user_id = ${userId} and charge_id = ${id} and reason = ${reason}`.pipe(Effect.orDie)

      /** Only a full refund ends Pro for the period; a partial one does not. */
      const processRefund = Effect.fnUntraced(function* (userId: string, chargeId: string) {
        const charge = yield* stripe.charge(chargeId)
        yield* (charge.refunded ? addHold : removeHold)(userId, charge, "refunded")
      })

      const processDispute = Effect.fnUntraced(function* (userId: string, disputeId: string) {
        const dispute = yield* stripe.dispute(disputeId)
        const charge = yield* stripe.charge(idOf(dispute.charge) ?? "")
        yield* (dispute.status === "lost" ? addHold : removeHold)(userId, charge, "dispute_lost")
      })

      const processEvent = (userId: string, { objectId, type }: PendingEvent) => {
        if (objectId === null) return Effect.void
        if (type.startsWith("charge.dispute.")) return processDispute(userId, objectId)
        return type.startsWith("charge.refund") || type.startsWith("refund.") ? processRefund(userId, objectId) : Effect.void
      }

      const process: PendingEvents["Service"]["process"] = Effect.fn("PendingEvents.process")(
        function* (userId, customerId, listed) {
          const pending = yield* sql<PendingEvent>`
            select id, type, object_id, received_at > clock_timestamp() - make_interval(secs => ${listDelay}) as is_recent
            from webhook_events where customer_id = ${customerId} and outcome = 'pending'
            order by created_at limit 500
          `.pipe(Effect.orDie)
          const ready = pending.filter((event) => !isAheadOfList(event, listed))
          const noneStays = ready.length === pending.length
          if (ready.length === 0) return noneStays
          yield* Effect.forEach(ready, (event) => processEvent(userId, event), { discard: true })
          const processed = JSON.stringify(ready.map(({ id }) => id))
          yield* sql`
            update webhook_events set outcome = 'processed', processed_at = now()
            where id in (select json_array_elements_text(${processed}::text::json)) and outcome = 'pending'
          `.pipe(retryConflicts(sql), Effect.orDie)
          yield* sql`
            select decide_tier(${userId}, array(select json_array_elements_text(${planIds}::text::json))) as changed
          `.pipe(Effect.orDie)
          return noneStays
        }
      )

      return PendingEvents.of({ process })
    })
  )
}
