import type { Account } from "../Account.ts"
import { expireCheckout, pricedCart } from "../billing/Checkout.ts"
import { checkCode } from "../billing/Discounts.ts"
import { daySeconds } from "../objects/Base.ts"
import { makeCheckoutSession, makeLineItem } from "../objects/CheckoutSession.ts"
import type { AppliedCoupon, Trial } from "../State.ts"
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
  subscription_data: hash({
    metadata,
    description: text,
    trial_period_days: integer,
    trial_settings: hash({
      end_behavior: required(hash({ missing_payment_method: required(oneOf("cancel", "create_invoice")) }))
    })
  }),
  allow_promotion_codes: boolean,
  discounts: list(required(hash({ coupon: word, promotion_code: word }))),
  automatic_tax: hash({ enabled: required(boolean) }),
  tax_id_collection: hash({ enabled: required(boolean) }),
  customer_update: hash({ address: oneOf("auto", "never"), name: oneOf("auto", "never") }),
  payment_method_collection: oneOf("always", "if_required"),
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
    const discount = readDiscount(account, input.discounts ?? [], customer?.id ?? null)
    if (discount !== null && input.allow_promotion_codes !== undefined)
      throw invalid("You may only specify one of these parameters: allow_promotion_codes, discounts.", "allow_promotion_codes")
    const taxed = input.automatic_tax?.enabled === true
    if (taxed) requireTax(account, input.customer_update?.address, customer !== undefined)
    const trial = readTrial(input.subscription_data)
    const session = makeCheckoutSession(account.birth(), {
      priced: pricedCart(account, { price, quantity, discount, taxed, trial }),
      discount,
      taxed,
      collectsTaxIds: input.tax_id_collection?.enabled === true,
      cardCollection: input.payment_method_collection ?? "always",
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
      subscriptionDescription: input.subscription_data?.description ?? null,
      discount,
      taxed,
      trial
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

const readDiscount = (
  account: Account,
  given: ReadonlyArray<{ readonly coupon: string | undefined; readonly promotion_code: string | undefined }>,
  customer: string | null
): AppliedCoupon | null => {
  const [first] = given
  if (first === undefined) return null
  if (given.length > 1) throw invalid("You may only specify one discount.", "discounts")
  if (first.promotion_code !== undefined) {
    const param = "discounts[0][promotion_code]"
    return checkCode(account, account.get("promotion_code", first.promotion_code, param), customer, param)
  }
  return { coupon: account.get("coupon", first.coupon ?? "", "discounts[0][coupon]").id, promotionCode: null }
}

/** Automatic tax needs a registration, and an address of the customer that the page may store. */
const requireTax = (account: Account, address: string | undefined, hasCustomer: boolean) => {
  if (account.all("tax.registration").length === 0)
    throw invalid("You have no active tax registrations. Add one to enable automatic tax.", "automatic_tax[enabled]")
  if (hasCustomer && address !== "auto")
    throw invalid(
      "Automatic tax calculation in Checkout requires a valid address on the Customer. Add a valid address or set `customer_update[address]` to 'auto'.",
      "customer_update[address]",
      "customer_tax_location_invalid"
    )
}

const readTrial = (
  data:
    | {
        readonly trial_period_days: number | undefined
        readonly trial_settings:
          | { readonly end_behavior: { readonly missing_payment_method: "cancel" | "create_invoice" } }
          | undefined
      }
    | undefined
): Trial | null => {
  const days = data?.trial_period_days
  if (days === undefined) return null
  if (days < 1 || days > 730) throw invalid("Trial periods have 1 to 730 days.", "subscription_data[trial_period_days]")
  return { days, withoutCard: data?.trial_settings?.end_behavior.missing_payment_method ?? "create_invoice" }
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
