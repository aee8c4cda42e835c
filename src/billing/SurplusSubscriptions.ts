import { Effect } from "effect"
import { SqlClient } from "effect/sql"
import { isLive } from "../api/billing/Subscription.ts"
import { Customers } from "./Customers.ts"
import { Stripe } from "./Stripe.ts"
import { undefinedIfMissing } from "./StripeFailure.ts"
import { idOf, type StripeSubscription } from "./StripeObjects.ts"

/**
 * Ends subscriptions that must not continue: every paid one but the oldest of a user, and all of a deleted user. They are
 * refunded, except those that the user had when the account was deleted: a deleted user can still pay in a checkout that
 * was open.
 */
export const makeSurplusSubscriptions = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const stripe = yield* Stripe
  const customers = yield* Customers

  /** A subscription that a parallel sync has ended meanwhile is missing. */
  const cancel = (id: string) => undefinedIfMissing(stripe.cancelNow(id))

  /** The subscriptions that a deleted user had when the account was deleted. */
  const endedWithAccount = Effect.fnUntraced(function* (userId: string) {
    const rows = yield* sql<{ id: string }>`
      select id from subscriptions where user_id = ${userId} and account_deleted_at is not null
    `
    return new Set(rows.map(({ id }) => id))
  }, Effect.orDie)

  const refundLatest = Effect.fnUntraced(function* ({
    latest_invoice: invoice,
    id
  }: Pick<StripeSubscription, "id" | "latest_invoice">) {
    const invoiceId = typeof invoice === "string" ? invoice : invoice?.id
    if (invoiceId === undefined) return
    const payments = yield* stripe.invoicePayments(invoiceId)
    const payment = payments.data.find(({ status }) => status === "paid")?.payment
    const intent = idOf(payment?.payment_intent)
    const charge = idOf(payment?.charge)
    if (intent !== null) yield* stripe.refund({ payment_intent: intent }, `refund:${id}`)
    else if (charge !== null) yield* stripe.refund({ charge }, `refund:${id}`)
  })

  const cancelRefunded = Effect.fnUntraced(function* (subscription: StripeSubscription, reason: string) {
    const { id } = subscription
    yield* Effect.logWarning(`Ending subscription ${id}: ${reason}`)
    yield* refundLatest(subscription).pipe(
      // Refunded by hand already, or charged back: the subscription must end nevertheless.
      Effect.catchTag("StripeFailure", (failure) =>
        failure.kind === "refused" ? Effect.logError(`The payment of ${id} could not be refunded`, failure) : Effect.fail(failure)
      )
    )
    yield* cancel(id)
  })

  /** Returns whether it ended any. */
  const end = Effect.fnUntraced(function* (customerId: string, subscriptions: ReadonlyArray<StripeSubscription>) {
    const live = subscriptions
      .filter(({ status }) => isLive(status))
      .toSorted((a, b) => a.created - b.created || a.id.localeCompare(b.id))
    if (live.length === 0) return false
    // Read after Stripe has answered: the user may have been deleted meanwhile.
    const owner = yield* customers.ownerOf(customerId)
    const isDeleted = owner?.isDeleted === true
    const surplus = isDeleted ? live : live.filter(({ status }) => status !== "incomplete").slice(1)
    const unrefunded = isDeleted ? yield* endedWithAccount(owner.userId) : new Set<string>()
    const reason = isDeleted ? "its user was deleted" : "the user has an older subscription"
    for (const subscription of surplus)
      yield* unrefunded.has(subscription.id) ? cancel(subscription.id) : cancelRefunded(subscription, reason)
    return surplus.length > 0
  })

  return { end }
})
