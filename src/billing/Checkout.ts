import { Clock, Context, Effect, Layer } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  ChangeInPortal,
  CheckoutNotFound,
  PaymentRequired,
  PendingCancellation,
  PlanNotFound,
  PromotionCodeInvalid
} from "../api/billing/BillingErrors.ts"
import type { Interval } from "../api/billing/Plan.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { type CheckoutAttempt, CheckoutAttempts, type Purchase } from "./CheckoutAttempts.ts"
import { Customers } from "./Customers.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, unavailable, undefinedIf, undefinedIfMissing } from "./StripeFailure.ts"
import { idOf } from "./StripeObjects.ts"
import { isLive } from "../api/billing/Subscription.ts"
import { isCancelling, type Stored, Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"
import { Trials } from "./Trials.ts"

/** Milliseconds that a request waits for the session that a parallel request creates. */
const openTimeout = 10_000

export interface OpenCheckout {
  readonly checkoutUrl: string
  readonly sessionId: string
  readonly expiresAt: string
  readonly isNew: boolean
}

/** What a user wants to subscribe to. */
export interface Wish {
  readonly plan: string
  readonly interval?: Interval | undefined
  readonly promotionCode?: string | undefined
}

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

/** The checkout of an attempt, once its session was created. */
const openCheckoutOf = ({ expiresAt, sessionId, url }: CheckoutAttempt, isNew: boolean): OpenCheckout | undefined =>
  url === null || sessionId === null ? undefined : { checkoutUrl: url, sessionId, expiresAt: expiresAt.toISOString(), isNew }

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
      const trials = yield* Trials
      const { frontEnd, plans } = yield* AppConfig

      /** The price of the plan that the user wants. */
      const priceFor = Effect.fnUntraced(function* ({ interval, plan: id }: Wish) {
        const plan = plans.find((each) => each.id === id)
        if (plan === undefined) return yield* new PlanNotFound()
        const [first] = plan.prices
        const price = interval === undefined ? first : plan.prices.find((each) => each.interval === interval)
        if (price !== undefined) return { plan, priceId: price.sold }
        // Without `PLANS` only Stripe knows how often the price is paid.
        const soldAt = first?.interval === undefined ? (yield* stripe.soldPrices)[0]?.recurring?.interval : undefined
        if (first !== undefined && soldAt === interval) return { plan, priceId: first.sold }
        return yield* new ValidationFailed({ errors: [{ path: "/interval", message: `is not an interval of the plan ${id}` }] })
      })

      /** An attempt of the previous release sells `pro` at its first price. */
      const priceOf = ({ priceId }: CheckoutAttempt): string =>
        priceId ?? (plans.find(({ id }) => id === "pro") ?? plans[0])?.prices[0]?.sold ?? ""

      const sells = (attempt: CheckoutAttempt, purchase: Purchase): boolean =>
        priceOf(attempt) === purchase.priceId && attempt.promotionCode === purchase.promotionCode

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

      /** The id of the code that a customer typed; null without one. */
      const findCode = Effect.fnUntraced(function* (customerId: string, code: string | undefined) {
        if (code === undefined) return null
        const { data } = yield* stripe.promotionCodes(code)
        const usable = data.find(({ active, customer }) => active && (customer === null || idOf(customer) === customerId))
        return usable === undefined ? yield* new PromotionCodeInvalid() : usable.id
      })

      /** A refused request would be refused again. If the answer was lost, the idempotency key finds the same session. */
      const giveUp = (attempt: CheckoutAttempt, { kind }: StripeFailure) =>
        kind === "unavailable" ? attempts.unclaim(attempt) : attempts.close(attempt, "failed")

      const createSession = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
        const session = yield* stripe
          .createSession({
            customer: attempt.customerId,
            userId: attempt.userId,
            attemptId: attempt.id,
            price: priceOf(attempt),
            promotionCode: attempt.promotionCode,
            // The request of the previous release has to be repeated as it was.
            offersCodes: attempt.priceId !== null,
            trialDays: attempt.trialDays,
            expiresAt: attempt.expiresAt.getTime() / 1000,
            returnUrl: frontEnd.afterCheckout,
            cancelUrl: frontEnd.afterCancelledCheckout
          })
          .pipe(
            Effect.tapError((failure) => giveUp(attempt, failure)),
            // The code was found, but it is not for this customer or price: for a first purchase, or from an amount on.
            Effect.catchIf(
              ({ kind }) => kind === "refused" && attempt.promotionCode !== null,
              (failure) =>
                Effect.andThen(Effect.logWarning("Stripe refuses a code", failure), Effect.fail(new PromotionCodeInvalid()))
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

      /** Closes an attempt that is open for something else, unless it is paid meanwhile. */
      const replace = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
        if (attempt.sessionId === null || (yield* refreshAttempt(attempt)) !== "open") return
        const session = yield* undefinedIf("refused", stripe.expireSession(attempt.sessionId))
        if (session?.status === "expired") yield* attempts.close(attempt, "expired")
      })

      /** One look at the user's attempt: its checkout, or undefined when there is to be another look. */
      const tryOpen = Effect.fnUntraced(function* (userId: string, customerId: string, purchase: Purchase, wish: Wish) {
        const claim = yield* attempts.claim(userId, customerId, purchase)
        if (claim?.ownsClaim === true) {
          const created = yield* createSession(claim.attempt)
          return sells(claim.attempt, purchase) ? created : undefined
        }
        if (claim?.attempt.sessionId == null) {
          // A parallel request is creating the session.
          yield* Effect.sleep("100 millis")
          return undefined
        }
        const { attempt } = claim
        const isOfCustomer = attempt.customerId === customerId
        if (isOfCustomer && sells(attempt, purchase)) {
          const checkout = openCheckoutOf(attempt, false)
          if (checkout !== undefined && (yield* refreshAttempt(attempt)) === "open") return checkout
        } else if (isOfCustomer) yield* replace(attempt)
        else yield* attempts.close(attempt, "expired")
        yield* refuseIfSubscribed(userId, customerId, wish)
        return undefined
      })

      const open: Checkout["Service"]["open"] = Effect.fn("Checkout.open")(
        function* (user, wish) {
          const { plan, priceId } = yield* priceFor(wish)
          const customerId = yield* ensureCustomer(user)
          yield* refuseIfSubscribed(user.userId, customerId, wish)
          const promotionCode = yield* findCode(customerId, wish.promotionCode)
          const hasTrial = plan.trialDays > 0 && !(yield* trials.isUsed(user.quotaKey))
          const purchase = { plan: plan.id, priceId, promotionCode, trialDays: hasTrial ? plan.trialDays : 0 }
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
