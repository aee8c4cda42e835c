import { makePrice, makeProduct } from "../objects/Catalog.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { boolean, hash, integer, list, mergeMetadata, metadata, oneOf, range, required, text, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid, missingParameter } from "../wire/StripeError.ts"

const product = { id: word, name: required(word), description: text, active: boolean, metadata }

const recurring = hash({ interval: required(oneOf("day", "week", "month", "year")), interval_count: integer })

const price = {
  currency: required(word),
  unit_amount: required(integer),
  product: word,
  product_data: hash({ id: word, name: required(word), active: boolean, metadata }),
  recurring,
  active: boolean,
  lookup_key: text,
  nickname: text,
  tax_behavior: oneOf("exclusive", "inclusive", "unspecified"),
  metadata
}

const priceFilters = {
  active: boolean,
  currency: word,
  product: word,
  type: oneOf("one_time", "recurring"),
  lookup_keys: list(required(word)),
  created: range
}

/** https://docs.stripe.com/api/products and https://docs.stripe.com/api/prices */
export const catalogRoutes = [
  route("POST", "/v1/products", product, (account, input) => {
    if (account.find("product", input.id)) throw invalid(`Product already exists.`, "id", "resource_already_exists")
    return account.add(makeProduct(account.birth(), { ...input, metadata: mergeMetadata({}, input.metadata) }), "product.created")
  }),

  route("GET", "/v1/products/:id", {}, (account, _input, id) => account.get("product", id)),

  route("POST", "/v1/prices", price, (account, { product: productId, product_data: data, recurring, ...input }) => {
    if (productId === undefined && data === undefined) throw missingParameter("product")
    if (productId !== undefined) account.get("product", productId, "product")
    const product =
      productId ??
      account.add(
        makeProduct(account.birth(), { name: "", ...data, metadata: mergeMetadata({}, data?.metadata) }),
        "product.created"
      ).id
    const price = makePrice(account.birth(), {
      product,
      currency: input.currency,
      unitAmount: input.unit_amount,
      recurring: recurring ? { interval: recurring.interval, intervalCount: recurring.interval_count ?? 1 } : null,
      active: input.active,
      lookupKey: input.lookup_key,
      nickname: input.nickname,
      taxBehavior: input.tax_behavior,
      metadata: mergeMetadata({}, input.metadata)
    })
    return account.add(price, "price.created")
  }),

  route("GET", "/v1/prices", { ...listParameters, ...priceFilters }, (account, input) => {
    const found = account
      .all("price")
      .filter(
        (price) =>
          (input.active ?? price.active) === price.active &&
          (input.currency ?? price.currency) === price.currency &&
          (input.product ?? price.product) === price.product &&
          (input.type ?? price.type) === price.type &&
          (input.lookup_keys?.includes(price.lookup_key ?? "") ?? true) &&
          (input.created?.(price.created) ?? true)
      )
    return page("/v1/prices", found, input)
  }),

  route("GET", "/v1/prices/:id", {}, (account, _input, id) => account.get("price", id))
]
