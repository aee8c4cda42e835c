import { Context, Effect, Layer } from "effect"
import type { CurrentSession } from "../api/auth/User.ts"
import { type BillingUnavailable, NoCustomer } from "../api/billing/BillingErrors.ts"
import type { Invoice } from "../api/billing/Invoice.ts"
import { ValidationFailed } from "../api/Problems.ts"
import { Customers } from "./Customers.ts"
import { Stripe } from "./Stripe.ts"
import { type StripeFailure, unavailable } from "./StripeFailure.ts"
import type { ShownInvoice } from "./StripeObjects.ts"

const timeOf = (seconds: number): string => new Date(seconds * 1000).toISOString()

const toInvoice = (invoice: ShownInvoice): Invoice => {
  const paidAt = invoice.status_transitions.paid_at
  return {
    id: invoice.id,
    number: invoice.number,
    status: invoice.status ?? "draft",
    total: invoice.total,
    tax: (invoice.total_taxes ?? []).reduce((sum, { amount }) => sum + amount, 0),
    currency: invoice.currency,
    createdAt: timeOf(invoice.created),
    paidAt: paidAt === null ? null : timeOf(paidAt),
    url: invoice.hosted_invoice_url,
    pdfUrl: invoice.invoice_pdf
  }
}

/** A user's invoices, which only Stripe keeps. */
export class Invoices extends Context.Service<
  Invoices,
  {
    /** The invoices before the one with the id `before`, newest first. */
    readonly list: (
      user: CurrentSession,
      page: { readonly limit: number; readonly before: string | undefined }
    ) => Effect.Effect<
      { readonly found: ReadonlyArray<Invoice>; readonly hasMore: boolean },
      NoCustomer | ValidationFailed | BillingUnavailable
    >
  }
>()("chat-backend/billing/Invoices") {
  static readonly layer = Layer.effect(
    Invoices,
    Effect.gen(function* () {
      const stripe = yield* Stripe
      const customers = yield* Customers

      /** Stripe knows no customer that was deleted there, and no draft that was deleted since the page before. */
      const missing = (before: string | undefined) =>
        Effect.fail(
          before === undefined
            ? new NoCustomer()
            : new ValidationFailed({ errors: [{ path: "query.cursor", message: "must be a cursor of this list" }] })
        )

      const list: Invoices["Service"]["list"] = Effect.fn("Invoices.list")(function* (user, { before, limit }) {
        const customerId = yield* customers.find(user.userId)
        if (customerId === undefined) return yield* new NoCustomer()
        const { data, has_more: hasMore } = yield* stripe
          .invoices(customerId, { limit, after: before })
          .pipe(
            Effect.catchTag(
              "StripeFailure",
              (failure: StripeFailure): Effect.Effect<never, NoCustomer | ValidationFailed | BillingUnavailable> =>
                failure.kind === "missing" ? missing(before) : unavailable(failure)
            )
          )
        return { found: data.map(toInvoice), hasMore }
      })

      return Invoices.of({ list })
    })
  )
}
