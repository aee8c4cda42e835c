import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import type { CurrentSession } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import {
  type BillingUnavailable,
  NoCustomer,
  NoSubscription,
  NotCancelling,
  SubscriptionEnded
} from "../api/billing/BillingErrors.ts"
import { Checkout } from "./Checkout.ts"
import { Customers } from "./Customers.ts"
import { makePortalConfiguration } from "./PortalConfiguration.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, unavailable } from "./StripeFailure.ts"
import { isLive } from "../api/billing/Subscription.ts"
import { isCancelling, Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"
import { syncTask } from "./Webhook.ts"

/** How long the deletion of an account waits for Stripe to end the subscription. */
const endTimeout = "8 seconds"

/** What a user can do with a subscription. Each change is made at Stripe first, and then synced. */
export class Membership extends Context.Service<
  Membership,
  {
    /** Lets the subscription end with its period; Pro until then. Repeating it changes nothing. */
    readonly cancel: (user: CurrentSession) => Effect.Effect<void, NoSubscription | BillingUnavailable>
    /** Undoes a pending cancellation. */
    readonly reactivate: (user: CurrentSession) => Effect.Effect<void, NotCancelling | SubscriptionEnded | BillingUnavailable>
    /** Closes the open checkout and learns what is to be ended. While Stripe fails, an account cannot be deleted. */
    readonly prepareDeletion: (userId: string) => Effect.Effect<void, BillingUnavailable>
    /**
     * In the transaction that deletes the account: a job ends the stored subscriptions, without a refund. So they end
     * when the account is deleted, whatever happens to this process or to Stripe, and only then.
     */
    readonly endWithAccount: (userId: string) => Effect.Effect<void>
    /** After that transaction: ends them at once. If that fails, the job does it. */
    readonly endDeleted: (userId: string) => Effect.Effect<void>
    /** The URL of Stripe's page for cards, invoices, cancelling and changing the plan. */
    readonly portal: (user: CurrentSession) => Effect.Effect<string, NoCustomer | BillingUnavailable>
  }
>()("chat-backend/billing/Membership") {
  static readonly layer = Layer.effect(
    Membership,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const customers = yield* Customers
      const subscriptions = yield* Subscriptions
      const sync = yield* Sync
      const checkout = yield* Checkout
      const { frontEnd } = yield* AppConfig
      const portalConfiguration = yield* makePortalConfiguration

      /** The subscription after a sync: the stored state may be minutes old. */
      const syncedSubscription = Effect.fnUntraced(function* (userId: string) {
        const customerId = yield* customers.find(userId)
        if (customerId !== undefined) yield* sync.run(customerId)
        return yield* subscriptions.current(userId)
      })

      const changeAndSync = <A>(customerId: string, request: Effect.Effect<A, StripeFailure>) =>
        Effect.andThen(request, sync.run(customerId))

      const cancel: Membership["Service"]["cancel"] = Effect.fn("Membership.cancel")(
        function* (user) {
          const subscription = yield* syncedSubscription(user.userId)
          if (subscription === undefined || !isLive(subscription.status)) return yield* new NoSubscription()
          if (isCancelling(subscription)) return
          yield* changeAndSync(subscription.customerId, stripe.cancelAtPeriodEnd(subscription.id))
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const reactivate: Membership["Service"]["reactivate"] = Effect.fn("Membership.reactivate")(
        function* (user) {
          const subscription = yield* syncedSubscription(user.userId)
          if (subscription === undefined) return yield* new NotCancelling()
          if (!isLive(subscription.status)) return yield* new SubscriptionEnded()
          if (!isCancelling(subscription)) return yield* new NotCancelling()
          const hasCancelAt = subscription.cancelAt !== null && !subscription.cancelAtPeriodEnd
          yield* changeAndSync(subscription.customerId, stripe.undoCancellation({ id: subscription.id, hasCancelAt }))
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const prepareDeletion: Membership["Service"]["prepareDeletion"] = Effect.fn("Membership.prepareDeletion")(
        function* (userId) {
          // First, so that no payment can follow the sync.
          yield* checkout.abandon(userId)
          yield* syncedSubscription(userId)
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const endWithAccount: Membership["Service"]["endWithAccount"] = Effect.fn("Membership.endWithAccount")(function* (userId) {
        yield* sql`update subscriptions set account_deleted_at = clock_timestamp() where user_id = ${userId}`
        yield* sql`
          select count(j.id) from billing_customers c, graphile_worker.add_job(
            ${syncTask}, json_build_object('customerId', c.customer_id), job_key => ${syncTask} || ':' || c.customer_id) j
          where c.user_id = ${userId}
        `
      }, Effect.orDie)

      const endDeleted: Membership["Service"]["endDeleted"] = Effect.fn("Membership.endDeleted")(
        function* (userId) {
          const customerId = yield* customers.find(userId)
          if (customerId !== undefined) yield* sync.run(customerId)
        },
        Effect.timeout(endTimeout),
        Effect.catchCause((cause) =>
          Effect.logWarning("The subscription of a deleted account could not be ended; the queue tries again", cause)
        )
      )

      const portal: Membership["Service"]["portal"] = Effect.fn("Membership.portal")(
        function* (user) {
          const customerId = yield* customers.find(user.userId)
          if (customerId === undefined) return yield* new NoCustomer()
          const configuration = yield* portalConfiguration
          const { url } = yield* stripe.portal(customerId, frontEnd.afterPortal, configuration)
          return url
        },
        Effect.catchTag("StripeFailure", (failure): Effect.Effect<never, NoCustomer | BillingUnavailable> =>
          failure.kind === "missing" ? Effect.fail(new NoCustomer()) : unavailable(failure)
        )
      )

      return Membership.of({ cancel, reactivate, prepareDeletion, endWithAccount, endDeleted, portal })
    })
  )
}
