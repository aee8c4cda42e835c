import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { Stripe, type StripeFailure } from "./Stripe.ts"
import { idOf, type StripeCharge } from "./StripeObjects.ts"

interface Pending {
  readonly id: string
  readonly type: string
  readonly objectId: string | null
  readonly isYoung: boolean
}

/** Seconds after which an event about a subscription that Stripe does not list is not waited with any more. */
const listDelay = 120

/** Whether it tells of a subscription that the list, asked a moment ago, did not have yet. */
const isAhead = ({ isYoung, objectId, type }: Pending, listed: ReadonlySet<string>): boolean =>
  isYoung && objectId !== null && /^customer\.subscription\.(created|updated)$/.test(type) && !listed.has(objectId)

/**
 * The customer's events that wait to be worked off. Most say no more than "this customer changed", which the sync has
 * taken care of; one about a refund or a dispute names a charge, which is looked at anew.
 */
export class Holds extends Context.Service<
  Holds,
  {
    /** `listed` are the customer's subscriptions at Stripe: an event that is ahead of the list waits. Returns whether none is. */
    readonly settle: (userId: string, customerId: string, listed: ReadonlySet<string>) => Effect.Effect<boolean, StripeFailure>
  }
>()("chat-backend/billing/Holds") {
  static readonly layer = Layer.effect(
    Holds,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe

      /** Only what paid for a subscription is held, and only against that: one may be refunded while another goes on. */
      const hold = Effect.fnUntraced(function* (
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
      const release = (userId: string, { id }: StripeCharge, reason: string) =>
        Effect.orDie(sql`delete from billing_holds where user_id = ${userId} and charge_id = ${id} and reason = ${reason}`)

      /** A full refund takes its period's Pro away; a part of the price does not. */
      const lookAtCharge = Effect.fnUntraced(function* (userId: string, chargeId: string) {
        const charge = yield* stripe.charge(chargeId)
        yield* (charge.refunded ? hold : release)(userId, charge, "refunded")
      })

      const lookAtDispute = Effect.fnUntraced(function* (userId: string, disputeId: string) {
        const dispute = yield* stripe.dispute(disputeId)
        const charge = yield* stripe.charge(idOf(dispute.charge) ?? "")
        yield* (dispute.status === "lost" ? hold : release)(userId, charge, "dispute_lost")
      })

      const lookAt = (userId: string, { objectId, type }: Pending) => {
        if (objectId === null) return Effect.void
        if (type.startsWith("charge.dispute.")) return lookAtDispute(userId, objectId)
        return type.startsWith("charge.refund") || type.startsWith("refund.") ? lookAtCharge(userId, objectId) : Effect.void
      }

      const settle = Effect.fn("Holds.settle")(function* (userId: string, customerId: string, listed: ReadonlySet<string>) {
        const waiting = yield* sql<Pending>`
          select id, type, object_id, received_at > clock_timestamp() - make_interval(secs => ${listDelay}) as is_young
          from webhook_events where customer_id = ${customerId} and outcome = 'pending'
          order by created_at limit 500
        `.pipe(Effect.orDie)
        const pending = waiting.filter((event) => !isAhead(event, listed))
        const allSettled = pending.length === waiting.length
        if (pending.length === 0) return allSettled
        yield* Effect.forEach(pending, (event) => lookAt(userId, event), { discard: true })
        const done = JSON.stringify(pending.map(({ id }) => id))
        yield* sql`
          update webhook_events set outcome = 'processed', processed_at = now()
          where id in (select json_array_elements_text(${done}::text::json)) and outcome = 'pending'
        `.pipe(Effect.orDie)
        yield* sql`select decide_tier(${userId}) as changed`.pipe(Effect.orDie)
        return allSettled
      })

      return Holds.of({ settle })
    })
  )
}
