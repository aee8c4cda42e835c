import type { Stripe } from "stripe"
import { afterAll, afterEach, assert, describe, it } from "vitest"
import { isoDay, periodOf, present, refusal, startHarness } from "./Harness.ts"

const harness = await startHarness()
const { receiver, simulator, stripe, subscribe } = harness
const DAY = 86_400

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

describe("subscriptions", () => {
  it("keep their period on the item", async () => {
    const { id } = await subscribe()
    const subscription = await stripe.subscriptions.retrieve(id)
    const { end, start } = periodOf(subscription)
    assert.notProperty(subscription, "current_period_end")
    assert.equal(start, subscription.created)
    assert.isTrue(end - start >= 28 * DAY && end - start <= 31 * DAY)
  })

  it("are listed without the canceled ones unless the filter is `all`", async () => {
    const { customer, id } = await subscribe()
    await stripe.subscriptions.cancel(id)
    const ids = async (status?: "all" | "canceled" | "active") =>
      (await stripe.subscriptions.list({ customer, ...(status && { status }) })).data.map((each) => each.id)
    assert.deepEqual([await ids(), await ids("active"), await ids("all"), await ids("canceled")], [[], [], [id], [id]])
  })

  it("cancel at the end of the period or at a timestamp, and can be renewed", async () => {
    const { id } = await subscribe()
    const pending = await stripe.subscriptions.update(id, { cancel_at_period_end: true })
    assert.deepInclude(pending, { status: "active", cancel_at_period_end: true, cancel_at: periodOf(pending).end })
    assert.deepInclude(await stripe.subscriptions.update(id, { cancel_at_period_end: false }), {
      cancel_at: null,
      canceled_at: null
    })

    const moment = simulator.now() + DAY
    assert.deepInclude(await stripe.subscriptions.update(id, { cancel_at: moment }), {
      cancel_at: moment,
      cancel_at_period_end: false
    })
    // A `cancel_at` is not cleared by the other parameter.
    assert.equal((await stripe.subscriptions.update(id, { cancel_at_period_end: false })).cancel_at, moment)
    assert.equal((await stripe.subscriptions.update(id, { cancel_at: "" })).cancel_at, null)
    await simulator.idle()
    const { canceled_at, ...previous } = { ...(receiver.events.at(-1)?.data.previous_attributes as Partial<Stripe.Subscription>) }
    assert.deepEqual<object>(previous, { cancel_at: moment, cancellation_details: { reason: "cancellation_requested" } })
    assert.isNumber(canceled_at)
  })

  it("refuse conflicting parameters, past timestamps, and changes after the end", async () => {
    const { id } = await subscribe()
    const both = stripe.subscriptions.update(id, { cancel_at: simulator.now() + DAY, cancel_at_period_end: true })
    assert.include((await refusal(both)).message, "only specify one")
    assert.equal((await refusal(stripe.subscriptions.update(id, { cancel_at: 1 }))).param, "cancel_at")
    assert.equal((await refusal(stripe.subscriptions.resume(id))).type, "StripeInvalidRequestError")
    const ended = await stripe.subscriptions.cancel(id, { cancellation_details: { comment: "Too dear" } })
    assert.deepInclude(ended.cancellation_details, { comment: "Too dear", reason: "cancellation_requested" })
    assert.include((await refusal(stripe.subscriptions.update(id, { cancel_at_period_end: true }))).message, "canceled")
    assert.equal((await refusal(stripe.subscriptions.cancel(id))).code, "resource_missing")
    assert.deepEqual((await stripe.subscriptions.update(id, { metadata: { a: "1" } })).metadata, { a: "1" })
  })

  it("credit unused time on request", async () => {
    const { customer, id } = await subscribe()
    await stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true })
    const { data } = await stripe.invoices.list({ customer })
    assert.deepEqual(
      data.map(({ status, total }) => [status, total]),
      [
        ["paid", -2000],
        ["paid", 2000]
      ]
    )
    const again = await stripe.customers.retrieve(customer)
    assert.deepInclude(again, { balance: -2000 })
  })

  it("are created directly, charging the card", async () => {
    const { id: customer } = await stripe.customers.create()
    const create = (behavior: "default_incomplete" | "error_if_incomplete" | "allow_incomplete") =>
      stripe.subscriptions.create({ customer, items: [{ price: simulator.priceId }], payment_behavior: behavior })
    assert.equal((await create("allow_incomplete")).status, "active")
    assert.equal((await create("default_incomplete")).status, "incomplete")
    simulator.setCard({ customer, card: "declines" })
    assert.equal((await create("allow_incomplete")).status, "incomplete")
    const error = await refusal(create("error_if_incomplete"))
    assert.deepEqual([error.type, error.statusCode, error.decline_code], ["StripeCardError", 402, "generic_decline"])
    assert.lengthOf((await stripe.subscriptions.list({ customer })).data, 3)
  })

  it("resume after a pause", async () => {
    const { customer, id } = await subscribe()
    simulator.setSubscriptionStatus({ subscription: id, status: "paused" })
    simulator.advance({ days: 40 })
    const resumed = await stripe.subscriptions.resume(id, { billing_cycle_anchor: { type: "now" } })
    assert.equal(resumed.status, "active")
    assert.equal(isoDay(periodOf(resumed).start), isoDay(simulator.now()))
    for (const [behavior, status] of [
      ["resume_on_payment_success", "paused"],
      ["resume_on_payment_attempt", "past_due"]
    ] as const) {
      simulator.setSubscriptionStatus({ subscription: id, status: "paused" })
      simulator.setCard({ customer, card: "declines" })
      assert.equal((await stripe.subscriptions.resume(id, { payment_behavior: behavior })).status, status)
    }
  })
})

