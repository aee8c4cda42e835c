import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AdmissionClass, CacheControl, noStore, ShowsPage } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { IdempotencyKeyReused, IdempotencyKey, Replayed } from "../Idempotency.ts"
import { times } from "../Examples.ts"
import { describe } from "../Describe.ts"
import { text, Timestamp } from "../Schemas.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  CheckoutNotFound,
  EventUnreadable,
  NoCustomer,
  NoSubscription,
  NotCancelling,
  PaymentRequired,
  PendingCancellation,
  SignatureInvalid,
  SubscriptionEnded
} from "./BillingErrors.ts"
import { StripeEvent } from "./StripeEvent.ts"
import { SubscriptionStatus } from "./Subscription.ts"

const Checkout = Schema.Struct({
  checkoutUrl: Schema.String.annotate({ description: "The page at Stripe to send the user to.", format: "uri" }),
  sessionId: Schema.String.annotate({ description: "The id of the checkout session at Stripe." }),
  expiresAt: Timestamp
}).annotate({
  identifier: "Checkout",
  description: "An open checkout: a new one with 201, the one that was open with 200.",
  examples: [
    {
      checkoutUrl: "https://checkout.stripe.com/c/pay/cs_test_ada",
      sessionId: "cs_test_ada",
      expiresAt: times.checkoutExpires
    }
  ]
})

export class BillingApi extends HttpApiGroup.make("billing")
  .add(
    HttpApiEndpoint.post("subscribe", "/subscribe/pro", {
      headers: IdempotencyKey,
      success: [
        HttpApiSchema.WithHeaders(Checkout.pipe(HttpApiSchema.status(201)), Replayed),
        HttpApiSchema.WithHeaders(Checkout, Replayed)
      ],
      error: [AlreadySubscribed, PaymentRequired, PendingCancellation, IdempotencyKeyReused, BillingUnavailable]
    }).annotateMerge(
      describe(
        "subscribe",
        "Subscribe to Pro",
        "Opens a checkout at Stripe. While it is open, another call returns the same one with 200."
      )
    ),
    HttpApiEndpoint.get("subscriptionStatus", "/subscription/status", { success: SubscriptionStatus }).annotateMerge(
      describe(
        "getSubscriptionStatus",
        "Get the tier, the subscription and today's prompts",
        "Read from the server's database, so it works when Stripe does not."
      )
    ),
    HttpApiEndpoint.post("cancelSubscription", "/subscription/cancel", {
      success: SubscriptionStatus,
      error: [NoSubscription, BillingUnavailable]
    }).annotateMerge(
      describe("cancelSubscription", "Cancel at the end of the period", "Pro until then. Repeating it changes nothing.")
    ),
    HttpApiEndpoint.post("reactivateSubscription", "/subscription/reactivate", {
      success: SubscriptionStatus,
      error: [NotCancelling, SubscriptionEnded, BillingUnavailable]
    }).annotateMerge(describe("reactivateSubscription", "Undo a pending cancellation", "The subscription renews as before.")),
    HttpApiEndpoint.post("openPortal", "/subscription/portal", {
      success: Schema.Struct({
        url: Schema.String.annotate({ description: "The page at Stripe to send the user to.", format: "uri" })
      })
        .annotate({
          identifier: "Portal",
          description: "A session of Stripe's customer portal.",
          examples: [{ url: "https://billing.stripe.com/p/session/test_ada" }]
        })
        .pipe(HttpApiSchema.status(201)),
      error: [NoCustomer, BillingUnavailable]
    }).annotateMerge(
      describe("openPortal", "Open Stripe's customer portal", "For cards and invoices. 404 until the user has opened a checkout.")
    ),
    HttpApiEndpoint.get("billingReturn", "/billing/return", {
      query: {
        session_id: text(1, 200).annotate({
          description: "The id of the checkout session; Stripe adds it to the URL.",
          examples: ["cs_test_ada"]
        })
      },
      success: SubscriptionStatus,
      error: [CheckoutNotFound, BillingUnavailable]
    })
      .annotateMerge(
        describe(
          "billingReturn",
          "Return from the checkout",
          "Asks Stripe at once instead of waiting for a webhook. This is also where Stripe sends people back to: a browser, which accepts `text/html` and has no token, is led to the front end (303), or without one gets a page that shows no data."
        )
      )
      .annotate(ShowsPage, true)
  )
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotateMerge(
    OpenApi.annotations({ title: "Billing", description: "Pro through Stripe: checkout, subscription and cancellation." })
  ) {}

/** Optional in the schema, so that a request without it gets `signature_invalid`. */
const Signature = Schema.String.annotate({
  description: "Stripe's signature: a timestamp, and an HMAC-SHA256 of timestamp and body. Valid for five minutes.",
  examples: ["t=1795254000,v1=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"]
})

export class WebhookApi extends HttpApiGroup.make("webhook")
  .add(
    HttpApiEndpoint.post("stripeWebhook", "/webhook/stripe", {
      headers: { "stripe-signature": Schema.optionalKey(Signature) },
      payload: StripeEvent,
      success: Schema.Struct({ received: Schema.Literal(true) }).annotate({
        identifier: "Received",
        description: "The event is stored.",
        examples: [{ received: true }]
      }),
      error: [SignatureInvalid, EventUnreadable, BillingUnavailable]
    }).annotateMerge(
      describe(
        "stripeWebhook",
        "Receive an event from Stripe",
        "Called by Stripe only, which signs the exact bytes of the body. Answered once the event is committed; a repeated event changes nothing."
      )
    )
  )
  .annotate(AdmissionClass, "webhook")
  .annotateMerge(OpenApi.annotations({ title: "Webhook", description: "Called by Stripe." })) {}
