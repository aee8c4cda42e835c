import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../auth/AuthApi.ts"
import { IdempotencyKeyReused } from "../chat/ChatErrors.ts"
import { describe } from "../http/Describe.ts"
import { text, Timestamp } from "../Text.ts"
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
import { SubscriptionStatus } from "./Subscription.ts"

const Checkout = Schema.Struct({
  checkoutUrl: Schema.String.annotate({ description: "Stripe's page to send the user to." }),
  sessionId: Schema.String,
  expiresAt: Timestamp
}).annotate({ identifier: "Checkout" })

export class BillingApi extends HttpApiGroup.make("billing")
  .add(
    HttpApiEndpoint.post("subscribe", "/subscribe/pro", {
      headers: { "idempotency-key": Schema.optionalKey(text(1, 255)) },
      success: [Checkout.pipe(HttpApiSchema.status(201)), Checkout],
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
    }).annotateMerge(describe("cancelSubscription", "Let the subscription end with its period")),
    HttpApiEndpoint.post("reactivateSubscription", "/subscription/reactivate", {
      success: SubscriptionStatus,
      error: [NotCancelling, SubscriptionEnded, BillingUnavailable]
    }).annotateMerge(describe("reactivateSubscription", "Take a pending cancellation back")),
    HttpApiEndpoint.post("openPortal", "/subscription/portal", {
      success: Schema.Struct({ url: Schema.String }).annotate({ identifier: "Portal" }).pipe(HttpApiSchema.status(201)),
      error: [NoCustomer, BillingUnavailable]
    }).annotateMerge(describe("openPortal", "Stripe's page for cards and invoices")),
    HttpApiEndpoint.get("billingReturn", "/billing/return", {
      query: { session_id: text(1, 200) },
      success: SubscriptionStatus,
      error: [CheckoutNotFound, BillingUnavailable]
    }).annotateMerge(
      describe("billingReturn", "Back from the checkout", "Asks Stripe at once, so that no webhook has to be waited for.")
    )
  )
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Billing", description: "Pro through Stripe." })) {}

export class WebhookApi extends HttpApiGroup.make("webhook")
  .add(
    HttpApiEndpoint.post("stripeWebhook", "/webhook/stripe", {
      headers: { "stripe-signature": Schema.optionalKey(Schema.String) },
      payload: Schema.Uint8Array.pipe(HttpApiSchema.asUint8Array({ contentType: "application/json" })),
      success: Schema.Struct({ received: Schema.Literal(true) }).annotate({ identifier: "Received" }),
      error: [SignatureInvalid, BillingUnavailable]
    }).annotateMerge(
      describe("stripeWebhook", "Stripe's events", "Stripe is its only caller; the signature is over the exact bytes.")
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Webhook" })) {}
