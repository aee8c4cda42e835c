import { Clock, Context, Effect, Layer } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  CheckoutNotFound,
  PaymentRequired,
  PendingCancellation
} from "../api/billing/BillingErrors.ts"
import { type CheckoutAttempt, CheckoutAttempts } from "./CheckoutAttempts.ts"
import { Customers } from "./Customers.ts"
import { Stripe, type StripeFailure, unavailable, undefinedIfMissing } from "./Stripe.ts"
import { isLive } from "../api/billing/Subscription.ts"
import { isCancelling, type Stored, Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"

/** Milliseconds that a request waits for the session that a parallel request creates. */
const openTimeout = 10_000

export interface OpenCheckout {
  readonly checkoutUrl: string
  readonly sessionId: string
  readonly expiresAt: string
  readonly isNew: boolean
}

type Refusal = AlreadySubscribed | PaymentRequired | PendingCancellation | BillingUnavailable

/** Why a user with this subscription cannot have a second one. */
const refusalFor = (subscription: Stored) => {
  if (subscription.status === "active" || subscription.status === "trialing") {
    return isCancelling(subscription) ? new PendingCancellation() : new AlreadySubscribed()
  }
  return new PaymentRequired({ invoiceUrl: subscription.invoiceUrl })
}

/** The checkout of an attempt, once its session was created. */
const openCheckoutOf = ({ expiresAt, sessionId, url }: CheckoutAttempt, isNew: boolean): OpenCheckout | undefined =>
  url === null || sessionId === null ? undefined : { checkoutUrl: url, sessionId, expiresAt: expiresAt.toISOString(), isNew }

/** Subscribing: a user has at most one open checkout, and never a second subscription. */
export class Checkout extends Context.Service<
  Checkout,
  {
    /** Opens a checkout, or returns the one that is open. */
    readonly open: (user: CurrentSession) => Effect.Effect<OpenCheckout, Refusal>
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
      const { frontEnd } = yield* AppConfig

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

      const refuseIfSubscribed = Effect.fnUntraced(function* (userId: string, customerId: string) {
        yield* sync.run(customerId)
        const current = yield* subscriptions.current(userId)
        if (current !== undefined && isLive(current.status)) return yield* refusalFor(current)
      })

      const createSession = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
        const session = yield* stripe
          .createSession({
            customer: attempt.customerId,
            userId: attempt.userId,
            attemptId: attempt.id,
            expiresAt: attempt.expiresAt.getTime() / 1000,
            returnUrl: frontEnd.afterCheckout,
            cancelUrl: frontEnd.afterCancelledCheckout
          })
          .pipe(
            Effect.tapError((failure) =>
              // A refused request would be refused again. If the answer was lost, the idempotency key finds the same session.
              failure.kind === "unavailable" ? attempts.unclaim(attempt) : attempts.close(attempt, "failed")
            )
          )
        yield* attempts.setSession(attempt, session)
        return openCheckoutOf({ ...attempt, sessionId: session.id, url: session.url }, true)
      })

      /** Asks Stripe for the session of an attempt that is open here, and closes the attempt if the session has ended. */
      const refreshAttempt = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
        const session = yield* undefinedIfMissing(stripe.retrieveSession(attempt.sessionId ?? ""))
        if (session?.status === "open") return "open"
        const end = session?.status === "complete" ? "completed" : "expired"
        yield* attempts.close(attempt, end)
        return end
      })

      const open: Checkout["Service"]["open"] = Effect.fn("Checkout.open")(
        function* (user) {
          const customerId = yield* ensureCustomer(user)
          yield* refuseIfSubscribed(user.userId, customerId)
          const deadline = (yield* Clock.currentTimeMillis) + openTimeout
          while ((yield* Clock.currentTimeMillis) < deadline) {
            const claim = yield* attempts.claim(user.userId, customerId)
            if (claim?.ownsClaim === true) {
              const created = yield* createSession(claim.attempt)
              if (created !== undefined) return created
            } else if (claim?.attempt.sessionId != null) {
              const { attempt } = claim
              const checkout = openCheckoutOf(attempt, false)
              const isOfCustomer = attempt.customerId === customerId
              if (checkout !== undefined && isOfCustomer && (yield* refreshAttempt(attempt)) === "open") return checkout
              if (!isOfCustomer) yield* attempts.close(attempt, "expired")
              yield* refuseIfSubscribed(user.userId, customerId)
            } else {
              // A parallel request is creating the session.
              yield* Effect.sleep("100 millis")
            }
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
          yield* refreshAttempt(attempt)
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const abandon: Checkout["Service"]["abandon"] = Effect.fn("Checkout.abandon")(function* (userId) {
        const attempt = yield* attempts.findOpen(userId)
        if (attempt === undefined) return
        if (attempt.sessionId !== null && (yield* refreshAttempt(attempt)) === "open") {
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
          const status = yield* refreshAttempt(attempt)
          // Subscribed in another way: an open checkout could be paid as well.
          if (status === "open" && attempt.isSubscribed) {
            const session = yield* stripe.expireSession(attempt.sessionId)
            if (session.status === "expired") yield* attempts.close(attempt, "expired")
          }
        }
      })

      return Checkout.of({ open, handleReturn, abandon, reconcile })
    })
  )
}
