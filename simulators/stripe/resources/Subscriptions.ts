import { setStatus } from "../billing/Collection.ts"
import { creditUnusedTime, endSubscription, hasEnded, scheduleCancel } from "../billing/Ending.ts"
import { changePrice } from "../billing/Changing.ts"
import { cardOf, resumeSubscription, startSubscription } from "../billing/Subscribing.ts"
import { itemOf, type Subscription } from "../objects/Subscription.ts"
import { listParameters, page } from "../wire/Listing.ts"
import {
  boolean,
  clearableInteger,
  hash,
  integer,
  list,
  mergeMetadata,
  metadata,
  oneOf,
  range,
  type Reader,
  required,
  text,
  word
} from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid, missingResource, StripeError } from "../wire/StripeError.ts"

const statuses = ["active", "past_due", "unpaid", "canceled", "incomplete", "incomplete_expired", "trialing", "paused"] as const

const creation = {
  customer: required(word),
  items: required(list(required(hash({ price: required(word), quantity: integer })))),
  payment_behavior: oneOf("allow_incomplete", "default_incomplete", "error_if_incomplete"),
  description: text,
  metadata
}

/** They all mean the same for a subscription with one item. */
const periodEnds: ReadonlyArray<string> = ["min_period_end", "max_period_end", "max_billed_until"]

/** A timestamp, `''` to clear, or a word for the end of the period. */
const cancelAt: Reader<number | "period_end" | null | undefined> = (value, name) =>
  typeof value === "string" && periodEnds.includes(value) ? "period_end" : clearableInteger(value, name)

const cancellationDetails = hash({
  comment: text,
  feedback: oneOf(
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused"
  )
})

const update = {
  items: list(required(hash({ id: word, price: word }))),
  cancel_at: cancelAt,
  cancel_at_period_end: boolean,
  cancellation_details: cancellationDetails,
  proration_behavior: oneOf("always_invoice", "create_prorations", "none"),
  description: text,
  metadata
}

/** https://docs.stripe.com/api/subscriptions */
export const subscriptionRoutes = [
  route("POST", "/v1/subscriptions", creation, (account, { customer, items, payment_behavior: behavior, ...input }) => {
    const [item] = items
    if (!item || items.length > 1) throw invalid("The simulator's subscriptions have exactly one item.", "items")
    account.get("customer", customer, "customer")
    const price = account.get("price", item.price, "items[0][price]")
    if (!price.recurring)
      throw invalid(
        "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
        "items[0][price]"
      )
    const card = cardOf(account, customer)
    if (behavior === "error_if_incomplete" && card !== "good")
      throw new StripeError(402, "Your card was declined.", {
        type: "card_error",
        code: "card_declined",
        decline_code: card === "declines" || card === "none" ? "generic_decline" : card
      })
    return startSubscription(account, {
      customer,
      price,
      quantity: item.quantity ?? 1,
      description: input.description,
      metadata: mergeMetadata({}, input.metadata),
      means: behavior === "default_incomplete" ? null : card
    })
  }),

  route(
    "GET",
    "/v1/subscriptions",
    { ...listParameters, customer: word, price: word, status: oneOf(...statuses, "all", "ended"), created: range },
    (account, { created, customer, price, status, ...cursor }) => {
      const found = account
        .all("subscription")
        .filter(
          (subscription) =>
            (customer ?? subscription.customer) === subscription.customer &&
            (price ?? itemOf(subscription).price.id) === itemOf(subscription).price.id &&
            hasStatus(subscription, status) &&
            (created?.(subscription.created) ?? true)
        )
      return page("/v1/subscriptions", found, cursor)
    }
  ),

  route("GET", "/v1/subscriptions/:id", {}, (account, _input, id) => account.get("subscription", id)),

  route("POST", "/v1/subscriptions/:id", update, (account, input, id) => {
    const subscription = account.get("subscription", id)
    const { cancel_at: when, cancel_at_period_end: atPeriodEnd, cancellation_details: details } = input
    if (when !== undefined && atPeriodEnd !== undefined)
      throw invalid("You may only specify one of these parameters: cancel_at, cancel_at_period_end.", "cancel_at")
    if (hasEnded(subscription) && (when !== undefined || atPeriodEnd !== undefined || input.description !== undefined))
      throw invalid("A canceled subscription can only update its cancellation_details and metadata.")
    if (typeof when === "number" && when <= account.now())
      throw invalid("`cancel_at` must be a timestamp in the future.", "cancel_at")
    const [item] = input.items ?? []
    if (item?.id !== undefined && item.id !== itemOf(subscription).id)
      throw missingResource("subscription_item", item.id, "items[0][id]", 400)
    if (item?.price !== undefined) changePrice(account, subscription, account.get("price", item.price, "items[0][price]"))
    account.change(subscription, "customer.subscription.updated", () => {
      if (atPeriodEnd !== undefined) scheduleCancel(account, subscription, { cancel_at_period_end: atPeriodEnd })
      if (when !== undefined)
        scheduleCancel(account, subscription, {
          cancel_at: when === "period_end" ? itemOf(subscription).current_period_end : when
        })
      if (input.description !== undefined) subscription.description = input.description
      subscription.metadata = mergeMetadata(subscription.metadata, input.metadata)
      addDetails(subscription, details)
    })
    return subscription
  }),

  route(
    "DELETE",
    "/v1/subscriptions/:id",
    { invoice_now: boolean, prorate: boolean, cancellation_details: cancellationDetails },
    (account, input, id) => {
      const subscription = account.get("subscription", id)
      if (hasEnded(subscription)) throw missingResource("subscription", id)
      addDetails(subscription, input.cancellation_details)
      if (input.prorate === true && input.invoice_now === true && subscription.status === "active")
        creditUnusedTime(account, subscription)
      endSubscription(account, subscription, "cancellation_requested")
      return subscription
    }
  ),

  route(
    "POST",
    "/v1/subscriptions/:id/resume",
    {
      billing_cycle_anchor: hash({ type: required(oneOf("now", "unchanged")) }),
      payment_behavior: oneOf("resume_on_payment_attempt", "resume_on_payment_success"),
      proration_behavior: oneOf("always_invoice", "create_prorations", "none")
    },
    (account, { billing_cycle_anchor: anchor, payment_behavior: behavior }, id) => {
      const subscription = account.get("subscription", id)
      if (subscription.status !== "paused") throw invalid("Only subscriptions with status `paused` can be resumed.")
      if (anchor?.type === "unchanged") setStatus(account, subscription, "active")
      else resumeSubscription(account, subscription, behavior === "resume_on_payment_success")
      return subscription
    }
  )
]

/** Without a wanted status: every subscription that is not canceled. */
const hasStatus = (subscription: Subscription, wanted: string | undefined) =>
  wanted === "all" ||
  (wanted === "ended"
    ? hasEnded(subscription)
    : wanted === undefined
      ? subscription.status !== "canceled"
      : subscription.status === wanted)

const addDetails = (
  { cancellation_details: details }: Subscription,
  input: { readonly comment: string | null | undefined; readonly feedback: string | undefined } | undefined
) => {
  if (input?.comment !== undefined) details.comment = input.comment
  if (input?.feedback !== undefined) details.feedback = input.feedback
}
