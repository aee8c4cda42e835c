import { makePortalConfiguration } from "../objects/PortalConfiguration.ts"
import { makePortalSession } from "../objects/PortalSession.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { boolean, hash, list, mergeMetadata, metadata, oneOf, required, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid } from "../wire/StripeError.ts"

const switched = hash({ enabled: required(boolean) })

const features = hash({
  customer_update: hash({ enabled: required(boolean), allowed_updates: list(required(word)) }),
  invoice_history: switched,
  payment_method_update: switched,
  subscription_cancel: hash({ enabled: required(boolean), mode: oneOf("at_period_end", "immediately") }),
  subscription_update: hash({
    enabled: required(boolean),
    default_allowed_updates: list(required(oneOf("price", "promotion_code", "quantity"))),
    products: list(required(hash({ product: required(word), prices: required(list(required(word))) }))),
    proration_behavior: oneOf("always_invoice", "create_prorations", "none"),
    trial_update_behavior: oneOf("continue_trial", "end_trial")
  })
})

/** https://docs.stripe.com/api/customer_portal/sessions and https://docs.stripe.com/api/customer_portal/configurations */
export const portalRoutes = [
  route(
    "POST",
    "/v1/billing_portal/sessions",
    { customer: required(word), configuration: word, return_url: word, locale: word },
    (account, input) => {
      const { id: customer } = account.get("customer", input.customer, "customer")
      const configuration =
        input.configuration === undefined
          ? "bpc_simulated"
          : account.get("billing_portal.configuration", input.configuration, "configuration").id
      const session = makePortalSession(account.birth(), {
        customer,
        configuration,
        returnUrl: input.return_url ?? null,
        locale: input.locale ?? null
      })
      return account.add(session, "billing_portal.session.created")
    }
  ),

  route(
    "POST",
    "/v1/billing_portal/configurations",
    { features: required(features), metadata },
    (account, { features: { subscription_update: update }, metadata: given }) => {
      const products = update?.products ?? []
      for (const { prices, product } of products) {
        const found = prices.map((id) => account.get("price", id, "features[subscription_update][products]"))
        if (found.some((price) => price.product !== product)) throw invalid("The price belongs to another product.")
        const intervals = found.map((price) => price.recurring?.interval)
        if (new Set(intervals).size < intervals.length)
          throw invalid("The prices of a product must have different intervals.", "features[subscription_update][products]")
      }
      const configuration = makePortalConfiguration(account.birth(), {
        products,
        prorationBehavior: update?.proration_behavior ?? "none",
        trialUpdateBehavior: update?.trial_update_behavior ?? "end_trial",
        allowedUpdates: update?.default_allowed_updates ?? [],
        metadata: mergeMetadata({}, given)
      })
      return account.add(configuration, "billing_portal.configuration.created")
    }
  ),

  route("GET", "/v1/billing_portal/configurations", { ...listParameters, active: boolean }, (account, { active, ...cursor }) => {
    const found = account.all("billing_portal.configuration").filter((each) => (active ?? each.active) === each.active)
    return page("/v1/billing_portal/configurations", found, cursor)
  })
]
