import { Context, Effect, Layer } from "effect"
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
import { Stripe, type StripeFailure, unavailable } from "./Stripe.ts"
import { isLive } from "../api/billing/Subscription.ts"
import { isCancelling, Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"

/** What a user can do with a subscription. Each change is made at Stripe first, and then synced. */
export class Membership extends Context.Service<
  Membership,
  {
    /** Lets the subscription end with its period; Pro until then. Repeating it changes nothing. */
    readonly cancel: (user: CurrentSession) => Effect.Effect<void, NoSubscription | BillingUnavailable>
    /** Undoes a pending cancellation. */
    readonly reactivate: (user: CurrentSession) => Effect.Effect<void, NotCancelling | SubscriptionEnded | BillingUnavailable>
    /** Ends the subscription and the open checkout at once, before the account is deleted. Nothing is refunded. */
    readonly end: (userId: string) => Effect.Effect<void, BillingUnavailable>
    /** The URL of Stripe's page for cards, invoices and cancelling. */
    readonly portal: (user: CurrentSession) => Effect.Effect<string, NoCustomer | BillingUnavailable>
  }
>()("chat-backend/billing/Membership") {
  static readonly layer = Layer.effect(
    Membership,
    Effect.gen(function* () {
      const stripe = yield* Stripe
      const customers = yield* Customers
      const subscriptions = yield* Subscriptions
      const sync = yield* Sync
      const checkout = yield* Checkout
      const { appUrl } = yield* AppConfig

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

      const end: Membership["Service"]["end"] = Effect.fn("Membership.end")(
        function* (userId) {
          // First, so that no payment can follow the sync.
          yield* checkout.abandon(userId)
          const subscription = yield* syncedSubscription(userId)
          if (subscription === undefined || !isLive(subscription.status)) return
          yield* changeAndSync(subscription.customerId, stripe.cancelNow(subscription.id))
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const portal: Membership["Service"]["portal"] = Effect.fn("Membership.portal")(
        function* (user) {
          const customerId = yield* customers.find(user.userId)
          if (customerId === undefined) return yield* new NoCustomer()
          const { url } = yield* stripe.portal(customerId, `${appUrl}/`)
          return url
        },
        Effect.catchTag("StripeFailure", (failure): Effect.Effect<never, NoCustomer | BillingUnavailable> =>
          failure.kind === "missing" ? Effect.fail(new NoCustomer()) : unavailable(failure)
        )
      )

      return Membership.of({ cancel, reactivate, end, portal })
    })
  )
}
