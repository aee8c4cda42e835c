import type { Stripe as Sdk } from "stripe"

/** The prices of a product that subscribers may change to. */
export interface OfferedProduct {
  readonly product: string
  readonly prices: Array<string>
}

/** The metadata that marks a configuration of the portal as the one for these prices. */
export const configurationMark = "chat_backend_prices"

/** Subscribers may change to each price that is sold. A change is paid or credited at once, and ends a trial. */
export const portalFeatures = (
  products: ReadonlyArray<OfferedProduct>
): Sdk.BillingPortal.ConfigurationCreateParams["features"] => ({
  customer_update: { enabled: true, allowed_updates: ["address", "email", "name", "tax_id"] },
  invoice_history: { enabled: true },
  payment_method_update: { enabled: true },
  subscription_cancel: { enabled: true, mode: "at_period_end" },
  subscription_update: {
    enabled: true,
    default_allowed_updates: ["price", "promotion_code"],
    products: [...products],
    proration_behavior: "always_invoice",
    trial_update_behavior: "end_trial"
  }
})
