import { ByteSize, Effect, Layer } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Api } from "../api/Api.ts"
import { CurrentUser } from "../api/auth/AuthApi.ts"
import { AppConfig } from "../config/Settings.ts"
import { Idempotency } from "../http/Idempotency.ts"
import { isJson, receive } from "../http/RequestGuard.ts"
import { unslotted } from "../ops/RequestSlot.ts"
import { BillingUnavailable } from "../api/billing/BillingErrors.ts"
import { Checkout } from "./Checkout.ts"
import { Membership } from "./Membership.ts"
import { Subscriptions } from "./Subscriptions.ts"
import { Webhook } from "./Webhook.ts"

/** An event's largest size. */
const maximumEvent = ByteSize.kibibytes(512)

/** With BILLING=off whatever would need Stripe is not available; the status still tells the tier. */
const whenOn = Effect.gen(function* () {
  const { billing } = yield* AppConfig
  return billing === undefined ? Effect.fail(BillingUnavailable.soon()) : Effect.void
})

/** Before the request's own time is over, Stripe's is: what failed is said, and who waited can come again. */
const inTime = Effect.timeoutOrElse({ duration: "14 seconds", orElse: () => Effect.fail(BillingUnavailable.soon()) })

const BillingRoutes = HttpApiBuilder.group(
  Api,
  "billing",
  Effect.fn(function* (handlers) {
    const checkout = yield* Checkout
    const membership = yield* Membership
    const subscriptions = yield* Subscriptions
    const idempotency = yield* Idempotency
    const isOn = yield* whenOn

    return handlers.handleAll({
      subscribe: Effect.fnUntraced(function* ({ headers }) {
        yield* isOn
        const user = yield* CurrentUser
        const request = { userId: user.userId, route: "subscribe", key: headers["idempotency-key"], body: {} }
        const opened = Effect.map(checkout.open(user), ({ isNew, ...value }) => ({ status: isNew ? 201 : 200, value }))
        const { replayed, status, value } = yield* inTime(idempotency.remember(request, opened))
        const { checkoutUrl, expiresAt, sessionId } = value
        // In this order also from the store, which has its own.
        return HttpServerResponse.jsonUnsafe(
          { checkoutUrl, sessionId, expiresAt },
          { status, headers: replayed ? { "idempotent-replayed": "true" } : {} }
        )
      }),
      subscriptionStatus: () => CurrentUser.use(subscriptions.status),
      cancelSubscription: Effect.fnUntraced(function* () {
        const user = yield* CurrentUser
        yield* inTime(membership.cancel(user))
        return yield* subscriptions.status(user)
      }),
      reactivateSubscription: Effect.fnUntraced(function* () {
        const user = yield* CurrentUser
        yield* inTime(membership.reactivate(user))
        return yield* subscriptions.status(user)
      }),
      openPortal: Effect.fnUntraced(function* () {
        return { url: yield* inTime(membership.portal(yield* CurrentUser)) }
      }),
      billingReturn: Effect.fnUntraced(function* ({ query }) {
        const user = yield* CurrentUser
        yield* inTime(checkout.returned(user, query.session_id))
        return yield* subscriptions.status(user)
      })
    })
  })
)

const WebhookRoutes = HttpApiBuilder.group(
  Api,
  "webhook",
  Effect.fn(function* (handlers) {
    const webhook = yield* Webhook
    const isOn = yield* whenOn

    return handlers.handleRaw(
      "stripeWebhook",
      Effect.fnUntraced(function* ({ headers, request }) {
        yield* isOn
        // Raw bytes are taken as they come, so the media type is looked at here.
        if (!isJson(request.headers["content-type"] ?? "")) return HttpServerResponse.empty({ status: 415 })
        const body = yield* Effect.orDie(receive(request, maximumEvent))
        yield* unslotted(webhook.receive(body, headers["stripe-signature"]))
        return { received: true as const }
      })
    )
  })
)

export const BillingHttp = Layer.mergeAll(BillingRoutes, WebhookRoutes)
