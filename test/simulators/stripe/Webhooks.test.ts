import { Stripe } from "stripe"
import { afterAll, afterEach, assert, describe, it } from "vitest"
import { forgeries } from "../../../simulators/stripe/webhooks/Forgery.ts"
import { present, webhookSecret, startHarness } from "./Harness.ts"

const harness = await startHarness()
const { receiver, simulator, stripe } = harness

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

/** Creates this many customers, with an event each. */
const makeCustomers = async (count: number) => {
  for (let i = 0; i < count; i++) await stripe.customers.create({ name: String(i) })
  await simulator.idle()
}
const names = () => receiver.events.map(({ data }) => (data.object as Stripe.Customer).name)
const pending = async (success: boolean) => (await stripe.events.list({ delivery_success: success })).data.length

describe("events", () => {
  it("name their cause and version, and count pending deliveries", async () => {
    receiver.answers.push(500, 500, 500)
    const { lastResponse } = await stripe.customers.create({}, { idempotencyKey: "k" })
    await simulator.idle()
    const [event] = (await stripe.events.list()).data
    assert.deepInclude(event, {
      api_version: "2026-10-28.endive",
      livemode: false,
      pending_webhooks: 1,
      type: "customer.created"
    })
    assert.deepEqual(event?.request, { id: lastResponse.requestId, idempotency_key: "k" })
    assert.deepEqual([await pending(true), await pending(false)], [0, 1])
    await simulator.resend({ event: present(event).id })
    assert.deepEqual([await pending(true), await pending(false)], [1, 0])
    assert.equal((await stripe.events.retrieve(present(event).id)).pending_webhooks, 0)
  })

  it("are listed by types and time, for 30 days", async () => {
    const customer = await stripe.customers.create()
    await stripe.customers.update(customer.id, { name: "x" })
    await stripe.products.create({ name: "x" })
    const types = async (filter: Stripe.EventListParams) => (await stripe.events.list(filter)).data.map(({ type }) => type)
    assert.deepEqual(await types({ types: ["customer.created", "product.created"] }), ["product.created", "customer.created"])
    assert.deepEqual(await types({ type: "customer.*" }), ["customer.updated", "customer.created"])
    assert.deepEqual(await types({ created: { gt: simulator.now() } }), [])
    assert.lengthOf(await types({ created: { gte: customer.created, lte: simulator.now() } }), 3)
    simulator.advance({ days: 31 })
    assert.deepEqual(await types({}), [])
  })
})

describe("deliveries", () => {
  it("are signed, in order, and retried after a failure", async () => {
    receiver.answers.push(302, 500)
    await makeCustomers(1)
    assert.deepEqual(
      simulator.deliveries().map(({ attempt, outcome, status }) => [attempt, outcome, status]),
      [
        [1, "failed", 302],
        [2, "failed", 500],
        [3, "delivered", 200]
      ]
    )
    await makeCustomers(5)
    assert.deepEqual(names(), ["0", "0", "1", "2", "3", "4"])
    assert.deepEqual(receiver.refused, [])
  })

  it("stop after the last retry", async () => {
    receiver.answers.push(...Array<number>(5).fill(503))
    await makeCustomers(1)
    assert.deepEqual(receiver.events, [])
    assert.lengthOf(simulator.deliveries({ type: "customer.created" }), 3)
  })

  it("go only to subscribed endpoints, and stop with the endpoint", async () => {
    const endpoint = await stripe.webhookEndpoints.create({ url: receiver.url, enabled_events: ["product.created"] })
    assert.match(present(endpoint.secret), /^whsec_\w+$/)
    assert.notProperty(await stripe.webhookEndpoints.retrieve(endpoint.id), "secret")
    const to = (type: string) => simulator.deliveries({ type }).filter((each) => each.endpoint === endpoint.id)
    await makeCustomers(1)
    await stripe.products.create({ name: "x" })
    await simulator.idle()
    assert.lengthOf(to("customer.created"), 0)
    const { body, signature } = present(to("product.created")[0])
    assert.equal(Stripe.webhooks.constructEvent(body, present(signature), present(endpoint.secret)).type, "product.created")

    const sent = to("product.created").length
    await stripe.webhookEndpoints.update(endpoint.id, { disabled: true })
    await stripe.products.create({ name: "y" })
    await stripe.webhookEndpoints.del(endpoint.id)
    await simulator.idle()
    assert.lengthOf(to("product.created"), sent)
    assert.lengthOf((await stripe.webhookEndpoints.list()).data, 1)
  })

  it("are accepted after a rolled secret while both sign", async () => {
    simulator.rollSecret({ secret: "whsec_new", overlapSeconds: 60 })
    await makeCustomers(1)
    receiver.secrets[0] = "whsec_new"
    await makeCustomers(1)
    assert.lengthOf(receiver.events, 2)
    assert.match(present(present(simulator.deliveries()[0]).signature), /^t=\d+,v1=\w{64},v1=\w{64}$/)
    simulator.rollSecret({ secret: "whsec_newest" })
    await makeCustomers(1)
    assert.lengthOf(receiver.events, 2)
    assert.include(present(receiver.refused[0]), "No signatures found matching")
  })
})

