import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"
import type { CurrentSession } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  CheckoutNotFound,
  PaymentRequired,
  PendingCancellation
} from "../api/billing/BillingErrors.ts"
import { Customers } from "./Customers.ts"
import { Stripe, type StripeFailure, unavailable } from "./Stripe.ts"
import { isLive } from "../api/billing/Subscription.ts"
import { isCancelling, type Stored, Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"

/** Seconds a checkout stays open; Stripe takes 30 minutes to 24 hours. */
const lifetime = 3_600
/** The least that Stripe takes, and a minute for the way there. */
const shortest = 1_860
/** Seconds after which a request takes an attempt over whose maker is not heard of any more. */
const takeOver = 40

export interface OpenCheckout {
  readonly checkoutUrl: string
  readonly sessionId: string
  readonly expiresAt: string
  readonly isNew: boolean
}

interface Attempt {
  readonly id: string
  readonly customerId: string
  readonly sessionId: string | null
  readonly url: string | null
  readonly expiresAt: Date
  /** Whether this request is to make the session. */
  readonly mine: boolean
}

type Refusal = AlreadySubscribed | PaymentRequired | PendingCancellation | BillingUnavailable

/** What stands against a second subscription. */
const refuse = (subscription: Stored) => {
  if (subscription.status === "active" || subscription.status === "trialing") {
    return isCancelling(subscription) ? new PendingCancellation() : new AlreadySubscribed()
  }
  return new PaymentRequired({ invoiceUrl: subscription.invoiceUrl })
}

/** Subscribing: one open checkout a user, and never a second subscription. */
export class Checkout extends Context.Service<
  Checkout,
  {
    /** Opens a checkout, or returns the one that is open. */
    readonly open: (user: CurrentSession) => Effect.Effect<OpenCheckout, Refusal>
    /** The user came back from one: Stripe is asked at once how it went. */
    readonly returned: (user: CurrentSession, sessionId: string) => Effect.Effect<void, CheckoutNotFound | BillingUnavailable>
    /** Closes the checkout that is open: the account is about to be deleted. */
    readonly abandon: (userId: string) => Effect.Effect<void, StripeFailure>
    /** How open attempts of a customer stand at Stripe, once their sessions have ended. */
    readonly reconcile: (customerId: string) => Effect.Effect<void, StripeFailure>
  }
>()("chat-backend/billing/Checkout") {
  static readonly layer = Layer.effect(
    Checkout,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const stripe = yield* Stripe
      const customers = yield* Customers
      const subscriptions = yield* Subscriptions
      const sync = yield* Sync
      const { appUrl } = yield* AppConfig

      /** Gives up attempts whose session was not made in time: Stripe would refuse to make it now. */
      const giveUpUnmade = (userId: string) =>
        Effect.orDie(sql`
          update checkout_attempts set status = 'failed' where user_id = ${userId} and status = 'open' and url is null
            and expires_at < clock_timestamp() + make_interval(secs => ${shortest})
        `)

      const openAttempt = Effect.fnUntraced(function* (userId: string) {
        const [open] = yield* sql<Attempt>`
          select id, customer_id, session_id, url, expires_at, false as mine from checkout_attempts
          where user_id = ${userId} and status = 'open'
        `
        return open
      }, Effect.orDie)

      /** The user's open attempt, made when there is none; of parallel requests one makes its session. */
      const attemptOf = Effect.fnUntraced(function* (userId: string, customerId: string) {
        yield* giveUpUnmade(userId)
        const [made] = yield* sql<Attempt>`
          insert into checkout_attempts as a (user_id, id, customer_id, expires_at)
          values (${userId}, ${uuid()}, ${customerId}, date_trunc('second', clock_timestamp()) + make_interval(secs => ${lifetime}))
          on conflict (user_id) where status = 'open' do update set claimed_at = clock_timestamp()
          where a.url is null and a.claimed_at < clock_timestamp() - make_interval(secs => ${takeOver})
          returning id, customer_id, session_id, url, expires_at, true as mine
        `
        return made ?? (yield* openAttempt(userId))
      }, Effect.orDie)

      const close = (userId: string, id: string, status: "completed" | "expired" | "failed") =>
        Effect.orDie(
          sql`update checkout_attempts set status = ${status} where user_id = ${userId} and id = ${id} and status = 'open'`
        )

      const present = (attempt: Attempt, isNew: boolean): OpenCheckout | undefined =>
        attempt.url === null || attempt.sessionId === null
          ? undefined
          : { checkoutUrl: attempt.url, sessionId: attempt.sessionId, expiresAt: attempt.expiresAt.toISOString(), isNew }

      const create = Effect.fnUntraced(function* (user: CurrentSession, attempt: Attempt) {
        const session = yield* stripe
          .createSession({
            customer: attempt.customerId,
            userId: user.userId,
            attemptId: attempt.id,
            expiresAt: attempt.expiresAt.getTime() / 1000,
            returnUrl: `${appUrl}/billing/return?session_id={CHECKOUT_SESSION_ID}`,
            cancelUrl: `${appUrl}/`
          })
          .pipe(
            Effect.tapError((failure) =>
              // A refused attempt would be refused again; one whose answer was lost is asked for again by its key.
              failure.kind === "unavailable" ? unclaim(user.userId, attempt.id) : close(user.userId, attempt.id, "failed")
            )
          )
        yield* Effect.orDie(sql`
          update checkout_attempts set session_id = ${session.id}, url = ${session.url} where user_id = ${user.userId} and id = ${attempt.id}
        `)
        return present({ ...attempt, sessionId: session.id, url: session.url }, true)
      })

      const unclaim = (userId: string, id: string) =>
        Effect.orDie(
          sql`update checkout_attempts set claimed_at = '-infinity' where user_id = ${userId} and id = ${id} and url is null`
        )

      /** Whether a session that we believe open is so at Stripe; what it turned into is noted. */
      const stillOpen = Effect.fnUntraced(function* (userId: string, attempt: Attempt) {
        const session = yield* stripe
          .retrieveSession(attempt.sessionId ?? "")
          .pipe(
            Effect.catchTag("StripeFailure", (failure) => (failure.kind === "missing" ? Effect.undefined : Effect.fail(failure)))
          )
        if (session?.status === "open") return true
        yield* close(userId, attempt.id, session?.status === "complete" ? "completed" : "expired")
        return false
      })

      const noneLive = Effect.fnUntraced(function* (userId: string, customerId: string) {
        yield* sync.customer(customerId)
        const current = yield* subscriptions.current(userId)
        if (current !== undefined && isLive(current.status)) return yield* refuse(current)
      })

      const open: Checkout["Service"]["open"] = Effect.fn("Checkout.open")(
        function* (user) {
          // A subscription that is there is no matter of checkouts; and no session without a fresh list from Stripe.
          const customerId = yield* liveCustomer(user)
          yield* noneLive(user.userId, customerId)
          const deadline = (yield* Clock.currentTimeMillis) + 10_000
          while ((yield* Clock.currentTimeMillis) < deadline) {
            const attempt = yield* attemptOf(user.userId, customerId)
            if (attempt?.mine === true) {
              const made = yield* create(user, attempt)
              if (made !== undefined) return made
            } else if (attempt?.sessionId != null) {
              const known = present(attempt, false)
              if (known !== undefined && attempt.customerId === customerId && (yield* stillOpen(user.userId, attempt)))
                return known
              if (attempt.customerId !== customerId) yield* close(user.userId, attempt.id, "expired")
              yield* noneLive(user.userId, customerId)
            } else {
              // Another request is making it.
              yield* Effect.sleep("100 millis")
            }
          }
          return yield* BillingUnavailable.soon()
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      /** The user's customer, made anew when it was deleted at Stripe. */
      const liveCustomer = Effect.fnUntraced(function* (user: CurrentSession) {
        const known = yield* customers.find(user.userId)
        if (known !== undefined) {
          const customer = yield* stripe
            .retrieveCustomer(known)
            .pipe(
              Effect.catchTag("StripeFailure", (failure) =>
                failure.kind === "missing" ? Effect.undefined : Effect.fail(failure)
              )
            )
          if (customer !== undefined && customer.deleted !== true) return known
          // What it had has ended with it; once it is forgotten nobody would find that out any more.
          yield* sync.customer(known)
          yield* customers.forget(known)
        }
        return yield* customers.ensure(user.userId, user.mobile, known)
      })

      const returned: Checkout["Service"]["returned"] = Effect.fn("Checkout.returned")(
        function* (user, sessionId) {
          const [attempt] = yield* sql<Attempt>`
            select id, customer_id, session_id, url, expires_at, false as mine from checkout_attempts
            where user_id = ${user.userId} and session_id = ${sessionId}
          `.pipe(Effect.orDie)
          if (attempt === undefined) return yield* new CheckoutNotFound()
          yield* sync.customer(attempt.customerId)
          yield* stillOpen(user.userId, attempt)
        },
        Effect.catchTag("StripeFailure", unavailable)
      )

      const abandon: Checkout["Service"]["abandon"] = Effect.fn("Checkout.abandon")(function* (userId) {
        const attempt = yield* openAttempt(userId)
        if (attempt === undefined) return
        if (attempt.sessionId !== null && (yield* stillOpen(userId, attempt))) yield* stripe.expireSession(attempt.sessionId)
        yield* close(userId, attempt.id, "expired")
      })

      const reconcile: Checkout["Service"]["reconcile"] = Effect.fn("Checkout.reconcile")(function* (customerId) {
        const attempts = yield* sql<Attempt & { userId: string; live: boolean }>`
          select a.user_id, a.id, a.customer_id, a.session_id, a.url, a.expires_at, false as mine, exists (
            select 1 from subscriptions s where s.user_id = a.user_id and s.status in ('active', 'trialing', 'past_due')) as live
          from checkout_attempts a where a.customer_id = ${customerId} and a.status = 'open'
        `.pipe(Effect.orDie)
        for (const attempt of attempts) {
          if (attempt.sessionId === null) {
            yield* giveUpUnmade(attempt.userId)
            continue
          }
          const open = yield* stillOpen(attempt.userId, attempt)
          // Subscribed by another way: nobody may pay a second time.
          if (open && attempt.live) {
            const session = yield* stripe.expireSession(attempt.sessionId)
            if (session.status === "expired") yield* close(attempt.userId, attempt.id, "expired")
          }
        }
      })

      return Checkout.of({ open, returned, abandon, reconcile })
    })
  )
}
