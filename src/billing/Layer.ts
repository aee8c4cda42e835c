import { Layer } from "effect"
import { Checkout } from "./Checkout.ts"
import { CheckoutAttempts } from "./CheckoutAttempts.ts"
import { Customers } from "./Customers.ts"
import { Membership } from "./Membership.ts"
import { PendingEvents } from "./PendingEvents.ts"
import { Reconciliation } from "./Reconciliation.ts"
import { Stripe } from "./Stripe.ts"
import { Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"
import { Webhook } from "./Webhook.ts"

/** Subscriptions with Stripe. */
export const BillingLayer = Reconciliation.layer.pipe(
  Layer.provideMerge(Membership.layer),
  Layer.provideMerge(Checkout.layer),
  Layer.provideMerge(Sync.layer),
  Layer.provideMerge([CheckoutAttempts.layer, Customers.layer, PendingEvents.layer, Subscriptions.layer, Webhook.layer]),
  Layer.provideMerge(Stripe.layer)
)
