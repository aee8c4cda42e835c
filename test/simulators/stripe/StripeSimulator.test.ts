import { once } from "node:events"
import { afterAll, assert, describe, it, onTestFinished } from "vitest"
import { routes } from "../../../simulators/stripe/resources/Routes.ts"
import { startStripeSimulator } from "../../../simulators/stripe/StripeSimulator.ts"
import type { StripeSimulatorOptions } from "../../../simulators/stripe/StripeSimulator.ts"
import { makeStripe, present, press, refusal, webhookSecret, startHarness } from "./Harness.ts"
import { answerComplaints, knownEventTypes, objectComplaints, operations, parametersOf } from "./Schemas.ts"
import { startMain } from "../startMain.ts"

const harness = await startHarness({ portalCancelsWith: "cancel_at_period_end", webhookConcurrency: 8 })
const { checkout, receiver, simulator, stripe } = harness
afterAll(() => harness.stop())

/** The simulator's clock is moved by its control, so Stripe's test clocks are left out. */
const simulated = operations.filter((operation) => !operation.includes("/test_clocks"))

/** The path of the operation as in Routes.ts. */
const ownPath = (operation: string) => operation.replace(/\{\w+\}/, ":id")
const routeOf = (operation: string) => routes.find(({ method, path }) => `${method} ${path}` === ownPath(operation))

/** Makes everything happen once that can happen to an account. */
const liveALittle = async () => {
  const customer = (await stripe.customers.create({ email: "ada@example.com", metadata: { user: "1" } })).id
  const product = (await stripe.products.create({ name: "Team" })).id
  await stripe.prices.create({ currency: "usd", unit_amount: 1, product, recurring: { interval: "week" } })
  const paid = await checkout({ customer, subscription_data: { metadata: { user: "1" } } })
  await press(paid.url, { action: "decline" })
  await press(paid.url, { action: "pay" })
  for (const outcome of ["succeeded", "failed"] as const) {
    const { id: session } = await checkout()
    simulator.checkout({ session, action: "later" })
    simulator.settlePayment({ session, outcome })
  }
  await stripe.checkout.sessions.expire((await checkout()).id)
  const subscription = String((await stripe.checkout.sessions.retrieve(paid.id)).subscription)
  const portal = await stripe.billingPortal.sessions.create({ customer })
  await press(portal.url, { action: "cancel_at_period_end" })
  await press(portal.url, { action: "renew" })
  simulator.advance({ days: 32 })
  simulator.setCard({ customer, card: "declines" })
  simulator.advance({ days: 31 })
  const { charge, payment_intent: intent } = simulator.refund({ charge: await paidCharge(customer), amount: 5 })
  const dispute = simulator.openDispute({ charge }).id
  simulator.closeDispute({ dispute, outcome: "won" })
  simulator.setSubscriptionStatus({ subscription, status: "paused" })
  simulator.setCard({ customer, card: "good" })
  await stripe.subscriptions.resume(subscription)
  await stripe.subscriptions.cancel(subscription, { prorate: true, invoice_now: true })
  await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["charge.refunded"] })
  await stripe.customers.del((await stripe.customers.create()).id)
  return {
    customer,
    product,
    charge,
    dispute,
    intent,
    subscription,
    session: paid.id,
    refundable: await paidCharge(),
    event: present((await stripe.events.list()).data[0]).id,
    invoice: present((await stripe.invoices.list({ customer })).data[0]).id
  }
}

/** The newest charge that can be refunded, of this customer or of any. */
const paidCharge = async (customer?: string) => {
  const { data } = await stripe.charges.list({ limit: 100, ...(customer !== undefined && { customer }) })
  return present(data.find(({ disputed, status }) => !disputed && status === "succeeded")).id
}

let life: Awaited<ReturnType<typeof liveALittle>>

/** The id for the path of an operation; an operation that ends an object gets its own. */
const idsFor = async (operation: string): Promise<Readonly<Record<string, string>>> => {
  const { charge, customer, dispute, event, intent, invoice, product, session, subscription } = life
  const live = (await stripe.subscriptions.create({ customer, items: [{ price: simulator.priceId }] })).id
  if (operation.includes("/resume")) simulator.setSubscriptionStatus({ subscription: live, status: "paused" })
  return {
    customers: operation.startsWith("DELETE") ? (await stripe.customers.create()).id : customer,
    products: product,
    prices: simulator.priceId,
    sessions: operation.includes("/expire") ? (await checkout()).id : session,
    subscriptions: operation.startsWith("GET") ? subscription : live,
    events: event,
    invoices: invoice,
    charges: charge,
    payment_intents: intent,
    disputes: dispute
  }
}

