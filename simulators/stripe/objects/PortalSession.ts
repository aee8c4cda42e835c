import { type Birth, makeId } from "./Base.ts"

export type PortalSession = ReturnType<typeof makePortalSession>

/** https://docs.stripe.com/api/customer_portal/sessions/object */
export const makePortalSession = (
  { created, livemode, url }: Birth,
  input: {
    readonly customer: string
    readonly configuration: string
    readonly returnUrl: string | null
    readonly locale: string | null
  }
) => {
  const id = makeId("bps")
  return {
    id,
    object: "billing_portal.session" as const,
    configuration: input.configuration,
    created,
    customer: input.customer,
    customer_account: null,
    flow: null,
    livemode,
    locale: input.locale,
    on_behalf_of: null,
    return_url: input.returnUrl,
    url: `${url}/portal/${id}`
  }
}
