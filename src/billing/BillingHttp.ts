import { ByteSize, Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import type { CurrentSession } from "../api/auth/User.ts"
import { AppConfig } from "../config/Settings.ts"
import { Cursors } from "../http/Cursors.ts"
import { entityTag, matchingTag } from "../http/EntityTags.ts"
import { Idempotency, replayedHeader } from "../http/Idempotency.ts"
import { newestFirst } from "../http/NewestFirst.ts"
import { isJson, receive } from "../http/RequestGuard.ts"
import { makeBulkhead } from "../ops/Bulkhead.ts"
import { unslotted } from "../ops/RequestSlot.ts"
import { BillingUnavailable } from "../api/billing/BillingErrors.ts"
import type { SubscribeBody } from "../api/billing/BillingApi.ts"
import { Checkout } from "./Checkout.ts"
import { Invoices } from "./Invoices.ts"
import { Membership } from "./Membership.ts"
import { PlanCatalogue } from "./PlanCatalogue.ts"
import { Subscriptions } from "./Subscriptions.ts"
import { Webhook } from "./Webhook.ts"

const maximumEventSize = ByteSize.kibibytes(512)

/** Fails with `BILLING=off`: for the routes that only make sense with Stripe. */
const makeRequireBilling = Effect.gen(function* () {
  const { billing } = yield* AppConfig
  return billing === undefined ? Effect.fail(BillingUnavailable.soon()) : Effect.void
})

/** Less than a handler may take, so that the problem names billing. */
const stripeTimeout = "14 seconds"

/** Requests of one user that use Stripe at the same time, so that no user takes the places of all. */
const calls = { permits: 2, waiting: 30, maxWait: stripeTimeout } as const

/** Runs a call for the user of the request, within the time for Stripe. */
const makeWithStripe = () => {
  const bulkhead = makeBulkhead(calls)
  const unavailable = Effect.fail(BillingUnavailable.soon())
  return <A, E, R>(call: (user: CurrentSession) => Effect.Effect<A, E, R>) =>
    CurrentUser.use((user) =>
      Effect.catchTag(bulkhead.run(user.userId, call(user)), "BulkheadFull", () => unavailable).pipe(
        Effect.timeoutOrElse({ duration: stripeTimeout, orElse: () => unavailable })
      )
    )
}

const BillingRoutes = HttpApiBuilder.group(
  Api,
  "billing",
  Effect.fn(function* (handlers) {
    const checkout = yield* Checkout
    const membership = yield* Membership
    const subscriptions = yield* Subscriptions
    const idempotency = yield* Idempotency
    const requireBilling = yield* makeRequireBilling
    const withStripe = makeWithStripe()
    const invoices = yield* Invoices
    const cursors = yield* Cursors

    const status = CurrentUser.use(subscriptions.status)

    const subscribe = Effect.fnUntraced(function* (plan: string, payload: SubscribeBody, key: string | undefined) {
      yield* requireBilling
      const { replayed, status, value } = yield* withStripe((user) => {
        // Pro goes unnamed, so that a key which the previous release has stored is known again.
        const body = plan === "pro" ? payload : { plan, ...payload }
        const request = { userId: user.userId, route: "subscribe", key, body }
        const opened = Effect.map(checkout.open(user, { plan, ...payload }), ({ isNew, ...value }) => ({
          status: isNew ? 201 : 200,
          value
        }))
        return idempotency.remember(request, opened)
      })
      // A replayed value comes from jsonb, which does not keep the order of members.
      const { checkoutUrl, expiresAt, sessionId } = value
      return HttpServerResponse.jsonUnsafe({ checkoutUrl, sessionId, expiresAt }, { status, headers: replayedHeader(replayed) })
    })

    return handlers.handleAll({
      subscribe: ({ headers, payload }) => subscribe("pro", payload, headers["idempotency-key"]),
      subscribeTo: ({ headers, params, payload }) => subscribe(params.plan, payload, headers["idempotency-key"]),
      listInvoices: Effect.fnUntraced(function* ({ query, request }) {
        yield* requireBilling
        const { userId } = yield* CurrentUser
        return yield* newestFirst(cursors, `invoices:${userId}`, { query, request }, (page) =>
          withStripe((user) => invoices.list(user, page))
        )
      }),
      subscriptionStatus: () => status,
      cancelSubscription: () => Effect.andThen(withStripe(membership.cancel), status),
      reactivateSubscription: () => Effect.andThen(withStripe(membership.reactivate), status),
      openPortal: () => Effect.map(withStripe(membership.portal), (url) => ({ url })),
      billingReturn: ({ query }) =>
        Effect.andThen(
          withStripe((user) => checkout.handleReturn(user, query.session_id)),
          status
        )
    })
  })
)

const PlansRoutes = HttpApiBuilder.group(
  Api,
  "plans",
  Effect.fn(function* (handlers) {
    const catalogue = yield* PlanCatalogue

    return handlers.handleAll({
      listPlans: Effect.fnUntraced(function* ({ headers }) {
        const body = JSON.stringify({ data: yield* catalogue.list })
        const etag = entityTag(body)
        const fresh = { etag, "cache-control": "public, max-age=600" }
        const known = matchingTag(headers["if-none-match"], etag)
        if (known !== undefined) return HttpServerResponse.empty({ status: 304, headers: { ...fresh, etag: known } })
        return HttpServerResponse.text(body, { contentType: "application/json", headers: fresh })
      })
    })
  })
)

const WebhookRoutes = HttpApiBuilder.group(
  Api,
  "webhook",
  Effect.fn(function* (handlers) {
    const webhook = yield* Webhook
    const requireBilling = yield* makeRequireBilling

    return handlers.handleRaw(
      "stripeWebhook",
      Effect.fnUntraced(function* ({ headers, request }) {
        yield* requireBilling
        // A raw handler gets the body whatever its media type is.
        if (!isJson(request.headers["content-type"] ?? "")) return HttpServerResponse.empty({ status: 415 })
        const body = yield* Effect.orDie(receive(request, { maximumBody: maximumEventSize }))
        yield* unslotted(webhook.receive(body, headers["stripe-signature"]))
        return { received: true as const }
      })
    )
  })
)

export const BillingHttp = Layer.mergeAll(PlansRoutes, BillingRoutes, WebhookRoutes)
