import { Schema } from "effect"
import { assert, describe, it } from "vitest"
import { Session, StripeSubscription } from "../../src/billing/StripeObjects.ts"

const subscription = (id: string, url: string) => ({
  id,
  status: "past_due",
  customer: "cus_1",
  created: 1,
  cancel_at: null,
  cancel_at_period_end: false,
  trial_start: null,
  trial_end: null,
  discounts: [],
  latest_invoice: { id: "in_1", status: "open", hosted_invoice_url: url },
  items: { data: [] }
})
const session = (id: string, url: string) => ({
  id,
  url,
  status: "open",
  payment_status: "unpaid",
  customer: "cus_1",
  expires_at: 1
})

describe("what is stored of Stripe's objects", () => {
  for (const [what, schema, make] of [
    ["a subscription", StripeSubscription, subscription],
    ["a checkout session", Session, session]
  ] as const) {
    it(`has ids of 255 and addresses of 5,000 characters at most: ${what}`, () => {
      assert.isTrue(Schema.is(schema)(make("i".repeat(255), "u".repeat(5_000))))
      assert.isFalse(Schema.is(schema)(make("i".repeat(256), "u")))
      assert.isFalse(Schema.is(schema)(make("i", "u".repeat(5_001))))
    })
  }
})
