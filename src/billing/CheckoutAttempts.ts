import { Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { v7 as uuid } from "uuid"

/** Seconds that a checkout stays open; Stripe takes 30 minutes to 24 hours. */
const lifetime = 3_600
/** The shortest lifetime that Stripe takes, and a minute for the request to get there. */
const shortestLifetime = 1_860
/** After this many seconds another request may take over an unfinished attempt. */
const claimTimeout = 40

/** One user's way through one checkout session at Stripe. Its id is the idempotency key of the session. */
export interface CheckoutAttempt {
  readonly userId: string
  readonly id: string
  readonly customerId: string
  /** Null, as is `url`, until the session was created. */
  readonly sessionId: string | null
  readonly url: string | null
  readonly expiresAt: Date
  /** What it sells. Null, as is the price, in an attempt of the previous release, which sells `pro` at its first price. */
  readonly plan: string | null
  readonly priceId: string | null
  /** The id of the promotion code that the request had. */
  readonly promotionCode: string | null
  readonly trialDays: number
}

/** What a checkout is opened for. */
export type Purchase = Pick<CheckoutAttempt, "promotionCode" | "trialDays"> & {
  readonly plan: string
  readonly priceId: string
}

/** How an attempt ended; `failed` is one whose session was never created. */
export type AttemptEnd = "completed" | "expired" | "failed"

/** The checkout attempts: at most one of a user is open. */
export class CheckoutAttempts extends Context.Service<
  CheckoutAttempts,
  {
    /**
     * The user's open attempt, created for the purchase when there is none. Of parallel requests one gets `ownsClaim`, and creates the
     * session; the claim of a request that died can be taken over later.
     */
    readonly claim: (
      userId: string,
      customerId: string,
      purchase: Purchase
    ) => Effect.Effect<{ readonly attempt: CheckoutAttempt; readonly ownsClaim: boolean } | undefined>
    /** Gives the claim back, so that the next request can create the same session at once. */
    readonly unclaim: (attempt: CheckoutAttempt) => Effect.Effect<void>
    readonly setSession: (
      attempt: CheckoutAttempt,
      session: { readonly id: string; readonly url: string | null }
    ) => Effect.Effect<void>
    readonly close: (attempt: CheckoutAttempt, end: AttemptEnd) => Effect.Effect<void>
    /** Fails the user's open attempt if it has no session and expires too soon for Stripe to create one. */
    readonly failUncreated: (userId: string) => Effect.Effect<void>
    readonly findOpen: (userId: string) => Effect.Effect<CheckoutAttempt | undefined>
    readonly findBySession: (userId: string, sessionId: string) => Effect.Effect<CheckoutAttempt | undefined>
    /** The open attempts of a customer; `isSubscribed` is whether their user has a subscription meanwhile. */
    readonly listOpen: (customerId: string) => Effect.Effect<ReadonlyArray<CheckoutAttempt & { readonly isSubscribed: boolean }>>
  }
>()("chat-backend/billing/CheckoutAttempts") {
  static readonly layer = Layer.effect(
    CheckoutAttempts,
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const columns = sql.literal(
        "a.user_id, a.id, a.customer_id, a.session_id, a.url, a.expires_at, a.plan, a.price_id, a.promotion_code, a.trial_days"
      )

      const failUncreated: CheckoutAttempts["Service"]["failUncreated"] = Effect.fn("CheckoutAttempts.failUncreated")(function* (
        userId
      ) {
        yield* sql`
            update checkout_attempts set status = 'failed' where user_id = ${userId} and status = 'open' and url is null
              and expires_at < clock_timestamp() + make_interval(secs => ${shortestLifetime})
          `
      }, Effect.orDie)

      const findOpen: CheckoutAttempts["Service"]["findOpen"] = Effect.fn("CheckoutAttempts.findOpen")(function* (userId) {
        const [attempt] = yield* sql<CheckoutAttempt>`
          select ${columns} from checkout_attempts a where a.user_id = ${userId} and a.status = 'open'
        `
        return attempt
      }, Effect.orDie)

      const findBySession: CheckoutAttempts["Service"]["findBySession"] = Effect.fn("CheckoutAttempts.findBySession")(function* (
        userId,
        sessionId
      ) {
        const [attempt] = yield* sql<CheckoutAttempt>`
            select ${columns} from checkout_attempts a where a.user_id = ${userId} and a.session_id = ${sessionId}
          `
        return attempt
      }, Effect.orDie)

      const listOpen: CheckoutAttempts["Service"]["listOpen"] = Effect.fn("CheckoutAttempts.listOpen")(
        (customerId) =>
          sql<CheckoutAttempt & { isSubscribed: boolean }>`
            select ${columns}, exists (
              select 1 from subscriptions s where s.user_id = a.user_id and s.status in ('active', 'trialing', 'past_due')
            ) as is_subscribed
            from checkout_attempts a where a.customer_id = ${customerId} and a.status = 'open'
          `,
        Effect.orDie
      )

      const claim: CheckoutAttempts["Service"]["claim"] = Effect.fn("CheckoutAttempts.claim")(function* (
        userId,
        customerId,
        { plan, priceId, promotionCode, trialDays }
      ) {
        yield* failUncreated(userId)
        const [claimed] = yield* sql<CheckoutAttempt>`
          insert into checkout_attempts as a (user_id, id, customer_id, plan, price_id, promotion_code, trial_days, expires_at)
          values (${userId}, ${uuid()}, ${customerId}, ${plan}, ${priceId}, ${promotionCode}, ${trialDays},
            date_trunc('second', clock_timestamp()) + make_interval(secs => ${lifetime}))
          on conflict (user_id) where status = 'open' do update set claimed_at = clock_timestamp()
          where a.url is null and a.claimed_at < clock_timestamp() - make_interval(secs => ${claimTimeout})
          returning ${columns}
        `
        const attempt = claimed ?? (yield* findOpen(userId))
        return attempt && { attempt, ownsClaim: claimed !== undefined }
      }, Effect.orDie)

      const unclaim: CheckoutAttempts["Service"]["unclaim"] = Effect.fn("CheckoutAttempts.unclaim")(function* ({ id, userId }) {
        yield* sql`update checkout_attempts set claimed_at = '-infinity' where user_id = ${userId} and id = ${id} and url is null`
      }, Effect.orDie)

      const setSession: CheckoutAttempts["Service"]["setSession"] = Effect.fn("CheckoutAttempts.setSession")(function* (
        { id, userId },
        session
      ) {
        yield* sql`
            update checkout_attempts set session_id = ${session.id}, url = ${session.url} where user_id = ${userId} and id = ${id}
          `
      }, Effect.orDie)

      const close: CheckoutAttempts["Service"]["close"] = Effect.fn("CheckoutAttempts.close")(function* ({ id, userId }, end) {
        yield* sql`update checkout_attempts set status = ${end} where user_id = ${userId} and id = ${id} and status = 'open'`
      }, Effect.orDie)

      return CheckoutAttempts.of({ claim, unclaim, setSession, close, failUncreated, findOpen, findBySession, listOpen })
    })
  )
}
