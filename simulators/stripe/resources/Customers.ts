import type { Account } from "../Account.ts"
import { endSubscription, hasEnded } from "../billing/Ending.ts"
import { type Customer, makeCustomer } from "../objects/Customer.ts"
import { deletedCustomer } from "../wire/Expand.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { hash, mergeMetadata, metadata, range, text, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { invalid } from "../wire/StripeError.ts"

const fields = {
  email: text,
  name: text,
  phone: text,
  description: text,
  metadata,
  invoice_settings: hash({ default_payment_method: text })
}

/** As strict as Stripe: text before and after one `@`. */
const checkEmail = (email: string | null | undefined) => {
  if (typeof email === "string" && !/^[^@\s]+@[^@\s]+$/.test(email))
    throw invalid(`Invalid email address: ${email}`, "email", "email_invalid")
}

/** https://docs.stripe.com/api/customers */
export const customerRoutes = [
  route("POST", "/v1/customers", fields, (account, input) => {
    checkEmail(input.email)
    const customer = makeCustomer(account.birth(), { ...input, metadata: mergeMetadata({}, input.metadata) })
    return account.add(customer, "customer.created")
  }),

  route("GET", "/v1/customers", { ...listParameters, email: word, created: range }, (account, { created, email, ...cursor }) => {
    const found = account
      .all("customer")
      .filter((customer) => (email === undefined || customer.email === email) && (created?.(customer.created) ?? true))
    return page("/v1/customers", found, cursor)
  }),

  route("GET", "/v1/customers/:id", {}, (account, _input, id) =>
    account.state.deletedCustomers[id] ? deletedCustomer(id) : account.get("customer", id)
  ),

  route("POST", "/v1/customers/:id", fields, (account, input, id) => {
    checkEmail(input.email)
    const customer = account.get("customer", id)
    account.change(customer, "customer.updated", () => update(customer, input))
    return customer
  }),

  route("DELETE", "/v1/customers/:id", {}, (account, _input, id) => deleteCustomer(account, account.get("customer", id)))
]

const update = (
  customer: Customer,
  input: { readonly [Name in "email" | "name" | "phone" | "description"]: string | null | undefined } & {
    readonly metadata: Parameters<typeof mergeMetadata>[1]
    readonly invoice_settings: { readonly default_payment_method: string | null | undefined } | undefined
  }
) => {
  for (const name of ["email", "name", "phone", "description"] as const)
    if (input[name] !== undefined) customer[name] = input[name]
  customer.metadata = mergeMetadata(customer.metadata, input.metadata)
  const method = input.invoice_settings?.default_payment_method
  if (method !== undefined) customer.invoice_settings.default_payment_method = method
}

/** Its subscriptions end at once. */
const deleteCustomer = (account: Account, customer: Customer) => {
  for (const subscription of account.all("subscription"))
    if (subscription.customer === customer.id && !hasEnded(subscription))
      endSubscription(account, subscription, "cancellation_requested")
  account.remove(customer)
  account.state.deletedCustomers[customer.id] = true
  account.emit("customer.deleted", customer)
  return deletedCustomer(customer.id)
}
