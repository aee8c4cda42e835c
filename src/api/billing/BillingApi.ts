import { Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AdmissionClass, CacheControl, noStore, ShowsPage } from "../Annotations.ts"
import { Authorization } from "../auth/AuthApi.ts"
import { IdempotencyKeyReused, IdempotencyKey, Replayed } from "../Idempotency.ts"
import { times } from "../Examples.ts"
import { describe } from "../Describe.ts"
import { text, Timestamp } from "../Schemas.ts"
import { Cursor, Limit, linkHeader, page } from "../Pagination.ts"
import {
  AlreadySubscribed,
  BillingUnavailable,
  ChangeInPortal,
  CheckoutNotFound,
  EventUnreadable,
  NoCustomer,
  NoSubscription,
  NotCancelling,
  PaymentRequired,
  PendingCancellation,
  PlanNotFound,
  PromotionCodeInvalid,
  SignatureInvalid,
  SubscriptionEnded
} from "./BillingErrors.ts"
import { exampleInvoice, Invoice } from "./Invoice.ts"
import { examplePlan, Interval, PlanInfo } from "./Plan.ts"
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

const plansHeaders = { etag: Schema.String, "cache-control": Schema.Literal("public, max-age=600") }

export const SubscribeBody = Schema.Struct({
  interval: Schema.optionalKey(
    Interval.annotate({ description: "How often to pay; without it, the first that `GET /plans` lists.", examples: ["month"] })
  ),
  promotionCode: Schema.optionalKey(
    text(1, 100).annotate({
      description: "A code that lowers the price. Without it, the page at Stripe has a field for one.",
      examples: ["SPRING"]
    })
  )
}).annotate({ identifier: "Subscribe", examples: [{ interval: "month" }, {}] })
export type SubscribeBody = typeof SubscribeBody.Type

/** What both ways to subscribe have in common. */
const subscribing = {
  headers: IdempotencyKey,
  payload: SubscribeBody,
  success: [
    HttpApiSchema.WithHeaders(Checkout.pipe(HttpApiSchema.status(201)), Replayed),
    HttpApiSchema.WithHeaders(Checkout, Replayed)
  ],
  error: [
    PlanNotFound,
    PromotionCodeInvalid,
    AlreadySubscribed,
    ChangeInPortal,
    PaymentRequired,
    PendingCancellation,
    IdempotencyKeyReused,
    BillingUnavailable
  ]
} as const

export class PlansApi extends HttpApiGroup.make("plans")
  .add(
    HttpApiEndpoint.get("listPlans", "/plans", {
      headers: {
        "if-none-match": Schema.optionalKey(
          Schema.String.annotate({ description: "The `ETag` of the list that the client has.", examples: ['"aB3"'] })
        )
      },
      success: [
        HttpApiSchema.WithHeaders(
          Schema.Struct({ data: Schema.Array(PlanInfo) }).annotate({
            identifier: "PlanList",
            description: "Basic, and the plans that are sold, from the lowest to the highest.",
            examples: [{ data: [examplePlan] }]
          }),
          plansHeaders
        ),
        HttpApiSchema.WithHeaders(
          HttpApiSchema.Empty(304).annotate({ description: "The client's list is up to date." }),
          plansHeaders
        )
      ],
      error: BillingUnavailable
    }).annotateMerge(
      describe(
        "listPlans",
        "List the plans",
        "For everyone: no token is needed. Prices are Stripe's, read at most ten minutes ago. A server without billing has only Basic."
      )
    )
  )
  .annotateMerge(OpenApi.annotations({ title: "Plans", description: "What the server sells." })) {}

export class BillingApi extends HttpApiGroup.make("billing")
  .add(
    HttpApiEndpoint.post("subscribe", "/subscribe/pro", subscribing).annotateMerge(
      describe(
        "subscribe",
        "Subscribe to Pro",
        "Opens a checkout at Stripe. While it is open, another call returns the same checkout with 200. The same as `POST /subscribe/{plan}` with the plan `pro`."
      )
    ),
    HttpApiEndpoint.post("subscribeTo", "/subscribe/:plan", {
      params: { plan: Schema.String.annotate({ description: "The id of a plan of `GET /plans`.", examples: ["pro"] }) },
      ...subscribing
    }).annotateMerge(
      describe(
        "subscribeTo",
        "Subscribe to a plan",
        "Opens a checkout at Stripe. While it is open, another call for the same plan, interval and code returns the same checkout with 200; a call for another one closes it. A number that never had a trial gets the plan's trial. A subscriber changes the plan in the portal."
      )
    ),
    HttpApiEndpoint.get("listInvoices", "/subscription/invoices", {
      query: { limit: Schema.optionalKey(Limit), cursor: Schema.optionalKey(Cursor) },
      success: HttpApiSchema.WithHeaders(page(Invoice, "InvoicePage", exampleInvoice), linkHeader),
      error: [NoCustomer, BillingUnavailable]
    }).annotateMerge(
      describe("listInvoices", "List the invoices", "Newest first, read from Stripe. 404 until the user has opened a checkout.")
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
      describe(
        "openPortal",
        "Open Stripe's customer portal",
        "To change the card or the plan, and for invoices. 404 until the user has opened a checkout."
      )
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
          "Asks Stripe at once instead of waiting for a webhook. Stripe also redirects browsers here: a request without a token that accepts `text/html` is redirected to the front end (303), or without a front end gets a page that shows no data."
        )
      )
      .annotate(ShowsPage, true)
  )
  .middleware(Authorization)
  .annotate(CacheControl, noStore)
  .annotateMerge(
    OpenApi.annotations({
      title: "Billing",
      description: "Plans through Stripe: checkout, subscription, invoices and cancellation."
    })
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
        "Called by Stripe only, which signs the exact bytes of the body. The response is sent after the event is committed; a repeated event has no effect."
      )
    )
  )
  .annotate(AdmissionClass, "webhook")
  .annotateMerge(OpenApi.annotations({ title: "Webhook", description: "Called by Stripe." })) {}
