import { afterAll, afterEach, assert, describe, it, onTestFinished } from "vitest"
import { isoDay, periodOf, present, press, startHarness } from "./Harness.ts"

const harness = await startHarness()
const { receiver, simulator, stripe, subscribe } = harness
const DAY = 86_400

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

const retrieve = (id: string) => stripe.subscriptions.retrieve(id)
const status = async (id: string) => (await retrieve(id)).status

/** Moves the clock to this many seconds after the end of the period. */
const passPeriod = async (id: string, seconds: number) => {
  simulator.advance({ seconds: periodOf(await retrieve(id)).end - simulator.now() + seconds })
}

describe("the simulated clock", () => {
  it("renews: a draft at the start of the period, charged an hour later", async () => {
    const { id } = await subscribe()
    const before = periodOf(await retrieve(id))
    await simulator.idle()
    receiver.events.length = 0
    await passPeriod(id, 1)
    const renewed = await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] })
    assert.equal(periodOf(renewed).start, before.end)
    assert.deepInclude(renewed.latest_invoice, { status: "draft", billing_reason: "subscription_cycle", created: before.end })
    simulator.advance({ seconds: 3600 })
    assert.deepInclude((await stripe.subscriptions.retrieve(id, { expand: ["latest_invoice"] })).latest_invoice, {
      status: "paid"
    })
    await simulator.idle()
    assert.deepEqual(receiver.types(), [
      "invoice.created",
      "customer.subscription.updated",
      "invoice.finalized",
      "payment_intent.created",
      "charge.succeeded",
      "payment_intent.succeeded",
      "invoice.updated",
      "invoice_payment.paid",
      "invoice.paid",
      "invoice.payment_succeeded"
    ])
    assert.deepEqual(receiver.events[0]?.request, { id: null, idempotency_key: null })
    assert.equal(receiver.events[0]?.created, before.end)
  })

  it("keeps the day of the month over a leap year", async () => {
    const jan31 = (new Date(Date.UTC(new Date().getUTCFullYear() + 1, 0, 31, 12)).getTime() - Date.now()) / 1000
    simulator.advance({ seconds: Math.floor(jan31) })
    const { id } = await subscribe()
    const ends: Array<string> = []
    for (let month = 0; month < 4; month++) {
      ends.push(isoDay(periodOf(await retrieve(id)).end).slice(5))
      await passPeriod(id, 1)
    }
    assert.match(ends.join(" "), /^02-2[89] 03-31 04-30 05-31$/)
    assert.lengthOf((await stripe.invoices.list({ subscription: id })).data, 5)
  })

  it("ends a cancelled subscription at its time, without a renewal", async () => {
    const { id } = await subscribe()
    const { end } = periodOf(await stripe.subscriptions.update(id, { cancel_at_period_end: true }))
    simulator.advance({ seconds: end - simulator.now() - 1 })
    assert.equal(await status(id), "active")
    simulator.advance({ days: 60 })
    assert.deepInclude(await retrieve(id), { status: "canceled", ended_at: end })
    assert.lengthOf((await stripe.invoices.list({ subscription: id })).data, 1)
    await simulator.idle()
    assert.equal(receiver.types().at(-1), "customer.subscription.deleted")
  })

  it("moves back, so that a subscription of the past is due in real time", async () => {
    simulator.advance({ days: -40 })
    const { id } = await subscribe()
    simulator.advance({ days: 40 })
    assert.closeTo(simulator.now(), Date.now() / 1000, 2)
    assert.isAbove(periodOf(await retrieve(id)).end, Date.now() / 1000)
    assert.lengthOf((await stripe.invoices.list({ subscription: id })).data, 2)
  })

  it("expires an unpaid first invoice after 23 hours", async () => {
    const { id: customer } = await stripe.customers.create()
    simulator.setCard({ customer, card: "declines" })
    const { id } = await stripe.subscriptions.create({ customer, items: [{ price: simulator.priceId }] })
    simulator.advance({ seconds: 23 * 3600 - 5 })
    assert.equal(await status(id), "incomplete")
    simulator.advance({ seconds: 10 })
    assert.equal(await status(id), "incomplete_expired")
    assert.equal((await stripe.invoices.list({ subscription: id })).data[0]?.status, "void")
  })
})

describe("a card that is declined", () => {
  it("makes it past due, is retried after 3, 5 and 7 days, then cancels", async () => {
    const { customer, id } = await subscribe()
    simulator.setCard({ customer, card: "insufficient_funds" })
    await passPeriod(id, 3601)
    assert.equal(await status(id), "past_due")
    const [invoice] = (await stripe.invoices.list({ subscription: id })).data
    assert.deepInclude(invoice, { status: "open", attempt_count: 1 })
    assert.closeTo(present(invoice?.next_payment_attempt) - simulator.now(), 3 * DAY, 5)
    simulator.advance({ days: 3 + 5 })
    assert.deepInclude(await stripe.invoices.retrieve(present(invoice?.id)), { attempt_count: 3 })
    assert.equal(await status(id), "past_due")
    simulator.advance({ days: 7 })
    const ended = await retrieve(id)
    assert.deepInclude(ended, { status: "canceled" })
    assert.equal(ended.cancellation_details?.reason, "payment_failed")
    assert.equal((await stripe.invoices.retrieve(present(invoice?.id))).next_payment_attempt, null)
    const failed = (await stripe.charges.list({ customer })).data.filter(({ failure_code: code }) => code === "card_declined")
    assert.deepEqual(
      failed.map(({ outcome }) => outcome?.reason),
      Array(4).fill("insufficient_funds")
    )
  })

  it("has no effect once a retry succeeds or the buyer pays", async () => {
    const { customer, id } = await subscribe()
    simulator.setCard({ customer, card: "declines" })
    await passPeriod(id, 3601)
    simulator.setCard({ customer, card: "good" })
    simulator.advance({ days: 3 })
    assert.equal(await status(id), "active")

    simulator.setCard({ customer, card: "declines" })
    await passPeriod(id, 3601)
    const { hosted_invoice_url: url } = present((await stripe.invoices.list({ subscription: id, status: "open" })).data[0])
    assert.include(await (await press(url, { action: "decline" })).text(), "declined")
    assert.equal(await status(id), "past_due")
    assert.equal((await press(url, { action: "pay" })).status, 303)
    assert.equal(await status(id), "active")
    await simulator.idle()
    const last = receiver.events.findLast(({ type }) => type === "customer.subscription.updated")
    assert.deepEqual(last?.data.previous_attributes, { status: "past_due" })
  })

  it("leaves the subscription unpaid by option, and stops charging", async () => {
    const other = await startHarness({ afterRetries: "unpaid", retryDays: [1], draftSeconds: 0 })
    onTestFinished(() => other.stop())
    const { customer, id } = await other.subscribe()
    other.simulator.setCard({ customer, card: "declines" })
    other.simulator.advance({ days: 35 })
    assert.equal((await other.stripe.subscriptions.retrieve(id)).status, "unpaid")
    other.simulator.advance({ days: 31 })
    const invoices = (await other.stripe.invoices.list({ subscription: id })).data
    assert.deepEqual(
      invoices.map((invoice) => invoice.status),
      ["draft", "open", "paid"]
    )
    await press(present(invoices[1]?.hosted_invoice_url), { action: "pay" })
    assert.equal((await other.stripe.subscriptions.retrieve(id)).status, "active")
    assert.deepEqual(other.complaints(), [])
  })
})
