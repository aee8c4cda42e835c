import type { Account } from "../Account.ts"
import { expireCheckout } from "../billing/Checkout.ts"
import { daySeconds } from "../objects/Base.ts"
import { makeCheckoutSession, makeLineItem } from "../objects/CheckoutSession.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { boolean, hash, integer, list, mergeMetadata, metadata, oneOf, range, required, text, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid } from "../wire/StripeError.ts"

const parameters = {
  mode: required(oneOf("subscription")),
  line_items: required(list(required(hash({ price: required(word), quantity: integer })))),
  success_url: required(word),
  cancel_url: word,
  client_reference_id: word,
  customer: word,
  customer_email: word,
  expires_at: integer,
  subscription_data: hash({ metadata, description: text }),
  allow_promotion_codes: boolean,
  locale: word,
  metadata
}

/** https://docs.stripe.com/api/checkout/sessions, for subscriptions to one price. */
export const checkoutRoutes = [
  route("POST", "/v1/checkout/sessions", parameters, (account, input) => {
    if (input.customer !== undefined && input.customer_email !== undefined)
      throw invalid("You may only specify one of these parameters: customer, customer_email.", "customer_email")
    const { lineItem, price, quantity } = readCart(account, input.line_items)
    const customer = input.customer === undefined ? undefined : account.get("customer", input.customer, "customer")
    const session = makeCheckoutSession(account.birth(), {
      amount: lineItem.amount_total,
      currency: price.currency,
      expiresAt: readExpiry(account, input.expires_at),
      clientReferenceId: input.client_reference_id ?? null,
      customer: customer?.id ?? null,
      customerEmail: customer?.email ?? input.customer_email ?? null,
      locale: input.locale ?? null,
      allowPromotionCodes: input.allow_promotion_codes ?? null,
      successUrl: readUrl(input.success_url, "success_url"),
      cancelUrl: input.cancel_url === undefined ? null : readUrl(input.cancel_url, "cancel_url"),
      metadata: mergeMetadata({}, input.metadata)
    })
    account.state.carts[session.id] = {
      price: price.id,
      quantity,
      lineItem,
      subscriptionMetadata: mergeMetadata({}, input.subscription_data?.metadata),
      subscriptionDescription: input.subscription_data?.description ?? null
    }
    return account.add(session)
  }),

  route(
    "GET",
    "/v1/checkout/sessions",
    { ...listParameters, customer: word, subscription: word, status: oneOf("open", "complete", "expired"), created: range },
    (account, { created, customer, status, subscription, ...cursor }) => {
      const found = account
        .all("checkout.session")
        .filter(
          (session) =>
            (customer ?? session.customer) === session.customer &&
            (subscription ?? session.subscription) === session.subscription &&
            (status ?? session.status) === session.status &&
            (created?.(session.created) ?? true)
        )
      return page("/v1/checkout/sessions", found, cursor)
    }
  ),

  route("GET", "/v1/checkout/sessions/:id", {}, (account, _input, id) => account.get("checkout.session", id)),

  route("POST", "/v1/checkout/sessions/:id/expire", {}, (account, _input, id) => {
    const session = account.get("checkout.session", id)
    expireCheckout(account, session)
    return session
  })
]

const readCart = (account: Account, items: ReadonlyArray<{ readonly price: string; readonly quantity: number | undefined }>) => {
  const [item] = items
  if (!item || items.length > 1) throw invalid("The simulator sells exactly one line item.", "line_items")
  const price = account.get("price", item.price, "line_items[0][price]")
  if (!price.recurring)
    throw invalid("You must provide at least one recurring price in `subscription` mode when using prices.", "line_items")
  if (!price.active)
    throw invalid(`The price specified is inactive. This field only accepts active prices.`, "line_items[0][price]")
  const { quantity } = item
  if (quantity === undefined || quantity < 1)
    throw invalid("Quantity is required. Add `quantity` to `line_items[0]`", "line_items[0][quantity]")
  const name = account.find("product", price.product)?.name ?? price.id
  return { price, quantity, lineItem: makeLineItem(price, quantity, name) }
}

const minuteSeconds = 60
/**
 * 30 minutes to 24 hours from now. Callers use real time, so a simulated clock that was moved moves the expiry, too.
 */
const readExpiry = (account: Account, given: number | undefined): number => {
  if (given === undefined) return account.now() + daySeconds
  const seconds = given - Math.floor(Date.now() / 1000)
  // The request takes time: one second less than 30 minutes is accepted.
  if (seconds < 30 * minuteSeconds - 1)
    throw invalid("The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", "expires_at")
  if (seconds > daySeconds)
    throw invalid("The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", "expires_at")
  return given + Math.round(account.state.offsetMillis / 1000)
}

const readUrl = (url: string, param: string): string => {
  if (/^https?:\/\//.test(url) && URL.canParse(url)) return url
  throw invalid("Not a valid URL", param, "url_invalid")
}
