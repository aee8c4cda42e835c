import { Clock, Context, Effect, Layer } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  ChangeInPortal,
  CheckoutNotFound,
  PaymentRequired,
  PendingCancellation,
  type PlanNotFound,
  type PromotionCodeInvalid
} from "../api/billing/BillingErrors.ts"
import { isLive } from "../api/billing/Subscription.ts"
import type { ValidationFailed } from "../api/Problems.ts"
import { CheckoutAttempts, type Purchase } from "./CheckoutAttempts.ts"
import { makeCheckoutSessions, type OpenCheckout, openCheckoutOf } from "./CheckoutSessions.ts"
import { Customers } from "./Customers.ts"
import { makePurchases, type Wish } from "./Purchases.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, unavailable, undefinedIfMissing } from "./StripeFailure.ts"
import { isCancelling, type Stored, Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"

/** Milliseconds that a request waits for the session that a parallel request creates. */
const openTimeout = 10_000

type Refusal =
  | PlanNotFound
  | ValidationFailed
  | PromotionCodeInvalid
  | AlreadySubscribed
  | ChangeInPortal
  | PaymentRequired
  | PendingCancellation
  | BillingUnavailable

/** The plan of a subscription that the previous release has stored. */
const planOf = ({ plan }: { readonly plan: string | null }): string => plan ?? "pro"

/** Why a user with this subscription cannot have a second one. */
const refusalFor = (subscription: Stored, { interval, plan }: Wish) => {
  if (subscription.status !== "active" && subscription.status !== "trialing") {
    return new PaymentRequired({ invoiceUrl: subscription.invoiceUrl })
  }
  if (isCancelling(subscription)) return new PendingCancellation()
  const isSame = planOf(subscription) === plan && (interval ?? subscription.interval) === subscription.interval
  return isSame ? new AlreadySubscribed() : new ChangeInPortal()
}

/** Subscribing: a user has at most one open checkout, and never a second subscription. */
export class Checkout extends Context.Service<
  Checkout,
  {
    /** Opens a checkout, or returns the one that is open for the same; one that is open for something else is closed. */
    readonly open: (user: CurrentSession, wish: Wish) => Effect.Effect<OpenCheckout, Refusal>
    /** The user is back from a checkout: asks Stripe at once how it ended. */
    readonly handleReturn: (user: CurrentSession, sessionId: string) => Effect.Effect<void, CheckoutNotFound | BillingUnavailable>
    /** Closes the user's open checkout, before the account is deleted. */
    readonly abandon: (userId: string) => Effect.Effect<void, StripeFailure>
    /** Closes the customer's attempts whose sessions have ended at Stripe, or whose user is subscribed meanwhile. */
    readonly reconcile: (customerId: string) => Effect.Effect<void, StripeFailure>
  }
>()("chat-backend/billing/Checkout") {
  static readonly layer = Layer.effect(
    Checkout,
    Effect.gen(function* () {
      const stripe = yield* Stripe
      const attempts = yield* CheckoutAttempts
      const customers = yield* Customers
      const subscriptions = yield* Subscriptions
      const sync = yield* Sync
      const purchases = yield* makePurchases
      const sessions = yield* makeCheckoutSessions

      /** The user's customer; another one when it was deleted at Stripe. */
      const ensureCustomer = Effect.fnUntraced(function* (user: CurrentSession) {
        const known = yield* customers.find(user.userId)
        if (known !== undefined) {
          const customer = yield* undefinedIfMissing(stripe.retrieveCustomer(known))
          if (customer !== undefined && customer.deleted !== true) return known
          // Sync first: its subscriptions ended with the customer, and nothing looks at it once the row is deleted.
          yield* sync.run(known)
          yield* customers.forget(known)
        }
        return yield* customers.ensure(user.userId, user.mobile, known)
      })

      const refuseIfSubscribed = Effect.fnUntraced(function* (userId: string, customerId: string, wish: Wish) {
        yield* sync.run(customerId)
        const current = yield* subscriptions.current(userId)
        if (current !== undefined && isLive(current.status)) return yield* refusalFor(current, wish)
      })

      /** One look at the user's attempt: its checkout, or undefined when there is to be another look. */
      const tryOpen = Effect.fnUntraced(function* (userId: string, customerId: string, purchase: Purchase, wish: Wish) {
        const claim = yield* attempts.claim(userId, customerId, purchase)
        if (claim?.ownsClaim === true) {
          const created = yield* sessions.create(claim.attempt)
          return sessions.sells(claim.attempt, purchase) ? created : undefined
        }
        if (claim?.attempt.sessionId == null) {
          // A parallel request is creating the session.
          yield* Effect.sleep("100 millis")
          return undefined
        }
        const { attempt } = claim
        const isOfCustomer = attempt.customerId === customerId
        if (isOfCustomer && sessions.sells(attempt, purchase)) {
          const checkout = openCheckoutOf(attempt, false)
          if (checkout !== undefined && (yield* sessions.refresh(attempt)) === "open") return checkout
        } else if (isOfCustomer) yield* sessions.replace(attempt)
        else yield* attempts.close(attempt, "expired")
        yield* refuseIfSubscribed(userId, customerId, wish)
        return undefined
      })

      const open: Checkout["Service"]["open"] = Effect.fn("Checkout.open")(
        function* (user, wish) {
          const price = yield* purchases.priceFor(wish)
          const customerId = yield* ensureCustomer(user)
          yield* refuseIfSubscribed(user.userId, customerId, wish)
          const purchase = yield* purchases.at(price, { quotaKey: user.quotaKey, customerId }, wish.promotionCode)
          const deadline = (yield* Clock.currentTimeMillis) + openTimeout
          while ((yield* Clock.currentTimeMillis) < deadline) {
            const checkout = yield* tryOpen(user.userId, customerId, purchase, wish)
            if (checkout !== undefined) return checkout
          }
          return yield* BillingUnavailable.soon()
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const handleReturn: Checkout["Service"]["handleReturn"] = Effect.fn("Checkout.handleReturn")(
        function* (user, sessionId) {
          const attempt = yield* attempts.findBySession(user.userId, sessionId)
          if (attempt === undefined) return yield* new CheckoutNotFound()
          yield* sync.run(attempt.customerId)
          yield* sessions.refresh(attempt)
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const abandon: Checkout["Service"]["abandon"] = Effect.fn("Checkout.abandon")(function* (userId) {
        const attempt = yield* attempts.findOpen(userId)
        if (attempt === undefined) return
        if (attempt.sessionId !== null && (yield* sessions.refresh(attempt)) === "open") {
          yield* stripe.expireSession(attempt.sessionId)
        }
        yield* attempts.close(attempt, "expired")
      })

      const reconcile: Checkout["Service"]["reconcile"] = Effect.fn("Checkout.reconcile")(function* (customerId) {
        for (const attempt of yield* attempts.listOpen(customerId)) {
          if (attempt.sessionId === null) {
            yield* attempts.failUncreated(attempt.userId)
            continue
          }
          const status = yield* sessions.refresh(attempt)
          // Subscribed in another way: an open checkout could be paid as well.
          if (status === "open" && attempt.isSubscribed) yield* sessions.expire(attempt, attempt.sessionId)
        }
      })

      return Checkout.of({ open, handleReturn, abandon, reconcile })
    })
  )
}
