import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { request } from "../support/Client.ts"
import { until } from "../support/wait.ts"
import { customerOf, objects, startBackendProcess, status, type TestBackend } from "./TestBackend.ts"
import { prices, twoPlans } from "./planSettings.ts"
import { newSubscriberTo, startTwoPlans, subscribeTo } from "./TwoPlans.ts"

let backend: TestBackend
beforeAll(async () => {
  backend = await startTwoPlans({ backends: [{ STRIPE_TAX: "on" }], simulator: { taxCountries: ["DE"] } })
})
afterAll(() => backend.stop())

describe("STRIPE_TAX=on", () => {
  it("collects tax and tax ids at checkout, and keeps the buyer's address", async () => {
    const person = await backend.newUser()
    const { sessionId } = (await subscribeTo(person, "pro")).body
    const session = await backend.sdk.checkout.sessions.retrieve(sessionId)
    assert.deepStrictEqual([session.automatic_tax.enabled, session.tax_id_collection?.enabled], [true, true])
    assert.deepStrictEqual(
      [session.amount_subtotal, session.total_details?.amount_tax, session.amount_total],
      [2_000, 380, 2_380]
    )
    const [sent] = backend.stripe.requests({ method: "POST", path: "/v1/checkout/sessions" }).slice(-1)
    assert.deepStrictEqual(sent?.parameters["customer_update"], { address: "auto", name: "auto" })
  })

  it("is named by the start and by readiness when the account has no tax registration", { timeout: 120_000 }, async () => {
    const other = await startTwoPlans({ processes: true })
    const process = await startBackendProcess(other, { PLANS: twoPlans(), STRIPE_TAX: "on" })
    try {
      const named = () => process.output().includes("STRIPE_TAX: the account has no tax registration")
      await until("a line in the log", async () => named(), { seconds: 60 })
      const ready = await request(other.urls[0] ?? "", "GET", "/readyz")
      assert.deepStrictEqual([ready.status, ready.body.status, ready.body.checks.billing], [200, "degraded", "failed"])
    } finally {
      await process.kill("SIGKILL")
      await other.stop()
    }
  })

  it("is ready when the account is registered", async () => {
    const ready = await request(backend.urls[0] ?? "", "GET", "/readyz")
    // The simulator's prices say nothing about tax, and neither do its settings.
    assert.strictEqual(ready.body.checks.billing, "failed")
    const other = await startTwoPlans({
      backends: [{ STRIPE_TAX: "on" }],
      simulator: { taxCountries: ["DE"], taxBehavior: "exclusive" }
    })
    try {
      const { body } = await request(other.urls[0] ?? "", "GET", "/readyz")
      assert.strictEqual(body.checks.billing, "ok")
    } finally {
      await other.stop()
    }
  })
})

