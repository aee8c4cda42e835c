import { Stripe } from "stripe"
import { afterAll, afterEach, assert, describe, it, onTestFinished } from "vitest"
import { startStripeSimulator } from "../../../simulators/stripe/StripeSimulator.ts"
import { makeStripe, present, refusal, startHarness } from "./Harness.ts"

const harness = await startHarness()
const { checkout, simulator, stripe, subscribe } = harness

afterEach(async () => {
  assert.deepEqual(harness.complaints(), [])
  await harness.reset()
})
afterAll(() => harness.stop())

const create = (client = stripe, options: Stripe.RequestOptions = {}) => client.customers.create({ name: "Ada" }, options)
const count = async () => (await stripe.customers.list()).data.length

describe("faults, as the SDK surfaces them", () => {
  it.each([
    [500, "StripeAPIError", undefined],
    [402, "StripeCardError", "card_declined"],
    [429, "StripeRateLimitError", "rate_limit"],
    [409, "StripeAPIError", "lock_timeout"],
    [403, "StripePermissionError", undefined]
  ])("a status %i is a %s", async (status, type, code) => {
    simulator.addFault({ kind: "status", status, path: "/v1/customers" })
    const error = await refusal(create())
    assert.deepEqual([error.statusCode, error.type, error.code], [status, type, code])
    assert.equal(await count(), 0)
  })

  it("a page of HTML is an API error without a status", async () => {
    simulator.addFault({ kind: "html", path: "/v1/customers" })
    const error = await refusal(create())
    assert.deepEqual(
      [error.type, error.statusCode, error.message],
      ["StripeAPIError", undefined, "Invalid JSON received from the Stripe API"]
    )
  })

  it("JSON without `error` resolves as the answer, whatever the status", async () => {
    simulator.addFault({ kind: "json", status: 502, path: "/v1/customers" })
    const answer = await create()
    assert.deepEqual([answer.id as unknown, answer.lastResponse.statusCode], [undefined, 502])
  })

  it("a reset connection is retried once even without retries, with the same key", async () => {
    simulator.addFault({ kind: "reset", afterEffect: true })
    const { id } = await create()
    assert.deepEqual(
      (await stripe.customers.list()).data.map((each) => each.id),
      [id]
    )
    const [first, second] = simulator.requests({ method: "POST" })
    assert.deepEqual([first?.fault, first?.status, second?.replayed], ["reset", null, true])
    assert.equal(first?.idempotencyKey, second?.idempotencyKey)
    simulator.addFault({ kind: "reset", times: 2 })
    assert.equal((await refusal(create())).type, "StripeConnectionError")
    assert.equal(await count(), 1)
  })

  it("an answer cut in the middle is a connection error, and the call has taken effect", async () => {
    simulator.addFault({ kind: "cut" })
    assert.equal((await refusal(create())).type, "StripeConnectionError")
    assert.equal(await count(), 1)
  })

  it("a missing answer is a timeout", async () => {
    simulator.addFault({ kind: "hang" })
    const error = await refusal(create(stripe, { timeout: 50 }))
    assert.deepEqual(
      [error.type, error.message],
      ["StripeConnectionError", "Request aborted due to timeout being reached (50ms)"]
    )
    simulator.addFault({ kind: "delay", millis: 60 })
    const start = performance.now()
    await create()
    assert.isAtLeast(performance.now() - start, 55)
  })

  it("the SDK retries 5xx and 409, but 429 only if the header asks for it", async () => {
    const patient = makeStripe(simulator, "sk_test_patient", { maxNetworkRetries: 1 })
    simulator.addFault({ kind: "status", status: 503 })
    await create(patient)
    simulator.addFault({ kind: "status", status: 409 })
    await create(patient)
    simulator.addFault({ kind: "status", status: 429 })
    assert.instanceOf(await refusal(create(patient)), Stripe.errors.StripeRateLimitError)
    simulator.addFault({ kind: "status", status: 429, shouldRetry: true })
    await create(patient)
    assert.deepEqual(
      simulator.requests().map(({ status }) => status),
      [503, 200, 409, 200, 429, 429, 200]
    )
  })

  it("hits matching calls after the skipped ones, and can be cleared", async () => {
    simulator.addFault({ kind: "status", method: "POST", path: "/v1/checkout", skip: 1, times: 1 })
    await create()
    await checkout()
    await refusal(checkout())
    await checkout()
    simulator.addFault({ kind: "status", times: 100 })
    simulator.clearFaults()
    await create()
  })
})