describe("invoices and their payments", () => {
  it("link a charge to its subscription and back", async () => {
    const { customer, id } = await subscribe()
    const [invoice] = (await stripe.invoices.list({ subscription: id, status: "paid" })).data
    assert.equal(invoice?.parent?.subscription_details?.subscription, id)
    const [payment] = (await stripe.invoicePayments.list({ invoice: present(invoice?.id) })).data
    const intent = await stripe.paymentIntents.retrieve(String(present(payment).payment.payment_intent))
    const charge = await stripe.charges.retrieve(String(intent.latest_charge))
    assert.deepInclude(charge, { amount: 2000, paid: true, customer })
    const back = await stripe.invoicePayments.list({ payment: { type: "payment_intent", payment_intent: intent.id } })
    assert.equal(back.data[0]?.invoice, invoice?.id)
    assert.equal((await stripe.invoices.retrieve(present(invoice?.id))).billing_reason, "subscription_create")
    assert.lengthOf((await stripe.invoices.list({ customer, status: "open" })).data, 0)
  })
})

describe("refunds and disputes", () => {
  it("refund in parts up to the whole amount", async () => {
    const { id } = await subscribe()
    const { charge, payment_intent: intent } = simulator.refund({ charge: id, amount: 500 })
    assert.equal((await refusal(stripe.refunds.create({ charge, amount: 1501 }))).param, "amount")
    await stripe.refunds.create({ payment_intent: intent, reason: "duplicate" })
    assert.equal((await refusal(stripe.refunds.create({ charge }))).code, "charge_already_refunded")
    assert.equal((await refusal(stripe.refunds.create({}))).code, "parameter_missing")
    assert.deepEqual(
      (await stripe.refunds.list({ charge })).data.map(({ amount }) => amount),
      [1500, 500]
    )
    assert.deepInclude(await stripe.charges.retrieve(charge), { refunded: true, amount_refunded: 2000 })
    await simulator.idle()
    const refunds = receiver.events.filter(({ type }) => type === "charge.refunded")
    assert.deepEqual(refunds.at(-1)?.data.previous_attributes, { amount_refunded: 500, refunded: false })
  })

  it.each(["won", "lost"] as const)("close a dispute as %s", async (outcome) => {
    const { id } = await subscribe()
    const { charge, id: dispute } = simulator.openDispute({ charge: id })
    assert.equal((await refusal(stripe.refunds.create({ charge }))).code, "charge_disputed")
    assert.equal((await stripe.disputes.retrieve(dispute)).status, "needs_response")
    simulator.closeDispute({ dispute, outcome })
    assert.equal((await stripe.disputes.list({ charge })).data[0]?.status, outcome)
    await simulator.idle()
    const types = receiver.types().filter((type) => type.startsWith("charge.dispute"))
    const end = outcome === "won" ? ["charge.dispute.funds_reinstated"] : []
    assert.deepEqual(types, ["charge.dispute.created", "charge.dispute.funds_withdrawn", "charge.dispute.closed", ...end])
  })
})
