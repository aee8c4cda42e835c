import type { Stripe } from "stripe"
import { afterAll, afterEach, assert, describe, it } from "vitest"
import { makeCoupon, makeDiscount, makePromotionCode } from "../../../simulators/stripe/objects/Discount.ts"
import { makePortalConfiguration } from "../../../simulators/stripe/objects/PortalConfiguration.ts"
import { makeTaxRegistration, makeTaxSettings } from "../../../simulators/stripe/objects/Tax.ts"
import { periodOf, present, press, refusal, startHarness } from "./Harness.ts"

const year = "price_year"
const harness = await startHarness({
  taxCountries: ["DE"],
  otherPrices: [
    { priceId: year, productId: "prod_simulated_pro", productName: "Pro", unitAmount: 20_000, interval: "year" },
    { priceId: "price_max", productId: "prod_max", productName: "Max", unitAmount: 5_000, interval: "month" }
  ]
})
const { checkout, receiver, simulator, stripe, subscribe } = harness

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

/** The subset of Stripe's document has no schema of these kinds: the compiler compares them with the SDK's types. */
const typed = [
  makeCoupon satisfies (...input: Parameters<typeof makeCoupon>) => Stripe.Coupon,
  makePromotionCode satisfies (...input: Parameters<typeof makePromotionCode>) => Stripe.PromotionCode,
  makeDiscount satisfies (...input: Parameters<typeof makeDiscount>) => Stripe.Discount,
  makePortalConfiguration satisfies (...input: Parameters<typeof makePortalConfiguration>) => Stripe.BillingPortal.Configuration,
  makeTaxRegistration satisfies (...input: Parameters<typeof makeTaxRegistration>) => Stripe.Tax.Registration,
  makeTaxSettings satisfies (...input: Parameters<typeof makeTaxSettings>) => Stripe.Tax.Settings
]

const day = 86_400
const invoicesOf = async (customer: string) => (await stripe.invoices.list({ customer })).data
const newCustomer = async () => (await stripe.customers.create({ email: "ada@example.com" })).id
const newCode = async (coupon: Stripe.CouponCreateParams, code: string) => {
  const { id } = await stripe.coupons.create(coupon)
  return stripe.promotionCodes.create({ promotion: { type: "coupon", coupon: id }, code })
}

describe("objects without a schema", () => {
  it("have the SDK's types", () => assert.lengthOf(typed, 6))
})

describe("coupons and promotion codes", () => {
  it("are created, found whatever the case, and switched off", async () => {
    const { id } = await newCode({ percent_off: 25, duration: "once" }, "Spring")
    const found = async () => (await stripe.promotionCodes.list({ code: "sPRING", active: true })).data.map((each) => each.id)
    assert.deepEqual(await found(), [id])
    await stripe.promotionCodes.update(id, { active: false })
    assert.deepEqual(await found(), [])
    const taken = newCode({ percent_off: 25 }, "spring")
    assert.equal((await taken).code, "spring")
    assert.equal((await refusal(newCode({ percent_off: 5 }, "SPRING"))).param, "code")
    for (const wrong of [{}, { percent_off: 5, amount_off: 5 }, { amount_off: 5 }, { percent_off: 101 }])
      assert.equal((await refusal(stripe.coupons.create(wrong))).statusCode, 400)
  })

  it.each([
    [{ duration: "once" }, [1_500, 2_000, 2_000]],
    [{ duration: "repeating", duration_in_months: 2 }, [1_500, 1_500, 2_000]],
    [{ duration: "forever" }, [1_500, 1_500, 1_500]]
  ] as const)("lower the invoices for as long as they say: %o", async (duration, totals) => {
    const customer = await newCustomer()
    const code = await newCode({ percent_off: 25, ...duration }, "LESS")
    const session = await checkout({ customer, discounts: [{ promotion_code: code.id }] })
    assert.deepEqual([session.amount_subtotal, session.amount_total], [2_000, 1_500])
    simulator.checkout({ session: session.id, action: "pay" })
    simulator.advance({ days: 70 })
    assert.deepEqual((await invoicesOf(customer)).map(({ total }) => total).toReversed(), [...totals])
    const [first] = (await invoicesOf(customer)).toReversed()
    assert.deepEqual(
      first?.total_discount_amounts?.map(({ amount }) => amount),
      [500]
    )
  })

  it("are typed into the page, which shows what they take off", async () => {
    await newCode({ amount_off: 500, currency: "usd" }, "FIVE")
    const { id, url } = await checkout({ allow_promotion_codes: true })
    const wrong = await press(url, { action: "code", code: "SIX" })
    assert.include(await wrong.text(), "This code is invalid.")
    const shown = await (await press(url, { action: "code", code: "five" })).text()
    assert.include(shown, "−$5.00")
    assert.include(shown, "$15.00")
    await press(url, { action: "pay", email: "ada@example.com" })
    const { subscription } = await stripe.checkout.sessions.retrieve(id, {
      expand: ["subscription.discounts.source.coupon", "subscription.discounts.promotion_code"]
    })
    assert.equal((await stripe.checkout.sessions.retrieve(id)).amount_total, 1_500)
    assert.equal((subscription as Stripe.Subscription).status, "active")
  })
})