const bodyFor = (operation: string) => {
  const { customer, product, refundable } = life
  const bodies: Readonly<Record<string, string>> = {
    "POST /v1/products": "name=x",
    "POST /v1/prices": `currency=usd&unit_amount=1&product=${product}`,
    "POST /v1/checkout/sessions": `mode=subscription&success_url=http://a.test&line_items[0][price]=${simulator.priceId}&line_items[0][quantity]=1`,
    "POST /v1/subscriptions": `customer=${customer}&items[0][price]=${simulator.priceId}`,
    "POST /v1/billing_portal/sessions": `customer=${customer}`,
    "POST /v1/refunds": `charge=${refundable}&amount=1`,
    "POST /v1/webhook_endpoints": `url=${receiver.url}&enabled_events[]=*`
  }
  return bodies[operation] ?? ""
}

describe("conformance to Stripe's schemas", () => {
  it("holds for every object and every event's object", async () => {
    life = await liveALittle()
    await simulator.idle()
    assert.deepEqual(harness.complaints(), [])
    const { objects } = simulator.snapshot().state
    assert.sameMembers(Object.keys(objects), [
      "product",
      "price",
      "webhook_endpoint",
      "customer",
      "event",
      "checkout.session",
      "subscription",
      "invoice",
      "invoice_payment",
      "payment_intent",
      "charge",
      "refund",
      "dispute",
      "billing_portal.session"
    ])
    const types = simulator.deliveries().map(({ type }) => type)
    assert.isAtLeast(new Set(types).size, 30)
    assert.deepEqual(
      types.filter((type) => !knownEventTypes().includes(type)),
      []
    )
  })

  it("holds for every webhook as sent", async () => {
    const sent = simulator.deliveries().map(({ body }) => JSON.parse(body))
    assert.isAtLeast(sent.length, 100)
    assert.deepEqual(new Set(sent.flatMap(objectComplaints)), new Set())
    assert.isTrue(sent.every(({ pending_webhooks: pending }) => pending >= 1))
  })

  it.each(simulated)("holds for the answer to %s", async (operation) => {
    const [method = "", template = ""] = operation.split(" ")
    const ids = await idsFor(operation)
    const path = template.replace(/(\w+)\/\{\w+\}/, (_whole, name: string) => `${name}/${present(ids[name])}`)
    const response = await fetch(simulator.url + path, {
      method,
      headers: { authorization: "Bearer sk_test_walk" },
      ...(method === "POST" && { body: new URLSearchParams(bodyFor(operation)) })
    })
    assert.equal(response.status, 200)
    assert.deepEqual(answerComplaints(operation, await response.json()), [])
  })

  it.each(simulated)("holds for the parameters of %s", (operation) => {
    const { parameters } = present(routeOf(operation))
    // The specification of a deletion has no `expand`, but Stripe accepts it.
    assert.deepEqual(
      Object.keys(parameters).filter((name) => name !== "expand" && !parametersOf(operation).includes(name)),
      []
    )
  })
})

describe("the options", () => {
  const start = async (options: StripeSimulatorOptions) => {
    const other = await startHarness(options)
    onTestFinished(() => other.stop())
    return other
  }

  it("set the price, the key and the mode", async () => {
    const { simulator, stripe } = await start({
      priceId: "price_mine",
      secretKey: "sk_live_mine",
      unitAmount: 500,
      productName: "Gold"
    })
    assert.equal((await refusal(stripe.prices.list())).statusCode, 401)
    const price = await makeStripe(simulator, "sk_live_mine").prices.retrieve("price_mine", { expand: ["product"] })
    assert.deepInclude(price, { unit_amount: 500, livemode: true })
    assert.deepInclude(price.product, { name: "Gold" })
  })

  it("send only the events that an endpoint subscribes to", async () => {
    const url = receiver.url
    const { simulator, stripe } = await start({ webhooks: [{ url, secret: webhookSecret, enabledEvents: ["customer.deleted"] }] })
    const { id } = await stripe.customers.create()
    await stripe.customers.del(id)
    await simulator.idle()
    assert.deepEqual(
      simulator.deliveries().map(({ type }) => type),
      ["customer.deleted"]
    )
    simulator.reset()
    assert.lengthOf((await stripe.webhookEndpoints.list()).data, 1)
  })

  it("refuse a port in use", async () => {
    const error = await startStripeSimulator({ port: simulator.port }).catch((cause: unknown) => cause)
    assert.propertyVal(error, "code", "EADDRINUSE")
  })
})

describe("the process", () => {
  it("prints its URL, serves, and stops on SIGTERM", async () => {
    const { child, url } = await startMain("simulators/stripe/main.ts", [], { STRIPE_PRO_PRICE_ID: "price_env" })
    const response = await fetch(`${url}/v1/prices/price_env`, { headers: { authorization: "Bearer sk_test_x" } })
    assert.equal(response.status, 200)
    child.kill("SIGTERM")
    assert.deepEqual(await once(child, "exit"), [0, null])
  })
})