describe("GET /subscription/invoices", () => {
  it("lists the user's invoices with tax, newest first, by pages", async () => {
    const person = await newSubscriberTo(backend, "pro")
    backend.stripe.changePrice({
      subscription: String(objects(backend, "subscription").at(-1)?.id),
      price: prices.maxMonth
    })
    await backend.waitUntilIdle()
    assert.strictEqual((await status(person)).tier, "max")
    const all = await person.call("GET", "/subscription/invoices")
    assert.strictEqual(all.status, 200)
    assert.deepStrictEqual([all.body.data.length, all.body.hasMore, all.body.nextCursor], [2, false, null])
    const [, first] = all.body.data
    const { createdAt, id, number, paidAt, pdfUrl, url, ...rest } = first
    assert.deepStrictEqual(rest, { status: "paid", total: 2_380, tax: 380, currency: "usd" })
    assert.match(id, /^in_/)
    assert.match(number, /-0001$/)
    for (const time of [createdAt, paidAt]) assert.closeTo(Date.parse(time), Date.now(), 60_000)
    assert.include(await (await fetch(url)).text(), "Tax")
    const pdf = await fetch(pdfUrl)
    assert.deepStrictEqual([pdf.status, pdf.headers.get("content-type")], [200, "application/pdf"])
    assert.match(await pdf.text(), /^%PDF/)

    const page = await person.call("GET", "/subscription/invoices?limit=1")
    assert.deepStrictEqual([page.body.data[0].id, page.body.hasMore], [all.body.data[0].id, true])
    const next = /<([^>]+)>; rel="next"/.exec(page.headers.get("link") ?? "")?.[1] ?? ""
    const second = await person.call("GET", next)
    assert.deepStrictEqual([second.body.data[0].id, second.body.hasMore], [id, false])
  })

  it("refuses a cursor of another user, and one that is changed", async () => {
    const [one, other] = [await newSubscriberTo(backend, "pro"), await newSubscriberTo(backend, "pro")]
    await backend.sdk.subscriptions.create({ customer: await customerOf(backend, one), items: [{ price: prices.proMonth }] })
    const { nextCursor } = (await one.call("GET", "/subscription/invoices?limit=1")).body
    assert.isString(nextCursor)
    for (const cursor of [`${nextCursor}x`, "eyJ9"])
      assert.strictEqual((await one.call("GET", `/subscription/invoices?cursor=${cursor}`)).status, 400)
    assert.strictEqual((await other.call("GET", `/subscription/invoices?cursor=${nextCursor}`)).status, 400)
    await backend.waitUntilIdle()
  })

  it("is 404 without a customer, and 503 while Stripe fails or answers something else", async () => {
    const person = await backend.newUser()
    const none = await person.call("GET", "/subscription/invoices")
    assert.deepStrictEqual([none.status, none.body.code], [404, "no_customer"])
    await subscribeTo(person, "pro")
    assert.deepStrictEqual((await person.call("GET", "/subscription/invoices")).body.data, [])
    for (const fault of [
      { kind: "status", status: 500, times: 9 },
      { kind: "json", status: 200, body: '{"object":"list","data":[{"id":7}],"has_more":false}', times: 1 }
    ] as const) {
      backend.stripe.addFault({ ...fault, path: "/v1/invoices" })
      const refused = await person.call("GET", "/subscription/invoices")
      backend.stripe.clearFaults()
      assert.deepStrictEqual([refused.status, refused.body.code], [503, "billing_unavailable"])
    }
    // Its customer was deleted at Stripe.
    backend.stripe.addFault({ kind: "status", status: 404, code: "resource_missing", path: "/v1/invoices", times: 1 })
    assert.strictEqual((await person.call("GET", "/subscription/invoices")).body.code, "no_customer")
  })
})

describe("a price of no plan", () => {
  it("is Basic, and an error in the log that names the subscription and the price", { timeout: 120_000 }, async () => {
    const other = await startTwoPlans({ processes: true })
    const process = await startBackendProcess(other, { PLANS: twoPlans() })
    try {
      const person = await newSubscriberTo(other, "max")
      const [subscription] = objects(other, "subscription")
      const { id } = await other.sdk.prices.create({
        currency: "usd",
        unit_amount: 1,
        product: "prod_max",
        recurring: { interval: "month" }
      })
      other.stripe.changePrice({ subscription: subscription?.id ?? "", price: id })
      await other.waitUntilIdle()
      assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
      const errors = () =>
        process
          .output()
          .split("\n")
          .filter((line) => line.includes("ERROR") && line.includes(id) && line.includes(subscription?.id ?? "?"))
      await until("an error in the log", async () => errors().length > 0, { seconds: 30 })
      other.stripe.changePrice({ subscription: subscription?.id ?? "", price: prices.maxYear })
      await other.waitUntilIdle()
      assert.deepInclude(await status(person), { tier: "max", interval: "year" })
    } finally {
      await process.kill("SIGKILL")
      await other.stop()
    }
  })
})