describe("a trial", () => {
  const trial = { trial_period_days: 7, trial_settings: { end_behavior: { missing_payment_method: "cancel" as const } } }
  const start = async (action: "pay" | "start") => {
    const customer = await newCustomer()
    const session = await checkout({ customer, subscription_data: trial, payment_method_collection: "if_required" })
    const done = simulator.checkout({ session: session.id, action })
    assert.deepInclude(done, { amount_total: 0, payment_status: "no_payment_required" })
    return { customer, subscription: () => stripe.subscriptions.retrieve(present(done.subscription)) }
  }

  it("costs nothing, is the first period, and is paid for when it ends", async () => {
    const { customer, subscription } = await start("pay")
    const before = await subscription()
    assert.equal(before.status, "trialing")
    assert.equal(periodOf(before).end, before.trial_end)
    assert.equal(present(before.trial_end) - present(before.trial_start), 7 * day)
    simulator.advance({ days: 8 })
    assert.equal((await subscription()).status, "active")
    assert.deepEqual(
      (await invoicesOf(customer)).map(({ status, total }) => [status, total]),
      [
        ["paid", 2_000],
        ["paid", 0]
      ]
    )
  })

  it("ends the subscription without a card, unless one was added", async () => {
    const without = await start("start")
    const withCard = await start("start")
    const { url } = await stripe.billingPortal.sessions.create({ customer: withCard.customer })
    assert.include(await (await fetch(url)).text(), "<p>None</p>")
    await press(url, { action: "new_card" })
    simulator.advance({ days: 8 })
    assert.deepEqual([(await without.subscription()).status, (await withCard.subscription()).status], ["canceled", "active"])
  })

  it("needs a card where the session says so", async () => {
    const { id } = await checkout({ subscription_data: trial })
    assert.throws(() => simulator.checkout({ session: id, action: "start" }), /needs a card/)
  })
})

