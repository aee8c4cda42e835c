import { makePortalSession } from "../objects/PortalSession.ts"
import { required, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"

/** https://docs.stripe.com/api/customer_portal/sessions */
export const portalRoutes = [
  route("POST", "/v1/billing_portal/sessions", { customer: required(word), return_url: word, locale: word }, (account, input) => {
    const { id: customer } = account.get("customer", input.customer, "customer")
    const session = makePortalSession(account.birth(), {
      customer,
      returnUrl: input.return_url ?? null,
      locale: input.locale ?? null
    })
    return account.add(session, "billing_portal.session.created")
  })
]
