import { type Birth, initially, makeId } from "./Base.ts"

export type Customer = ReturnType<typeof makeCustomer>

interface CustomerInput {
  readonly email?: string | null | undefined
  readonly name?: string | null | undefined
  readonly phone?: string | null | undefined
  readonly description?: string | null | undefined
  readonly metadata: Record<string, string>
}

/** https://docs.stripe.com/api/customers/object */
export const makeCustomer = ({ created, livemode }: Birth, input: CustomerInput) => ({
  id: makeId("cus"),
  object: "customer" as const,
  address: null,
  balance: 0,
  created,
  currency: initially<string | null>(null),
  default_source: null,
  delinquent: false,
  description: input.description ?? null,
  discount: null,
  email: input.email ?? null,
  invoice_prefix: makeId("").slice(1, 9).toUpperCase(),
  invoice_settings: {
    custom_fields: null,
    default_payment_method: initially<string | null>(null),
    footer: null,
    rendering_options: null
  },
  livemode,
  metadata: input.metadata,
  name: input.name ?? null,
  next_invoice_sequence: 1,
  phone: input.phone ?? null,
  preferred_locales: [],
  shipping: null,
  tax_exempt: "none",
  test_clock: null
})
