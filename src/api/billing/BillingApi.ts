import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AdmissionClass, CacheControl, noStore } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { IdempotencyKeyReused, IdempotencyKey, Replayed } from "../Idempotency.ts"
import { times } from "../Examples.ts"
import { describe } from "../Describe.ts"
import { text, Timestamp } from "../Schemas.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  CheckoutNotFound,
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
  checkoutUrl: Schema.String.annotate({ description: "Stripe's page to send the user to.", format: "uri" }),
  sessionId: Schema.String.annotate({ description: "Stripe's id of the checkout." }),
  expiresAt: Timestamp
}).annotate({
  identifier: "Checkout",
  description: "An open checkout: new with 201, the one there was with 200.",
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
      describe("subscribe", "Subscribe to Pro", "While its checkout is open, a repeated call answers 200 with the same.")
    ),
    HttpApiEndpoint.get("subscriptionStatus", "/subscription/status", { success: SubscriptionStatus }).annotateMerge(
      describe(
        "getSubscriptionStatus",
        "Tier, subscription and today's prompts",
        "From our own database: it answers when Stripe does not."
      )
    ),
    HttpApiEndpoint.post("cancelSubscription", "/subscription/cancel", {
      success: SubscriptionStatus,
      error: [NoSubscription, BillingUnavailable]
    }).annotateMerge(
      describe("cancelSubscription", "Let the subscription end with its period", "Pro until then; it can be repeated.")
    ),
    HttpApiEndpoint.post("reactivateSubscription", "/subscription/reactivate", {
      success: SubscriptionStatus,
      error: [NotCancelling, SubscriptionEnded, BillingUnavailable]
    }).annotateMerge(
      describe(
        "reactivateSubscription",
        "Take a pending cancellation back",
        "The subscription goes on as if nothing had been said."
      )
    ),
    HttpApiEndpoint.post("openPortal", "/subscription/portal", {
      success: Schema.Struct({
        url: Schema.String.annotate({ description: "Stripe's page to send the user to.", format: "uri" })
      })
        .annotate({
          identifier: "Portal",
          description: "A session of Stripe's portal.",
          examples: [{ url: "https://billing.stripe.com/p/session/test_ada" }]
        })
        .pipe(HttpApiSchema.status(201)),
      error: [NoCustomer, BillingUnavailable]
    }).annotateMerge(describe("openPortal", "Stripe's page for cards and invoices", "For those who have been to the checkout.")),
    HttpApiEndpoint.get("billingReturn", "/billing/return", {
      query: {
        session_id: text(1, 200).annotate({ description: "Stripe puts it there.", examples: ["cs_test_ada"] })
      },
      success: SubscriptionStatus,
      error: [CheckoutNotFound, BillingUnavailable]
    }).annotateMerge(
      describe("billingReturn", "Back from the checkout", "Asks Stripe at once, so that no webhook has to be waited for.")
    )
  )
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotateMerge(
    OpenApi.annotations({ title: "Billing", description: "Pro through Stripe: the checkout, the subscription, its end." })
  ) {}

/** Optional where it is read, so that a request without one is refused as any other that Stripe did not sign. */
const Signature = Schema.String.annotate({
  description: "Stripe's signature: the time it was made at, and an HMAC-SHA256 of time and body. Good for five minutes.",
  examples: ["t=1795254000,v1=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"]
})

export class WebhookApi extends HttpApiGroup.make("webhook")
  .add(
    HttpApiEndpoint.post("stripeWebhook", "/webhook/stripe", {
      headers: { "stripe-signature": Schema.optionalKey(Signature) },
      payload: StripeEvent,
      success: Schema.Struct({ received: Schema.Literal(true) }).annotate({
        identifier: "Received",
        description: "The event is kept.",
        examples: [{ received: true }]
      }),
      error: [SignatureInvalid, BillingUnavailable]
    }).annotateMerge(
      describe(
        "stripeWebhook",
        "Stripe's events",
        "Stripe is its only caller; the signature is over the exact bytes. Answered once the event is committed; one that comes again changes nothing."
      )
    )
  )
  .annotate(AdmissionClass, "webhook")
  .annotateMerge(OpenApi.annotations({ title: "Webhook", description: "What Stripe calls." })) {}
