import { Effect } from "effect"
import { PromotionCodeInvalid } from "../api/billing/BillingErrors.ts"
import { AppConfig } from "../config/Settings.ts"
import { type CheckoutAttempt, CheckoutAttempts, type Purchase } from "./CheckoutAttempts.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, undefinedIf, undefinedIfMissing } from "./StripeFailure.ts"

export interface OpenCheckout {
  readonly checkoutUrl: string
  readonly sessionId: string
  readonly expiresAt: string
  readonly isNew: boolean
}

/** The checkout of an attempt, once its session was created. */
export const openCheckoutOf = ({ expiresAt, sessionId, url }: CheckoutAttempt, isNew: boolean): OpenCheckout | undefined =>
  url === null || sessionId === null ? undefined : { checkoutUrl: url, sessionId, expiresAt: expiresAt.toISOString(), isNew }

/** The sessions at Stripe of checkout attempts: created, looked at, and closed. */
export const makeCheckoutSessions = Effect.gen(function* () {
  const stripe = yield* Stripe
  const attempts = yield* CheckoutAttempts
  const { frontEnd, plans } = yield* AppConfig

  /** An attempt of the previous release sells `pro` at its first price. */
  const priceOf = ({ priceId }: CheckoutAttempt): string =>
    priceId ?? (plans.find(({ id }) => id === "pro") ?? plans[0])?.prices[0]?.sold ?? ""

  /** Whether the attempt is for this purchase. */
  const sells = (attempt: CheckoutAttempt, purchase: Purchase): boolean =>
    priceOf(attempt) === purchase.priceId && attempt.promotionCode === purchase.promotionCode

  /** A refused request would be refused again. If the answer was lost, the idempotency key finds the same session. */
  const giveUp = (attempt: CheckoutAttempt, { kind }: StripeFailure) =>
    kind === "unavailable" ? attempts.unclaim(attempt) : attempts.close(attempt, "failed")

  const create = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
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
            Effect.andThen(Effect.logWarning("Stripe refused a promotion code", failure), Effect.fail(new PromotionCodeInvalid()))
        )
      )
    yield* attempts.setSession(attempt, session)
    return openCheckoutOf({ ...attempt, sessionId: session.id, url: session.url }, true)
  })

  /** Asks Stripe for the session of an attempt that is open here, and closes the attempt if the session has ended. */
  const refresh = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
    const session = yield* undefinedIfMissing(stripe.retrieveSession(attempt.sessionId ?? ""))
    if (session?.status === "open") return "open"
    const end = session?.status === "complete" ? "completed" : "expired"
    yield* attempts.close(attempt, end)
    return end
  })

  /** Closes an attempt that is open for something else, unless it is paid meanwhile. */
  const replace = Effect.fnUntraced(function* (attempt: CheckoutAttempt) {
    if (attempt.sessionId === null || (yield* refresh(attempt)) !== "open") return
    const session = yield* undefinedIf("refused", stripe.expireSession(attempt.sessionId))
    if (session?.status === "expired") yield* attempts.close(attempt, "expired")
  })

  /** Closes the session, and its attempt when that is expired now: it is not when it was paid meanwhile. */
  const expire = Effect.fnUntraced(function* (attempt: CheckoutAttempt, sessionId: string) {
    const session = yield* stripe.expireSession(sessionId)
    if (session.status === "expired") yield* attempts.close(attempt, "expired")
  })

  return { sells, create, refresh, replace, expire }
})
