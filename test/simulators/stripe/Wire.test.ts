import { Stripe } from "stripe"
import { afterAll, afterEach, assert, describe, it } from "vitest"
import { makeStripe, present, refusal, startHarness } from "./Harness.ts"
import { errorComplaints } from "./Schemas.ts"

const harness = await startHarness()
const { simulator, stripe, subscribe } = harness
const auth = { authorization: "Bearer sk_test_raw" }

const raw = async (path: string, init: RequestInit = {}) => {
  const response = await fetch(simulator.url + path, { headers: auth, ...init })
  return { status: response.status, headers: response.headers, json: JSON.parse(await response.text()) }
}
const form = (path: string, body: string, headers: Record<string, string> = {}) =>
  raw(path, { method: "POST", body, headers: { ...auth, "content-type": "application/x-www-form-urlencoded", ...headers } })

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

describe("API keys and versions", () => {
  it("requires a secret key, as Bearer or Basic", async () => {
    const basic = (text: string) => raw("/v1/customers", { headers: { authorization: `Basic ${btoa(text)}` } })
    assert.equal((await basic("sk_live_x:")).status, 200)
    assert.equal((await basic(":")).status, 401)
    assert.equal((await raw("/v1/customers", { headers: {} })).status, 401)
    const error = await refusal(makeStripe(simulator, "pk_test_12345678").customers.list())
    assert.instanceOf(error, Stripe.errors.StripeAuthenticationError)
    assert.equal(error.message, "Invalid API Key provided: ****5678")
  })

  it("accepts one API version and echoes it", async () => {
    const customers = await stripe.customers.list()
    assert.equal(customers.lastResponse.apiVersion, "2026-10-28.endive")
    assert.match(customers.lastResponse.requestId, /^req_\w+$/)
    assert.equal((await raw("/v1/customers", { headers: { ...auth, "stripe-version": "2020-08-27" } })).status, 400)
  })
})

describe("parameters", () => {
  it("reads nested forms with any brackets", async () => {
    const lines = "line_items[0][price]=price_simulated_pro&line_items[0][quantity]=2&subscription_data[metadata][user]=7"
    const { json, status } = await form(
      "/v1/checkout/sessions",
      `mode=subscription&success_url=http://a.test&${lines}&expand[]=line_items`
    )
    assert.deepEqual([status, json.amount_total, json.line_items.data[0].quantity], [200, 4000, 2])
  })

  it("clears a field with the empty text, and merges metadata", async () => {
    const { id } = await stripe.customers.create({ name: "Ada", metadata: { a: "1", b: "2" } })
    const changed = await stripe.customers.update(id, { name: "", metadata: { a: "", c: "3" } })
    assert.deepEqual([changed.name, changed.metadata], [null, { b: "2", c: "3" }])
    assert.deepEqual((await stripe.customers.update(id, { metadata: "" })).metadata, {})
  })

  it.each([
    ["/v1/customers", "emial=a", 400, "parameter_unknown", "emial"],
    ["/v1/customers", "metadata[a][b]=1", 400, undefined, "metadata[a]"],
    ["/v1/customers", "__proto__[x]=1", 400, "parameter_unknown", "__proto__"],
    ["/v1/customers", "email=nobody", 400, "email_invalid", "email"],
    ["/v1/checkout/sessions", "success_url=http://a.test", 400, "parameter_missing", "mode"],
    [
      "/v1/checkout/sessions",
      "mode=subscription&success_url=http://a.test&line_items[0][quantity]=1",
      400,
      "parameter_missing",
      "line_items[0][price]"
    ],
    [
      "/v1/checkout/sessions",
      "mode=subscription&success_url=http://a.test&line_items[0][price]=price_x&line_items[0][quantity]=1",
      400,
      "resource_missing",
      "line_items[0][price]"
    ],
    ["/v1/billing_portal/sessions", "customer=", 400, "parameter_invalid_empty", "customer"],
    ["/v1/products", "name=x&active=maybe", 400, undefined, "active"],
    ["/v1/customers/cus_x", "", 404, "resource_missing", "id"],
    ["/v1/nonsense", "", 404, undefined, undefined]
  ])("refuses %s %s", async (path, body, status, code, param) => {
    const answer = await form(path, body)
    assert.deepEqual([answer.status, answer.json.error.code, answer.json.error.param], [status, code, param])
    assert.deepEqual(errorComplaints({ error: { ...answer.json.error } }), [])
    assert.deepEqual(
      harness.simulator.requests().map((entry) => entry.status),
      [status]
    )
  })

  it("answers errors that the SDK maps to its classes", async () => {
    const error = await refusal(stripe.subscriptions.retrieve("sub_x"))
    assert.instanceOf(error, Stripe.errors.StripeInvalidRequestError)
    assert.deepEqual([error.statusCode, error.code, error.message], [404, "resource_missing", "No such subscription: 'sub_x'"])
  })
})