describe("snapshots", () => {
  it("restore objects, clock, cards, keys and secrets", async () => {
    const { customer, id } = await subscribe()
    const options = { idempotencyKey: "kept" }
    simulator.setCard({ customer, card: "declines" })
    simulator.rollSecret({ secret: "whsec_rolled" })
    simulator.advance({ days: 10 })
    const kept = await create(stripe, options)
    const then = simulator.now()
    const before = simulator.snapshot()
    await stripe.customers.del(customer)
    simulator.advance({ days: 400 })
    simulator.rollSecret({ secret: "whsec_lost" })
    simulator.restore(before)
    assert.deepEqual(simulator.snapshot(), before)
    assert.closeTo(simulator.now(), then, 2)
    assert.equal((await create(stripe, options)).id, kept.id)
    assert.equal((await stripe.subscriptions.retrieve(id)).status, "active")
    simulator.advance({ days: 25 })
    assert.equal((await stripe.subscriptions.retrieve(id)).status, "past_due")
  })

  it("are unaffected by later changes, and can start another simulator", async () => {
    const { url } = await checkout()
    const saved = JSON.parse(JSON.stringify(simulator.snapshot()))
    const copy = simulator.snapshot()
    await create()
    assert.deepEqual(copy.state, saved.state)
    const other = await startStripeSimulator({ snapshot: saved })
    onTestFinished(() => other.stop())
    const [session] = (await makeStripe(other).checkout.sessions.list()).data
    assert.equal(session?.url, present(url).replace(simulator.url, other.url))
  })
})

describe("the control over HTTP", () => {
  const control = async (name: string, body: object = {}) => {
    const response = await fetch(`${simulator.url}/__control/${name}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" }
    })
    return { status: response.status, json: await response.json() }
  }

  it("runs the methods of the handle", async () => {
    const { customer, id, session } = await subscribe()
    assert.equal((await control("setCard", { customer, card: "declines" })).json, null)
    assert.closeTo((await control("advance", { days: 32 })).json, simulator.now(), 2)
    assert.equal((await stripe.subscriptions.retrieve(id)).status, "past_due")
    assert.equal((await control("setSubscriptionStatus", { subscription: id, status: "active" })).json.status, "active")
    const charge = (await stripe.charges.list({ customer })).data.find(({ paid }) => paid)?.id
    assert.equal((await control("refund", { charge, amount: 300 })).json.amount, 300)
    const dispute = (await control("openDispute", { charge })).json.id
    assert.equal((await control("closeDispute", { dispute, outcome: "lost" })).json.status, "lost")
    await control("addFault", { kind: "status", status: 429 })
    assert.equal((await refusal(stripe.customers.list())).statusCode, 429)
    await control("addFault", { kind: "status" })
    await control("clearFaults")
    assert.include((await control("requests", { path: "/v1/customers" })).json.at(-1), { method: "GET", status: 429 })

    const open = await checkout()
    assert.equal(
      (await control("checkout", { session: open.id, action: "later", email: "a@b.test" })).json.payment_status,
      "unpaid"
    )
    assert.equal((await control("settlePayment", { session: open.id, outcome: "succeeded" })).json.payment_status, "paid")
    assert.equal((await control("settlePayment", { session, outcome: "failed" })).status, 400)
  })

  it("controls webhooks", async () => {
    await control("holdWebhooks")
    await control("addWebhookRule", { action: "duplicate" })
    await create()
    assert.lengthOf((await control("heldWebhooks")).json, 2)
    assert.equal((await control("releaseWebhooks", { count: 1, seed: 3 })).json, 1)
    assert.equal((await control("dropHeldWebhooks")).json, 1)
    assert.isTrue((await control("idle", { timeoutMillis: 1000 })).json)
    const [delivery] = (await control("deliveries", { type: "customer.created" })).json
    assert.equal((await control("resend", { event: delivery.event })).json[0].status, 200)
    assert.equal((await control("forge", { kind: "old" })).json[0].status, 400)
    assert.match((await control("rollSecret", { overlapSeconds: 5 })).json, /^whsec_/)
  })

  it("saves, restores and starts over", async () => {
    await create()
    const { json } = await control("snapshot")
    await control("reset")
    assert.equal(await count(), 0)
    await control("restore", json)
    assert.equal(await count(), 1)
    assert.closeTo((await control("now")).json, Date.now() / 1000, 2)
  })

  it.each([
    ["nonsense", {}, 404],
    ["advance", { weeks: 1 }, 400],
    ["setCard", { customer: "cus_x", card: "good" }, 404],
    ["setCard", { customer: "cus_x" }, 400],
    ["addFault", { kind: "gremlin" }, 400],
    ["restore", {}, 400]
  ])("refuses %s %j", async (name, body, status) => {
    assert.equal((await control(name, body)).status, status)
  })
})

describe("a status that Stripe does not have", () => {
  it("can be set", async () => {
    const { id } = await subscribe()
    simulator.setSubscriptionStatus({ subscription: id, status: "hibernating" })
    assert.equal((await stripe.subscriptions.retrieve(id)).status, "hibernating")
    assert.notDeepEqual(harness.complaints(), [])
    simulator.setSubscriptionStatus({ subscription: id, status: "canceled" })
    assert.isNumber((await stripe.subscriptions.retrieve(id)).ended_at)
    simulator.reset()
  })
})
