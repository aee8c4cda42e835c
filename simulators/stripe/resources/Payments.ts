import { makeRefundOf } from "../billing/Reversals.ts"
import { listParameters, page } from "../wire/Listing.ts"
import { integer, mergeMetadata, metadata, oneOf, range, word } from "../wire/Parameters.ts"
import { route } from "../wire/Route.ts"
import { missingParameter, missingResource } from "../wire/StripeError.ts"

const paymentFilters = { customer: word, created: range }
const reversalFilters = { charge: word, payment_intent: word, created: range }

const refund = {
  charge: word,
  payment_intent: word,
  amount: integer,
  reason: oneOf("duplicate", "fraudulent", "requested_by_customer"),
  metadata
}

/** https://docs.stripe.com/api/payment_intents, charges, refunds and disputes. Only invoices are charged. */
export const paymentRoutes = [
  route("GET", "/v1/payment_intents/:id", {}, (account, _input, id) => account.get("payment_intent", id)),

  route("GET", "/v1/payment_intents", { ...listParameters, ...paymentFilters }, (account, { created, customer, ...cursor }) => {
    const found = account
      .all("payment_intent")
      .filter((intent) => (customer ?? intent.customer) === intent.customer && (created?.(intent.created) ?? true))
    return page("/v1/payment_intents", found, cursor)
  }),

  route("GET", "/v1/charges/:id", {}, (account, _input, id) => account.get("charge", id)),

  route("GET", "/v1/charges", { ...listParameters, ...paymentFilters, payment_intent: word }, (account, input) => {
    const found = account
      .all("charge")
      .filter(
        (charge) =>
          (input.customer ?? charge.customer) === charge.customer &&
          (input.payment_intent ?? charge.payment_intent) === charge.payment_intent &&
          (input.created?.(charge.created) ?? true)
      )
    return page("/v1/charges", found, input)
  }),

  route("POST", "/v1/refunds", refund, (account, { charge: chargeId, payment_intent: intentId, ...input }) => {
    if (chargeId === undefined && intentId === undefined) throw missingParameter("charge")
    const id = chargeId ?? account.get("payment_intent", intentId ?? "", "payment_intent").latest_charge
    if (id === null) throw missingResource("charge", intentId ?? "", "payment_intent", 400)
    const charge = account.get("charge", id, "charge")
    return makeRefundOf(account, charge, {
      amount: input.amount,
      reason: input.reason ?? null,
      metadata: mergeMetadata({}, input.metadata)
    })
  }),

  route("GET", "/v1/refunds/:id", {}, (account, _input, id) => account.get("refund", id)),

  route("GET", "/v1/refunds", { ...listParameters, ...reversalFilters }, (account, input) =>
    page("/v1/refunds", account.all("refund").filter(matching(input)), input)
  ),

  route("GET", "/v1/disputes/:id", {}, (account, _input, id) => account.get("dispute", id)),

  route("GET", "/v1/disputes", { ...listParameters, ...reversalFilters }, (account, input) =>
    page("/v1/disputes", account.all("dispute").filter(matching(input)), input)
  )
]

interface ReversalFilter {
  readonly charge: string | undefined
  readonly payment_intent: string | undefined
  readonly created: ((moment: number) => boolean) | undefined
}

const matching =
  (input: ReversalFilter) => (reversal: { readonly charge: string; readonly payment_intent: string; readonly created: number }) =>
    (input.charge ?? reversal.charge) === reversal.charge &&
    (input.payment_intent ?? reversal.payment_intent) === reversal.payment_intent &&
    (input.created?.(reversal.created) ?? true)
