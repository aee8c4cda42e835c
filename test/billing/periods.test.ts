import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person, Reply } from "../support/Client.ts"
import {
  stripeSubscriptions,
  customerOf,
  newestEvent,
  storedEvents,
  setStripeClock,
  startTestBackend,
  status,
  storedSubscriptions,
  subscribe,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { until } from "../support/wait.ts"

const refusal = ({ body, status }: Reply) => [status, body.code]
const days = (count: number) => count * 86_400_000

/** A person who subscribed `daysAgo`, renewed up to now. */
const renewed = async (
  backend: TestBackend,
  daysAgo: number,
  card: "good" | "declines",
  prepare = async (_person: Person) => {}
) => {
  setStripeClock(backend, -daysAgo)
  const person = await newSubscriber(backend)
  const customer = await customerOf(backend, person)
  await prepare(person)
  backend.stripe.setCard({ customer, card })
  backend.stripe.advance({ days: daysAgo })
  await backend.waitUntilIdle()
  const subscription = stripeSubscriptions(backend, customer)[0]
  const period = subscription?.items.data[0]
  return { person, customer, id: subscription?.id ?? "", start: (period?.current_period_start ?? 0) * 1000 }
}

describe("a renewal", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend({ simulator: { retryDays: [30, 30, 30] } })
  })
  afterAll(() => backend.stop())

  it("keeps Pro with the new period when it is paid", async () => {
    const { person, start } = await renewed(backend, 33, "good")
    const now = await status(person)
    assert.deepInclude(now, { tier: "pro", status: "active", graceEndsAt: null })
    assert.isAbove(Date.parse(now.currentPeriodEnd), Date.now())
    assert.isBelow(start, Date.now())
  })

  it("keeps Pro for seven days when it fails, shows the invoice, and keeps Pro once it is paid", async () => {
    const { customer, id, person, start } = await renewed(backend, 33, "declines")
    const now = await status(person)
    assert.deepInclude(now, { tier: "pro", status: "past_due" })
    assert.strictEqual(Date.parse(now.graceEndsAt), start + days(7))
    assert.match(now.invoiceUrl, /\/invoice\/in_/)
    const again = await subscribe(person)
    assert.deepStrictEqual([...refusal(again), again.body.invoiceUrl], [409, "payment_required", now.invoiceUrl])

    // The grace period ends by the database's clock alone, without an event.
    await backend.database.query(
      "update subscriptions set current_period_start = now() - interval '7 days' + interval '2 seconds' where id = $1",
      [id]
    )
    await backend.database.query("select decide_tier($1)", [person.userId])
    assert.strictEqual(await tierOf(person), "pro")
    await until("Basic", async () => (await tierOf(person)) === "basic", { seconds: 30 })
    assert.strictEqual((await person.call("GET", "/user/me")).body.tier, "basic")

    backend.stripe.setCard({ customer, card: "good" })
    await fetch(now.invoiceUrl, { method: "POST", body: new URLSearchParams({ action: "pay" }), redirect: "manual" })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "pro", status: "active", graceEndsAt: null, invoiceUrl: null })
  })

  it("answers the exact end of Pro when it fails", async () => {
    const { person } = await renewed(backend, 33, "declines")
    const [row] = await backend.database.query<{ pro_until: Date }>(
      "update users set pro_until = date_trunc('milliseconds', now()) + interval '3 seconds' where id = $1 returning pro_until",
      [person.userId]
    )
    assert.deepInclude(await status(person), { tier: "pro", graceEndsAt: row?.pro_until.toISOString() })
    await until("Basic", async () => (await tierOf(person)) === "basic", { seconds: 30 })
    assert.deepInclude(await status(person), { tier: "basic", graceEndsAt: row?.pro_until.toISOString() })
  })

  it("is Basic when it failed more than seven days ago", async () => {
    const { person, start } = await renewed(backend, 45, "declines")
    const now = await status(person)
    assert.deepInclude(now, { tier: "basic", status: "past_due" })
    assert.strictEqual(Date.parse(now.graceEndsAt), start + days(7))
    assert.isBelow(Date.parse(now.graceEndsAt), Date.now())
  })

  it("is found by the next reconciliation when its webhooks were lost", async () => {
    const { person } = await renewed(backend, 45, "declines", async () => backend.stripe.holdWebhooks())
    backend.stripe.dropHeldWebhooks()
    backend.stripe.releaseWebhooks()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    await backend.runTask("stripe_reconcile")
    assert.deepInclude(await status(person), { tier: "basic", status: "past_due" })
  })

  it("does not happen after a cancellation: Basic when the period is over", async () => {
    const { person } = await renewed(backend, 45, "good", async (person) => {
      assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
      assert.strictEqual(await tierOf(person), "pro")
    })
    assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
    assert.strictEqual((await subscribe(person)).status, 201)
  })
})

