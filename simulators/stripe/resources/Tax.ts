import { makeTaxRegistration, makeTaxSettings } from "../objects/Tax.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { metadata, oneOf, required, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"

/** https://docs.stripe.com/api/tax/settings and https://docs.stripe.com/api/tax/registrations. The rate is the same everywhere. */
export const taxRoutes = [
  route("GET", "/v1/tax/settings", {}, (account) => makeTaxSettings(account.birth())),

  route(
    "GET",
    "/v1/tax/registrations",
    { ...listParameters, status: oneOf("active", "all", "expired", "scheduled") },
    (account, { status, ...cursor }) => {
      const wanted = status === undefined || status === "all"
      const found = account.all("tax.registration").filter((each) => wanted || each.status === status)
      return page("/v1/tax/registrations", found, cursor)
    }
  ),

  route(
    "POST",
    "/v1/tax/registrations",
    { country: required(word), active_from: required(word), country_options: metadata },
    (account, { country }) => account.add(makeTaxRegistration(account.birth(), country))
  )
]
