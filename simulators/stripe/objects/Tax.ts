import { type Birth, makeId } from "./Base.ts"

export type TaxRegistration = ReturnType<typeof makeTaxRegistration>

/** https://docs.stripe.com/api/tax/registrations/object */
export const makeTaxRegistration = ({ created, livemode }: Birth, country: string) => ({
  id: makeId("taxreg"),
  object: "tax.registration" as const,
  active_from: created,
  country,
  country_options: {},
  created,
  expires_at: null,
  livemode,
  status: "active"
})

/** https://docs.stripe.com/api/tax/settings/object */
export const makeTaxSettings = ({ livemode }: Birth) => ({
  object: "tax.settings" as const,
  defaults: { provider: "stripe", tax_behavior: null, tax_code: null },
  head_office: {
    address: { city: null, country: "US", line1: "1 Main Street", line2: null, postal_code: "94107", state: "CA" }
  },
  livemode,
  status: "active",
  status_details: { active: {} }
})

/** The `automatic_tax` of an object with automatic tax. */
export const automaticTaxOn = () => ({
  disabled_reason: null,
  enabled: true,
  liability: { type: "self" },
  provider: "stripe",
  status: "complete"
})
