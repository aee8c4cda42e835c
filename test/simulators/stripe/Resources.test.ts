import { afterAll, afterEach, assert, describe, it } from "vitest"
import { refusal, startHarness } from "./Harness.ts"

const harness = await startHarness()
const { checkout, receiver, simulator, stripe, subscribe } = harness

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

describe("customers", () => {
  it("are created, found by exact e-mail, changed and deleted", async () => {
    const { id } = await stripe.customers.create({ email: "ada@example.com", metadata: { user: "1" } })
    await stripe.customers.create({ email: "bob@example.com" })
    assert.deepEqual(
      (await stripe.customers.list({ email: "ada@example.com" })).data.map((each) => each.id),
      [id]
    )
    assert.equal((await stripe.customers.update(id, { name: "Ada" })).name, "Ada")
    assert.isTrue((await stripe.customers.del(id)).deleted)
    assert.deepInclude(await stripe.customers.retrieve(id), { id, deleted: true })
    assert.equal((await refusal(stripe.customers.update(id, {}))).code, "resource_missing")
    assert.equal((await refusal(checkout({ customer: id }))).param, "customer")
    await simulator.idle()
    assert.deepEqual(receiver.types(), ["customer.created", "customer.created", "customer.updated", "customer.deleted"])
  })

  it("end their subscriptions when they are deleted", async () => {
    const { customer, id } = await subscribe()
    await stripe.customers.del(customer)
    assert.equal((await stripe.subscriptions.retrieve(id)).status, "canceled")
  })
})

describe("products and prices", () => {
  it("has one ready-made monthly price", async () => {
    const price = await stripe.prices.retrieve(simulator.priceId, { expand: ["product"] })
    assert.deepEqual([price.unit_amount, price.currency, price.recurring?.interval], [2000, "usd", "month"])
    assert.deepEqual(
      (await stripe.prices.list({ active: true, type: "recurring" })).data.map(({ id }) => id),
      [simulator.priceId]
    )
  })

  it("creates others, and refuses a price that is not recurring", async () => {
    const product = await stripe.products.create({ id: "prod_team", name: "Team" })
    assert.equal((await stripe.products.retrieve("prod_team")).name, "Team")
    assert.equal((await refusal(stripe.products.create({ id: "prod_team", name: "Again" }))).code, "resource_already_exists")
    const yearly = await stripe.prices.create({
      currency: "eur",
      unit_amount: 9900,
      product: product.id,
      recurring: { interval: "year" },
      lookup_key: "team"
    })
    assert.deepEqual(
      (await stripe.prices.list({ lookup_keys: ["team"] })).data.map(({ id }) => id),
      [yearly.id]
    )
    assert.equal((await checkout({ line_items: [{ price: yearly.id, quantity: 2 }] })).amount_total, 19_800)
    const once = await stripe.prices.create({ currency: "usd", unit_amount: 1, product_data: { name: "Once" } })
    assert.include((await refusal(checkout({ line_items: [{ price: once.id, quantity: 1 }] }))).message, "recurring price")
  })
})

describe("checkout sessions", () => {
  it("pass their data to the subscription", async () => {
    const { id } = await checkout({
      client_reference_id: "user-7",
      customer_email: "eve@example.com",
      subscription_data: { metadata: { user: "7" } }
    })
    const open = await stripe.checkout.sessions.retrieve(id)
    assert.deepEqual(
      [open.status, open.payment_status, open.client_reference_id, open.customer],
      ["open", "unpaid", "user-7", null]
    )
    simulator.checkout({ session: id, action: "pay" })
    const paid = await stripe.checkout.sessions.retrieve(id, { expand: ["subscription", "customer"] })
    assert.deepEqual([paid.status, paid.payment_status, paid.url], ["complete", "paid", null])
    assert.isObject(paid.subscription)
    assert.deepInclude(paid.subscription, { status: "active", metadata: { user: "7" } })
    assert.deepInclude(paid.customer, { email: "eve@example.com" })
  })

  it("are listed by customer, status and subscription", async () => {
    const { customer, id, session } = await subscribe()
    const open = await checkout({ customer })
    const ids = async (filter: object) => (await stripe.checkout.sessions.list(filter)).data.map((each) => each.id)
    assert.deepEqual(await ids({ customer }), [open.id, session])
    assert.deepEqual(await ids({ customer, status: "open" }), [open.id])
    assert.deepEqual(await ids({ subscription: id }), [session])
  })

  it("expire by a call or by time, and only once", async () => {
    const now = Math.floor(Date.now() / 1000)
    const first = await checkout()
    assert.equal((await stripe.checkout.sessions.expire(first.id)).status, "expired")
    assert.include((await refusal(stripe.checkout.sessions.expire(first.id))).message, "expired")
    const second = await checkout({ expires_at: now + 31 * 60 })
    assert.equal(second.expires_at, now + 31 * 60)
    simulator.advance({ seconds: 32 * 60 })
    assert.equal((await stripe.checkout.sessions.retrieve(second.id)).status, "expired")
    await simulator.idle()
    assert.deepEqual(receiver.types(), ["checkout.session.expired", "checkout.session.expired"])
    for (const seconds of [60, 25 * 3600])
      assert.equal((await refusal(checkout({ expires_at: now + seconds }))).param, "expires_at")
    assert.isAbove((await checkout({ expires_at: now + 31 * 60 })).expires_at, simulator.now())
  })

  it("refuse an unsupported mode, cart or URL", async () => {
    assert.equal((await refusal(checkout({ mode: "payment" }))).param, "mode")
    assert.equal((await refusal(checkout({ line_items: [] }))).param, "line_items")
    assert.equal((await refusal(checkout({ success_url: "javascript:alert(1)" }))).code, "url_invalid")
    assert.equal((await refusal(checkout({ customer: "cus_x", customer_email: "a@b.test" }))).param, "customer_email")
  })
})
