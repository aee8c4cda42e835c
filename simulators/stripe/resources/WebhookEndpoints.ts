import type { Account } from "../Account.ts"
import { makeId } from "../objects/Base.ts"
import { makeWebhookEndpoint } from "../objects/WebhookEndpoint.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { boolean, list, mergeMetadata, metadata, required, text, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid } from "../wire/StripeError.ts"

export const makeSecret = () => `whsec_${makeId("").slice(1)}`

/** https://docs.stripe.com/api/webhook_endpoints. Only the answer to the creation has the secret. */
export const endpointRoutes = [
  route(
    "POST",
    "/v1/webhook_endpoints",
    { url: required(word), enabled_events: required(list(required(word))), description: text, metadata },
    (account, input) => {
      const secret = makeSecret()
      const endpoint = addEndpoint(account, {
        url: input.url,
        secret,
        enabledEvents: input.enabled_events,
        description: input.description ?? null,
        metadata: mergeMetadata({}, input.metadata)
      })
      return { ...endpoint, secret }
    }
  ),

  route("GET", "/v1/webhook_endpoints", listParameters, (account, input) =>
    page("/v1/webhook_endpoints", account.all("webhook_endpoint"), input)
  ),

  route("GET", "/v1/webhook_endpoints/:id", {}, (account, _input, id) => account.get("webhook_endpoint", id)),

  route(
    "POST",
    "/v1/webhook_endpoints/:id",
    { url: word, enabled_events: list(required(word)), disabled: boolean, description: text, metadata },
    (account, input, id) => {
      const endpoint = account.get("webhook_endpoint", id)
      if (input.url !== undefined) endpoint.url = checkUrl(input.url)
      if (input.enabled_events !== undefined) endpoint.enabled_events = checkEvents(input.enabled_events)
      if (input.disabled !== undefined) endpoint.status = input.disabled ? "disabled" : "enabled"
      if (input.description !== undefined) endpoint.description = input.description
      endpoint.metadata = mergeMetadata(endpoint.metadata, input.metadata)
      return endpoint
    }
  ),

  route("DELETE", "/v1/webhook_endpoints/:id", {}, (account, _input, id) => {
    account.remove(account.get("webhook_endpoint", id))
    delete account.state.secrets[id]
    return { id, object: "webhook_endpoint", deleted: true }
  })
]

interface EndpointInput {
  readonly id?: string | undefined
  readonly url: string
  readonly secret: string
  readonly enabledEvents: ReadonlyArray<string>
  readonly description?: string | null | undefined
  readonly metadata?: Record<string, string> | undefined
}

/** Adds an endpoint with its secret; replaces one of the same id. */
export const addEndpoint = (account: Account, { description = null, metadata = {}, secret, ...input }: EndpointInput) => {
  checkUrl(input.url)
  checkEvents(input.enabledEvents)
  const endpoint = account.add(makeWebhookEndpoint(account.birth(), { ...input, description, metadata }))
  account.state.secrets[endpoint.id] = { current: secret, old: null, oldEndsAt: 0 }
  return endpoint
}

const checkUrl = (url: string) => {
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url
  throw invalid("Invalid URL: An explicit scheme (such as https) must be provided.", "url", "url_invalid")
}

const checkEvents = (types: ReadonlyArray<string>) => {
  if (types.length > 0) return types
  throw invalid("You must enable at least one event.", "enabled_events", "parameter_missing")
}
