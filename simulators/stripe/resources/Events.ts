import type { Account } from "../Account.ts"
import { daySeconds } from "../objects/Base.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { boolean, list, range, required, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid, missingResource } from "../wire/StripeError.ts"

/** Stripe shows events of the last 30 days: https://docs.stripe.com/api/events */
const retentionSeconds = 30 * daySeconds

const filters = { type: word, types: list(required(word)), created: range, delivery_success: boolean }

export const eventRoutes = [
  route("GET", "/v1/events", { ...listParameters, ...filters }, (account, input) => {
    const { created, delivery_success: delivered, type, types } = input
    if (type !== undefined && types !== undefined) throw invalid("You may only specify one of these parameters: type, types.")
    if (types && types.length > 20) throw invalid("You may filter by at most 20 types.", "types")
    const wanted = type === undefined ? types : [type]
    const found = recent(account).filter(
      (event) =>
        (wanted?.some((pattern) => matches(pattern, event.type)) ?? true) &&
        (created?.(event.created) ?? true) &&
        (delivered === undefined || delivered === (event.pending_webhooks === 0))
    )
    return page("/v1/events", found, input)
  }),

  route("GET", "/v1/events/:id", {}, (account, _input, id) => {
    const event = recent(account).find((event) => event.id === id)
    if (!event) throw missingResource("event", id)
    return event
  })
]

const recent = (account: Account) => {
  const oldest = account.now() - retentionSeconds
  return account.all("event").filter(({ created }) => created >= oldest)
}

/** `invoice.paid`, or a group of them: `invoice.*`. */
const matches = (pattern: string, type: string) =>
  pattern === type || (pattern.endsWith("*") && type.startsWith(pattern.slice(0, -1)))