describe("control over deliveries", () => {
  it("holds webhooks, releases some and drops the rest", async () => {
    simulator.holdWebhooks()
    await makeCustomers(4)
    assert.deepEqual([receiver.events.length, simulator.heldWebhooks().length], [0, 4])
    assert.equal(simulator.releaseWebhooks({ count: 1 }), 1)
    await simulator.idle()
    assert.deepEqual(names(), ["0"])
    assert.equal(simulator.dropHeldWebhooks(), 3)
    assert.equal(simulator.releaseWebhooks(), 0)
    await makeCustomers(1)
    assert.deepEqual(names(), ["0", "0"])
    assert.equal(await pending(false), 3)
  })

  it("shuffles the same way for the same seed", async () => {
    const orders: Array<string> = []
    for (const seed of [7, 7, 8]) {
      await harness.reset()
      simulator.holdWebhooks()
      await makeCustomers(8)
      simulator.releaseWebhooks({ seed })
      await simulator.idle()
      orders.push(names().join())
    }
    assert.equal(orders[0], orders[1])
    assert.notEqual(orders[0], orders[2])
    assert.deepEqual(present(orders[0]).split(",").sort(), ["0", "1", "2", "3", "4", "5", "6", "7"])
    assert.notEqual(orders[0], "0,1,2,3,4,5,6,7")
  })

  it("drops and duplicates the next events", async () => {
    simulator.addWebhookRule({ action: "drop", type: "customer.created" })
    simulator.addWebhookRule({ action: "duplicate", type: "customer.created", times: 1 })
    await makeCustomers(3)
    assert.deepEqual(names(), ["1", "1", "2"])
    assert.equal(receiver.events[0]?.id, receiver.events[1]?.id)
    assert.equal(simulator.deliveries()[0]?.outcome, "dropped")
  })

  it("resends an event while others are held", async () => {
    await makeCustomers(1)
    simulator.holdWebhooks()
    await simulator.resend({ event: present(receiver.events[0]).id })
    assert.deepEqual(names(), ["0", "0"])
  })

  it.each(forgeries)("forges: %s", async (kind) => {
    await makeCustomers(1)
    const [receipt] = await simulator.forge({ kind })
    // The SDK accepts these, so the receiver must check them itself.
    const passes = ["future", "other_mode", "other_version"].includes(kind)
    assert.equal(receipt?.status, passes ? 200 : 400, receiver.refused.join())
    assert.lengthOf(receiver.refused, passes ? 0 : 1)
    if (kind === "other_mode") assert.isTrue(receiver.events.at(-1)?.livemode)
    if (kind === "thin") assert.include(receiver.refused[0], "thin event")
    assert.equal(present(receiver.secrets[0]), webhookSecret)
  })
})
