import { Schema } from "effect"
import { times } from "../Examples.ts"
import { Timestamp } from "../Schemas.ts"

const Amount = Schema.Int

export const Invoice = Schema.Struct({
  id: Schema.String.annotate({ description: "The id of the invoice at Stripe." }),
  number: Schema.NullOr(Schema.String).annotate({ description: "Null while it is a draft." }),
  status: Schema.String.annotate({ description: "`draft`, `open`, `paid`, `uncollectible` or `void`.", examples: ["paid"] }),
  total: Amount.annotate({ description: "In minor units, tax and discounts included; negative for a credit." }),
  tax: Amount.annotate({ description: "The tax in it." }),
  currency: Schema.String.annotate({ examples: ["usd"] }),
  createdAt: Timestamp,
  paidAt: Schema.NullOr(Timestamp),
  url: Schema.NullOr(Schema.String).annotate({
    description: "The page at Stripe that shows the invoice and takes the payment of an open one."
  }),
  pdfUrl: Schema.NullOr(Schema.String)
}).annotate({ identifier: "Invoice", description: "An invoice of the user's." })
export type Invoice = typeof Invoice.Type

export const exampleInvoice: Invoice = {
  id: "in_1Ada",
  number: "ADA1842-0001",
  status: "paid",
  total: 2_380,
  tax: 380,
  currency: "usd",
  createdAt: times.subscribed,
  paidAt: times.subscribed,
  url: "https://invoice.stripe.com/i/acct_1/test_ada",
  pdfUrl: "https://pay.stripe.com/invoice/acct_1/test_ada/pdf"
}