describe("a renewal after its last retry", () => {
  for (const [afterRetries, word] of [
    ["cancel", "canceled"],
    ["unpaid", "unpaid"],
    ["past_due", "past_due"]
  ] as const) {
    it(`is Basic: ${word}`, async () => {
      const backend = await startTestBackend({ simulator: { afterRetries, retryDays: [1, 1] } })
      try {
        const { person } = await renewed(backend, 45, "declines")
        assert.deepInclude(await status(person), { tier: "basic", status: word })
        const again = await subscribe(person)
        assert.deepStrictEqual(refusal(again)[0], word === "canceled" ? 201 : 409)
      } finally {
        await backend.stop()
      }
    })
  }
})

describe("a refund", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())
  const subscriptionOf = async (person: Person) => (await storedSubscriptions(backend, person))[0]?.id ?? ""

  it("ends Pro for the period when it is full, not when it is partial", async () => {
    const full = await newSubscriber(backend)
    backend.stripe.refund({ charge: await subscriptionOf(full) })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(full), { tier: "basic", status: "active" })
    await backend.runTask("stripe_reconcile_all")
    assert.strictEqual(await tierOf(full), "basic")

    const part = await newSubscriber(backend)
    backend.stripe.refund({ charge: await subscriptionOf(part), amount: 500 })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(part), "pro")
    backend.stripe.refund({ charge: await subscriptionOf(part), amount: 1500 })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(part), "basic")
  })

  it("changes nothing when it is for a product other than Pro", async () => {
    const person = await newSubscriber(backend)
    const customer = await customerOf(backend, person)
    const mugs = await backend.sdk.prices.create({
      currency: "usd",
      unit_amount: 100,
      recurring: { interval: "month" },
      product_data: { name: "Mug club" }
    })
    const other = await backend.sdk.subscriptions.create({ customer, items: [{ price: mugs.id }] })
    await backend.waitUntilIdle()
    backend.stripe.refund({ charge: other.id })
    await backend.waitUntilIdle()
    assert.strictEqual(
      (await storedEvents(backend)).get(newestEvent(backend, "charge.refunded", customer).id)?.outcome,
      "processed"
    )
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })

  it("leaves the new period Pro when it is for last month", async () => {
    const { person } = await renewed(backend, 33, "good", async (person) => {
      backend.stripe.refund({ charge: await subscriptionOf(person) })
      await backend.waitUntilIdle()
      assert.strictEqual(await tierOf(person), "basic")
    })
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })
})

describe("a dispute", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())

  for (const [outcome, tier] of [
    ["lost", "basic"],
    ["won", "pro"]
  ] as const) {
    it(`leads to ${tier} when it is ${outcome}, though its events do not name the customer`, async () => {
      const person = await newSubscriber(backend)
      const dispute = backend.stripe.openDispute({ charge: (await storedSubscriptions(backend, person))[0]?.id ?? "" })
      await backend.waitUntilIdle()
      assert.strictEqual(await tierOf(person), "pro")
      backend.stripe.closeDispute({ dispute: dispute.id, outcome })
      await backend.waitUntilIdle()
      assert.deepInclude(await status(person), { tier, status: "active" })
      const closed = newestEvent(backend, "charge.dispute.closed")
      assert.notProperty(closed.data.object, "customer")
      const kept = (await storedEvents(backend)).get(closed.id)
      assert.deepStrictEqual([kept?.outcome, kept?.customer_id], ["processed", await customerOf(backend, person)])
      await backend.runTask("stripe_reconcile_all")
      assert.strictEqual(await tierOf(person), tier)
    })
  }

  it("is stored and ignored for another application's customer", async () => {
    const stranger = await backend.sdk.customers.create()
    const subscription = await backend.sdk.subscriptions.create({
      customer: stranger.id,
      items: [{ price: backend.stripe.priceId }]
    })
    const dispute = backend.stripe.openDispute({ charge: subscription.id })
    backend.stripe.closeDispute({ dispute: dispute.id, outcome: "lost" })
    await backend.waitUntilIdle()
    assert.strictEqual((await storedEvents(backend)).get(newestEvent(backend, "charge.dispute.closed").id)?.outcome, "ignored")
    assert.deepStrictEqual(
      await backend.database.query(
        "select 1 from billing_holds h where not exists (select 1 from subscriptions s where s.id = h.subscription_id)"
      ),
      []
    )
  })

  it("is handled in any order of its events", async () => {
    const person = await newSubscriber(backend)
    backend.stripe.holdWebhooks()
    const dispute = backend.stripe.openDispute({ charge: (await storedSubscriptions(backend, person))[0]?.id ?? "" })
    backend.stripe.closeDispute({ dispute: dispute.id, outcome: "lost" })
    backend.stripe.releaseWebhooks({ seed: 7 })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "basic")
  })

  it("does not affect a later subscription when it is lost for an earlier one", async () => {
    const person = await newSubscriber(backend)
    const [first] = await storedSubscriptions(backend, person)
    const dispute = backend.stripe.openDispute({ charge: first?.id ?? "" })
    backend.stripe.closeDispute({ dispute: dispute.id, outcome: "lost" })
    backend.stripe.setSubscriptionStatus({ subscription: first?.id ?? "", status: "canceled" })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "basic")
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201)
    backend.stripe.checkout({ session: reply.body.sessionId, action: "pay" })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })
})
