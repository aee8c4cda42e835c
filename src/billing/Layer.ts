import { Layer } from "effect"
import { BillingCheck } from "./BillingCheck.ts"
import { Checkout } from "./Checkout.ts"
import { CheckoutAttempts } from "./CheckoutAttempts.ts"
import { Customers } from "./Customers.ts"
import { Invoices } from "./Invoices.ts"
import { Membership } from "./Membership.ts"
import { PendingEvents } from "./PendingEvents.ts"
import { PlanCatalogue } from "./PlanCatalogue.ts"
import { Reconciliation } from "./Reconciliation.ts"
import { Stripe } from "./Stripe.ts"
import { Subscriptions } from "./Subscriptions.ts"
import { Sync } from "./Sync.ts"
import { Trials } from "./Trials.ts"
import { Webhook } from "./Webhook.ts"

/** Subscriptions with Stripe. */
export const BillingLayer = Layer.mergeAll(Reconciliation.layer, PlanCatalogue.layer, BillingCheck.layer, Invoices.layer).pipe(
  Layer.provideMerge(Membership.layer),
  Layer.provideMerge(Checkout.layer),
  Layer.provideMerge(Sync.layer),
  Layer.provideMerge([
    CheckoutAttempts.layer,
    Customers.layer,
    PendingEvents.layer,
    Subscriptions.layer,
    Trials.layer,
    Webhook.layer
  ]),
  Layer.provideMerge(Stripe.layer)
)