describe("automatic tax", () => {
  const taxed = { automatic_tax: { enabled: true }, customer_update: { address: "auto" as const } }

  it("adds a fixed rate to the session and to every invoice", async () => {
    const customer = await newCustomer()
    const session = await checkout({ customer, ...taxed })
    assert.deepEqual([session.amount_total, session.total_details?.amount_tax], [2_380, 380])
    simulator.checkout({ session: session.id, action: "pay" })
    simulator.advance({ days: 32 })
    for (const invoice of await invoicesOf(customer)) {
      assert.deepEqual([invoice.total, invoice.total_excluding_tax], [2_380, 2_000])
      assert.deepEqual(
        invoice.total_taxes?.map(({ amount }) => amount),
        [380]
      )
    }
  })

  it("is refused without a registration, and without the permission to store the address", async () => {
    const customer = await newCustomer()
    assert.equal((await refusal(checkout({ customer, automatic_tax: { enabled: true } }))).param, "customer_update[address]")
    const other = await startHarness()
    try {
      assert.equal((await refusal(other.checkout(taxed))).param, "automatic_tax[enabled]")
      await other.stripe.tax.registrations.create({ country: "DE", active_from: "now", country_options: {} })
      assert.isString((await other.checkout(taxed)).id)
    } finally {
      await other.stop()
    }
  })
})

describe("a change of the price", () => {
  it("is credited and charged by the rest of the period, and an interval begins a new one", async () => {
    const { customer, id } = await subscribe()
    const { end, start } = periodOf(await stripe.subscriptions.retrieve(id))
    simulator.advance({ seconds: Math.round((end - start) / 2) })
    const item = present((await stripe.subscriptions.retrieve(id)).items.data[0]).id
    const upgraded = await stripe.subscriptions.update(id, { items: [{ id: item, price: "price_max" }] })
    assert.deepEqual(periodOf(upgraded), { start, end })
    const [proration] = await invoicesOf(customer)
    assert.closeTo(present(proration).total, 1_500, 2)
    const yearly = await stripe.subscriptions.update(id, { items: [{ id: item, price: year }] })
    assert.equal(periodOf(yearly).start, simulator.now())
    assert.equal(present(yearly.items.data[0]).plan.interval, "year")
    await simulator.idle()
    const changed = receiver.events.filter(({ type }) => type === "customer.subscription.updated")
    assert.isTrue(changed.some(({ data }) => "items" in (data.previous_attributes ?? {})))
  })

  it("is offered by a portal whose configuration has the prices", async () => {
    const { customer, id } = await subscribe()
    const features: Stripe.BillingPortal.ConfigurationCreateParams["features"] = {
      subscription_update: {
        enabled: true,
        default_allowed_updates: ["price"],
        products: [
          { product: "prod_simulated_pro", prices: [simulator.priceId, year] },
          { product: "prod_max", prices: ["price_max"] }
        ],
        proration_behavior: "always_invoice"
      }
    }
    const { id: configuration } = await stripe.billingPortal.configurations.create({ features, metadata: { mark: "1" } })
    assert.deepEqual(
      (await stripe.billingPortal.configurations.list({ active: true })).data.map((each) => each.metadata),
      [{ mark: "1" }]
    )
    const { url } = await stripe.billingPortal.sessions.create({ customer, configuration })
    await press(url, { action: "change", price: "price_max" })
    assert.equal(present((await stripe.subscriptions.retrieve(id)).items.data[0]).price.id, "price_max")
    const plain = await stripe.billingPortal.sessions.create({ customer })
    assert.equal((await press(plain.url, { action: "change", price: year })).status, 400)
    simulator.setCard({ customer, card: "declines" })
    assert.equal((await press(url, { action: "change", price: year })).status, 402)
    const sameInterval = { product: "prod_max", prices: ["price_max", "price_max"] }
    const refused = stripe.billingPortal.configurations.create({
      features: { subscription_update: { enabled: true, products: [sameInterval] } }
    })
    assert.equal((await refusal(refused)).statusCode, 400)
  })
})

describe("an invoice", () => {
  it("has a page and a PDF", async () => {
    const { customer } = await subscribe()
    const [invoice] = await invoicesOf(customer)
    const pdf = await fetch(present(invoice?.invoice_pdf))
    assert.deepEqual([pdf.headers.get("content-type"), (await pdf.text()).slice(0, 5)], ["application/pdf", "%PDF-"])
    assert.equal((await fetch(present(invoice?.hosted_invoice_url))).status, 200)
  })
})
