import { listParameters, page } from "../wire/Listing.ts"
import { hash, oneOf, range, required, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"

const invoiceFilters = {
  customer: word,
  subscription: word,
  status: oneOf("draft", "open", "paid", "uncollectible", "void"),
  created: range
}

const paymentFilters = {
  invoice: word,
  status: oneOf("open", "paid", "canceled"),
  payment: hash({ type: required(oneOf("payment_intent")), payment_intent: word })
}

/** https://docs.stripe.com/api/invoices and https://docs.stripe.com/api/invoice-payment */
export const invoiceRoutes = [
  route(
    "GET",
    "/v1/invoices",
    { ...listParameters, ...invoiceFilters },
    (account, { created, customer, status, subscription, ...cursor }) => {
      const found = account
        .all("invoice")
        .filter(
          (invoice) =>
            (customer ?? invoice.customer) === invoice.customer &&
            (subscription === undefined || subscription === invoice.parent.subscription_details.subscription) &&
            (status ?? invoice.status) === invoice.status &&
            (created?.(invoice.created) ?? true)
        )
      return page("/v1/invoices", found, cursor)
    }
  ),

  route("GET", "/v1/invoices/:id", {}, (account, _input, id) => account.get("invoice", id)),

  route(
    "GET",
    "/v1/invoice_payments",
    { ...listParameters, ...paymentFilters },
    (account, { invoice, payment, status, ...cursor }) => {
      const found = account
        .all("invoice_payment")
        .filter(
          (each) =>
            (invoice ?? each.invoice) === each.invoice &&
            (status ?? each.status) === each.status &&
            (payment?.payment_intent ?? each.payment.payment_intent) === each.payment.payment_intent
        )
      return page("/v1/invoice_payments", found, cursor)
    }
  ),

  route("GET", "/v1/invoice_payments/:id", {}, (account, _input, id) => account.get("invoice_payment", id))
]
