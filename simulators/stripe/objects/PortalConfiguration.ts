import { type Birth, makeId } from "./Base.ts"

export type PortalConfiguration = ReturnType<typeof makePortalConfiguration>

interface Input {
  /** The prices that a subscriber may change to, by product. */
  readonly products: ReadonlyArray<{ readonly product: string; readonly prices: ReadonlyArray<string> }>
  readonly prorationBehavior: "always_invoice" | "create_prorations" | "none"
  readonly trialUpdateBehavior: "continue_trial" | "end_trial"
  readonly allowedUpdates: ReadonlyArray<string>
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/customer_portal/configurations/object */
export const makePortalConfiguration = ({ created, livemode }: Birth, input: Input) => ({
  id: makeId("bpc"),
  object: "billing_portal.configuration" as const,
  active: true,
  application: null,
  business_profile: { headline: null, privacy_policy_url: null, terms_of_service_url: null },
  created,
  default_return_url: null,
  features: {
    customer_update: { allowed_updates: ["address", "email", "name", "tax_id"], enabled: true },
    invoice_history: { enabled: true },
    payment_method_update: { enabled: true, payment_method_configuration: null },
    subscription_cancel: {
      cancellation_reason: { enabled: false, feedback_options: null, options: [] },
      enabled: true,
      mode: "at_period_end",
      proration_behavior: "none"
    },
    subscription_pause: { duration: { interval_options: [], type: "indefinite" }, enabled: false },
    subscription_update: {
      billing_cycle_anchor: null,
      default_allowed_updates: [...input.allowedUpdates],
      enabled: input.products.length > 0,
      products: input.products.map(({ prices, product }) => ({
        adjustable_quantity: { enabled: false, maximum: null, minimum: 1 },
        prices: [...prices],
        product
      })),
      proration_behavior: input.prorationBehavior,
      schedule_at_period_end: { conditions: [] },
      trial_update_behavior: input.trialUpdateBehavior
    }
  },
  is_default: false,
  livemode,
  login_page: { enabled: false, url: null },
  metadata: input.metadata,
  name: null,
  updated: created
})
