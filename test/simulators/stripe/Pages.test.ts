import { afterAll, afterEach, assert, describe, it, onTestFinished } from "vitest"
import { periodOf, present, press, startHarness } from "./Harness.ts"

const harness = await startHarness()
const { checkout, receiver, simulator, stripe, subscribe } = harness

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

const show = async (url: string | null) => {
  const response = await fetch(present(url))
  return { status: response.status, html: await response.text() }
}

describe("the checkout page", () => {
  it("shows the product, takes the payment and returns with the session's id", async () => {
    const { id, url } = await checkout({ customer_email: "a<b@example.com" })
    const { html } = await show(url)
    for (const text of ["Subscribe to Pro", "$20.00", "a&lt;b@example.com", "Decline", "Pay later", "Back"])
      assert.include(html.toLowerCase(), text.toLowerCase())
    const response = await press(url, { action: "pay" })
    assert.equal(response.status, 303)
    assert.equal(response.headers.get("location"), `http://app.test/return?session_id=${id}`)
    assert.include((await show(url)).html, "already been processed")
    await simulator.idle()
    assert.deepEqual(receiver.types(), [
      "customer.created",
      "invoice.created",
      "customer.subscription.created",
      "invoice.finalized",
      "payment_intent.created",
      "charge.succeeded",
      "payment_intent.succeeded",
      "invoice.updated",
      "invoice_payment.paid",
      "invoice.paid",
      "invoice.payment_succeeded",
      "customer.subscription.updated",
      "checkout.session.completed"
    ])
    const activated = receiver.events.find(({ type }) => type === "customer.subscription.updated")
    assert.deepEqual(activated?.data.previous_attributes, { status: "incomplete" })
  })

  it("asks for an e-mail only if the session has none", async () => {
    const asking = await checkout()
    const { html } = await show(asking.url)
    assert.lengthOf([...html.matchAll(/name="email"/g)], 1)
    assert.include(html, 'name="email" value="you@example.com"')
    await press(asking.url, { action: "pay", email: "typed@example.com" })
    const { customer } = await stripe.checkout.sessions.retrieve(asking.id, { expand: ["customer"] })
    assert.deepInclude(customer, { email: "typed@example.com" })
  })

  it("stays open after a declined card, and links back to the cancel URL", async () => {
    const { id, url } = await checkout()
    const declined = await press(url, { action: "decline" })
    assert.equal(declined.status, 200)
    assert.include(await declined.text(), "declined")
    assert.equal((await press(url, { action: "back" })).headers.get("location"), "http://app.test/cancelled")
    assert.deepInclude(await stripe.checkout.sessions.retrieve(id), { status: "open", subscription: null })
    await simulator.idle()
    assert.deepEqual(receiver.types(), ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"])
    const typed = await (await press(url, { action: "decline", email: "typed@example.com" })).text()
    assert.include(typed, 'name="email" value="typed@example.com"')
    await press(url, { action: "pay" })
    assert.equal((await stripe.checkout.sessions.retrieve(id)).status, "complete")
  })

  it.each([
    ["succeeded", "paid", "active"],
    ["failed", "unpaid", "incomplete"]
  ] as const)("pays later: the money %s", async (outcome, paymentStatus, status) => {
    const { id, url } = await checkout()
    assert.equal((await press(url, { action: "later" })).status, 303)
    const waiting = await stripe.checkout.sessions.retrieve(id, { expand: ["subscription"] })
    assert.deepInclude(waiting, { status: "complete", payment_status: "unpaid" })
    assert.deepInclude(waiting.subscription, { status: "incomplete" })
    simulator.advance({ days: 3 })
    simulator.settlePayment({ session: id, outcome })
    const settled = await stripe.checkout.sessions.retrieve(id, { expand: ["subscription"] })
    assert.equal(settled.payment_status, paymentStatus)
    // The 23 hours after a failed first payment have passed, so the next tick ends it.
    assert.deepInclude(settled.subscription, { status: outcome === "failed" ? "incomplete_expired" : status })
    await simulator.idle()
    assert.include(receiver.types(), `checkout.session.async_payment_${outcome}`)
    assert.throws(() => simulator.settlePayment({ session: id, outcome }), /on its way/)
  })

  it("says that a session has expired or does not exist", async () => {
    const { id, url } = await checkout()
    await stripe.checkout.sessions.expire(id)
    assert.include((await show(url)).html, "timed out")
    await press(url, { action: "pay" })
    assert.equal((await stripe.checkout.sessions.retrieve(id)).subscription, null)
    assert.equal((await show(`${simulator.url}/pay/cs_x`)).status, 404)
  })
})

describe("the portal", () => {
  it("cancels by cancel_at alone, renews, cancels at once, and returns", async () => {
    const { customer, id } = await subscribe()
    const { url } = await stripe.billingPortal.sessions.create({ customer, return_url: "http://app.test/account" })
    const subscription = () => stripe.subscriptions.retrieve(id)
    assert.include((await show(url)).html, "Cancel at the end")
    assert.equal((await press(url, { action: "cancel_at_period_end" })).headers.get("location"), url)
    assert.deepInclude(await subscription(), { cancel_at_period_end: false, cancel_at: periodOf(await subscription()).end })
    assert.include((await show(url)).html, "Renew")
    await press(url, { action: "renew", subscription: id })
    assert.deepInclude(await subscription(), { cancel_at_period_end: false, cancel_at: null })
    await press(url, { action: "cancel_now" })
    assert.equal((await subscription()).status, "canceled")
    assert.equal((await press(url, { action: "back" })).headers.get("location"), "http://app.test/account")
    assert.equal((await press(url, { action: "renew", subscription: id })).status, 400)
  })

  it("cancels like classic billing, by option", async () => {
    const other = await startHarness({ portalCancelsWith: "cancel_at_period_end" })
    onTestFinished(() => other.stop())
    const { customer, id } = await other.subscribe()
    const { url } = await other.stripe.billingPortal.sessions.create({ customer })
    await press(url, { action: "cancel_at_period_end" })
    assert.isTrue((await other.stripe.subscriptions.retrieve(id)).cancel_at_period_end)
  })

  it("accepts a new card, and shows the invoices", async () => {
    const { customer, id } = await subscribe()
    const { url } = await stripe.billingPortal.sessions.create({ customer })
    simulator.setCard({ customer, card: "expired_card" })
    assert.include((await show(url)).html, "expired_card")
    await press(url, { action: "new_card" })
    await simulator.idle()
    assert.deepEqual<unknown>(receiver.events.at(-1)?.data.previous_attributes, {
      invoice_settings: { default_payment_method: null }
    })
    simulator.advance({ days: 32 })
    assert.equal((await stripe.subscriptions.retrieve(id)).status, "active")
    const [invoice] = (await stripe.invoices.list({ customer })).data
    assert.include((await show(url)).html, present(invoice?.hosted_invoice_url))
    assert.include((await show(present(invoice?.hosted_invoice_url))).html, "paid")
  })
})
