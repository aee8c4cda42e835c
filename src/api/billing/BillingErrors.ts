import { Schema } from "effect"
import { HttpApiError } from "effect/http-api"
import { problem, retryAfter } from "../Problem.ts"

const invoiceUrl = Schema.NullOr(Schema.String).annotate({
  description: "The page where the open invoice can be paid.",
  examples: ["https://invoice.stripe.com/i/acct_1/test_ada"]
})

export class AlreadySubscribed extends HttpApiError.Problem<AlreadySubscribed>()(
  "AlreadySubscribed",
  ...problem("already_subscribed", 409, "The user is already subscribed")
) {}

export class PaymentRequired extends HttpApiError.Problem<PaymentRequired>()(
  "PaymentRequired",
  ...problem("payment_required", 409, "The invoice of the user's subscription must be paid first", { invoiceUrl })
) {}

export class PendingCancellation extends HttpApiError.Problem<PendingCancellation>()(
  "PendingCancellation",
  ...problem("pending_cancellation", 409, "The user's subscription is set to end; reactivate it instead")
) {}

/** The user has another plan, or pays for it at another interval. */
export class ChangeInPortal extends HttpApiError.Problem<ChangeInPortal>()(
  "ChangeInPortal",
  ...problem("change_in_portal", 409, "The user has another plan; change it in the customer portal")
) {}

export class PlanNotFound extends HttpApiError.Problem<PlanNotFound>()(
  "PlanNotFound",
  ...problem("plan_not_found", 404, "The plan does not exist")
) {}

export class PromotionCodeInvalid extends HttpApiError.Problem<PromotionCodeInvalid>()(
  "PromotionCodeInvalid",
  ...problem("promotion_code_invalid", 400, "The promotion code is unknown, has ended, or is not for this user or plan")
) {}

export class NoSubscription extends HttpApiError.Problem<NoSubscription>()(
  "NoSubscription",
  ...problem("no_subscription", 404, "The user has no subscription")
) {}

export class NotCancelling extends HttpApiError.Problem<NotCancelling>()(
  "NotCancelling",
  ...problem("not_cancelling", 409, "The subscription is not set to end")
) {}

export class SubscriptionEnded extends HttpApiError.Problem<SubscriptionEnded>()(
  "SubscriptionEnded",
  ...problem("subscription_ended", 409, "The subscription has ended; subscribe again")
) {}

export class NoCustomer extends HttpApiError.Problem<NoCustomer>()(
  "NoCustomer",
  ...problem("no_customer", 404, "The user has never opened a checkout")
) {}

export class CheckoutNotFound extends HttpApiError.Problem<CheckoutNotFound>()(
  "CheckoutNotFound",
  ...problem("checkout_not_found", 404, "Checkout session not found")
) {}

export class SignatureInvalid extends HttpApiError.Problem<SignatureInvalid>()(
  "SignatureInvalid",
  ...problem("signature_invalid", 400, "The event is not signed by Stripe for this endpoint")
) {}

/** Signed, but a thin event or another body: the endpoint at Stripe is set up for the wrong payload. */
export class EventUnreadable extends HttpApiError.Problem<EventUnreadable>()(
  "EventUnreadable",
  ...problem("event_unreadable", 400, "The body is signed, but it is not a snapshot event of Stripe")
) {}

/** Stripe does not answer, or billing is off. */
export class BillingUnavailable extends HttpApiError.Problem<BillingUnavailable>()(
  "BillingUnavailable",
  ...problem("billing_unavailable", 503, "Billing is unavailable", retryAfter)
) {
  static readonly soon = () => new BillingUnavailable({ retryAfter: 5 })
}
