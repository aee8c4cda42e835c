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

/** What a subscriber can do about a subscription. Stripe is changed first, and then asked what it has become. */
export class Membership extends Context.Service<
  Membership,
  {
    /** Lets it end with its period; Pro until then. Again changes nothing. */
    readonly cancel: (user: CurrentSession) => Effect.Effect<void, NoSubscription | BillingUnavailable>
    /** Takes a pending cancellation back, in either form. */
    readonly reactivate: (user: CurrentSession) => Effect.Effect<void, NotCancelling | SubscriptionEnded | BillingUnavailable>
    /** Ends it now, whatever was paid, and the checkout that is open: the account is about to be deleted. */
    readonly end: (userId: string) => Effect.Effect<void, BillingUnavailable>
    /** Stripe's own page for cards, invoices and cancelling. */
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

      /** As Stripe has it now: what the database says may be minutes old. */
      const fresh = Effect.fnUntraced(function* (userId: string) {
        const customerId = yield* customers.find(userId)
        if (customerId !== undefined) yield* sync.customer(customerId)
        return yield* subscriptions.current(userId)
      })

      /** A change that Stripe no longer takes means that the subscription has moved on: the sync tells how. */
      const change = <A>(customerId: string, request: Effect.Effect<A, StripeFailure>) =>
        Effect.andThen(request, sync.customer(customerId))

      const cancel: Membership["Service"]["cancel"] = Effect.fn("Membership.cancel")(
        function* (user) {
          const subscription = yield* fresh(user.userId)
          if (subscription === undefined || !isLive(subscription.status)) return yield* new NoSubscription()
          if (isCancelling(subscription)) return
          yield* change(subscription.customerId, stripe.cancelAtPeriodEnd(subscription.id))
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const reactivate: Membership["Service"]["reactivate"] = Effect.fn("Membership.reactivate")(
        function* (user) {
          const subscription = yield* fresh(user.userId)
          if (subscription === undefined) return yield* new NotCancelling()
          if (!isLive(subscription.status)) return yield* new SubscriptionEnded()
          if (!isCancelling(subscription)) return yield* new NotCancelling()
          const hasCancelAt = subscription.cancelAt !== null && !subscription.cancelAtPeriodEnd
          yield* change(subscription.customerId, stripe.keep({ id: subscription.id, hasCancelAt }))
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const end: Membership["Service"]["end"] = Effect.fn("Membership.end")(
        function* (userId) {
          // First, so that nothing can be paid in it after the look at what there is.
          yield* checkout.abandon(userId)
          const subscription = yield* fresh(userId)
          if (subscription === undefined || !isLive(subscription.status)) return
          yield* change(subscription.customerId, stripe.cancelNow(subscription.id))
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