describe("expand", () => {
  it("replaces ids, also in lists, and adds fields that are omitted by default", async () => {
    const { customer, id, session } = await subscribe()
    const expanded = await stripe.checkout.sessions.retrieve(session, {
      expand: ["subscription.latest_invoice.payments", "customer", "line_items"]
    })
    const subscription = expanded.subscription as Stripe.Subscription
    const invoice = subscription.latest_invoice as Stripe.Invoice
    assert.equal((expanded.customer as Stripe.Customer).email, "ada@example.com")
    assert.equal(expanded.line_items?.data[0]?.price?.id, simulator.priceId)
    assert.equal(present(invoice.payments?.data[0]).payment.type, "payment_intent")

    const list = await stripe.subscriptions.list({ customer, expand: ["data.customer", "data.items.data.price.product"] })
    const listed = present(list.data[0])
    assert.equal((listed.customer as Stripe.Customer).id, customer)
    assert.equal((present(listed.items.data[0]).price.product as Stripe.Product).name, "Pro")
    assert.isString((await stripe.subscriptions.retrieve(id)).customer)
    await stripe.customers.del(customer)
    const gone = await stripe.subscriptions.retrieve(id, { expand: ["customer"] })
    assert.isTrue((gone.customer as Stripe.DeletedCustomer).deleted)
  })

  it("refuses a field that is not a reference, and five levels", async () => {
    const { session } = await subscribe()
    const of = (path: string) => refusal(stripe.checkout.sessions.retrieve(session, { expand: [path] }))
    assert.equal((await of("status")).message, "This property cannot be expanded (status).")
    assert.include((await of("nothing")).message, "cannot be expanded")
    assert.include((await of("a.b.c.d.e")).message, "more than 4 levels")
  })
})

describe("lists", () => {
  it("pages newest first with the SDK's auto-pagination", async () => {
    const created: Array<string> = []
    for (let i = 0; i < 7; i++) created.push((await stripe.customers.create({ name: String(i) })).id)
    const newestFirst = created.toReversed()
    const all = await stripe.customers.list({ limit: 3 }).autoPagingToArray({ limit: 100 })
    assert.deepEqual(
      all.map(({ id }) => id),
      newestFirst
    )
    assert.lengthOf(simulator.requests({ method: "GET" }), 3)
    const before = await stripe.customers.list({ limit: 2, ending_before: present(newestFirst[4]) })
    assert.deepEqual([before.data.map(({ id }) => id), before.has_more], [newestFirst.slice(2, 4), true])
    const last = await stripe.customers.list({ limit: 2, starting_after: present(newestFirst[4]) })
    assert.deepEqual([last.data.map(({ id }) => id), last.has_more], [newestFirst.slice(5), false])
  })

  it("refuses invalid cursors and limits", async () => {
    assert.equal((await refusal(stripe.customers.list({ starting_after: "cus_x" }))).code, "resource_missing")
    assert.equal((await refusal(stripe.customers.list({ limit: 101 }))).param, "limit")
    assert.equal((await refusal(stripe.customers.list({ limit: 0 }))).param, "limit")
  })
})

describe("idempotency keys", () => {
  it("replays the first answer without another object", async () => {
    const options = { idempotencyKey: "attempt-1" }
    const one = await stripe.customers.create({ email: "a@b.test" }, options)
    const two = await stripe.customers.create({ email: "a@b.test" }, options)
    assert.equal(two.id, one.id)
    assert.lengthOf((await stripe.customers.list()).data, 1)
    const headers = { "idempotency-key": "attempt-1" }
    const again = await form("/v1/customers", "email=a%40b.test", headers)
    assert.deepEqual([again.headers.get("idempotent-replayed"), again.json.id], ["true", one.id])
    assert.deepEqual(
      simulator.requests({ path: "/v1/customers", method: "POST" }).map(({ replayed }) => replayed),
      [false, true, true]
    )
  })

  it("refuses other parameters with the same key for a day", async () => {
    const create = (email: string) => stripe.customers.create({ email }, { idempotencyKey: "attempt-2" })
    const first = await create("a@b.test")
    const error = await refusal(create("other@b.test"))
    assert.instanceOf(error, Stripe.errors.StripeIdempotencyError)
    assert.equal(error.statusCode, 400)
    simulator.advance({ days: 1, seconds: 1 })
    assert.notEqual((await create("other@b.test")).id, first.id)
  })

  it("does not store a refusal", async () => {
    const options = { idempotencyKey: "attempt-3" }
    await refusal(stripe.customers.create({ email: "nobody" }, options))
    assert.isOk(await stripe.customers.create({ email: "some@body.test" }, options))
  })
})
