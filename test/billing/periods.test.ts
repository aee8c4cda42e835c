import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person, Reply } from "../support/Client.ts"
import {
  atStripe,
  customerOf,
  eventOf,
  inbox,
  setClock,
  startWorld,
  status,
  stored,
  subscribe,
  subscriber,
  tierOf,
  until,
  type World
} from "./World.ts"

const refusal = ({ body, status }: Reply) => [status, body.code]
const days = (count: number) => count * 86_400_000

/** A person who subscribed `daysAgo`, renewed up to now. */
const renewed = async (world: World, daysAgo: number, card: "good" | "declines", prepare = async (_person: Person) => {}) => {
  setClock(world, -daysAgo)
  const person = await subscriber(world)
  const customer = await customerOf(world, person)
  await prepare(person)
  world.stripe.setCard({ customer, card })
  world.stripe.advance({ days: daysAgo })
  await world.settled()
  const subscription = atStripe(world, customer)[0]
  const period = subscription?.items.data[0]
  return { person, customer, id: subscription?.id ?? "", start: (period?.current_period_start ?? 0) * 1000 }
}

describe("a renewal", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ simulator: { retryDays: [30, 30, 30] } })
  })
  afterAll(() => world.stop())

  it("keeps Pro with the new period when it is paid", async () => {
    const { person, start } = await renewed(world, 33, "good")
    const now = await status(person)
    assert.deepInclude(now, { tier: "pro", status: "active", graceEndsAt: null })
    assert.isAbove(Date.parse(now.currentPeriodEnd), Date.now())
    assert.isBelow(start, Date.now())
  })

  it("keeps Pro for seven days when it fails, shows the invoice, and keeps Pro once it is paid", async () => {
    const { customer, id, person, start } = await renewed(world, 33, "declines")
    const now = await status(person)
    assert.deepInclude(now, { tier: "pro", status: "past_due" })
    assert.strictEqual(Date.parse(now.graceEndsAt), start + days(7))
    assert.match(now.invoiceUrl, /\/invoice\/in_/)
    const again = await subscribe(person)
    assert.deepStrictEqual([...refusal(again), again.body.invoiceUrl], [409, "payment_required", now.invoiceUrl])

    // The grace period ends by the database's clock alone, without an event.
    await world.database.query(
      "update subscriptions set current_period_start = now() - interval '7 days' + interval '2 seconds' where id = $1",
      [id]
    )
    await world.database.query("select decide_tier($1)", [person.userId])
    assert.strictEqual(await tierOf(person), "pro")
    await until("Basic", 30, async () => (await tierOf(person)) === "basic")
    assert.strictEqual((await person.call("GET", "/user/me")).body.tier, "basic")

    world.stripe.setCard({ customer, card: "good" })
    await fetch(now.invoiceUrl, { method: "POST", body: new URLSearchParams({ action: "pay" }), redirect: "manual" })
    await world.settled()
    assert.deepInclude(await status(person), { tier: "pro", status: "active", graceEndsAt: null, invoiceUrl: null })
  })

  it("answers the exact end of Pro when it fails", async () => {
    const { person } = await renewed(world, 33, "declines")
    const [row] = await world.database.query<{ pro_until: Date }>(
      "update users set pro_until = date_trunc('milliseconds', now()) + interval '3 seconds' where id = $1 returning pro_until",
      [person.userId]
    )
    assert.deepInclude(await status(person), { tier: "pro", graceEndsAt: row?.pro_until.toISOString() })
    await until("Basic", 30, async () => (await tierOf(person)) === "basic")
    assert.deepInclude(await status(person), { tier: "basic", graceEndsAt: row?.pro_until.toISOString() })
  })

  it("is Basic when it failed more than seven days ago", async () => {
    const { person, start } = await renewed(world, 45, "declines")
    const now = await status(person)
    assert.deepInclude(now, { tier: "basic", status: "past_due" })
    assert.strictEqual(Date.parse(now.graceEndsAt), start + days(7))
    assert.isBelow(Date.parse(now.graceEndsAt), Date.now())
  })

  it("is found by the next reconciliation when its webhooks were lost", async () => {
    const { person } = await renewed(world, 45, "declines", async () => world.stripe.holdWebhooks())
    world.stripe.dropHeldWebhooks()
    world.stripe.releaseWebhooks()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    await world.run("stripe_reconcile")
    assert.deepInclude(await status(person), { tier: "basic", status: "past_due" })
  })

  it("does not happen after a cancellation: Basic when the period is over", async () => {
    const { person } = await renewed(world, 45, "good", async (person) => {
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
      const world = await startWorld({ simulator: { afterRetries, retryDays: [1, 1] } })
      try {
        const { person } = await renewed(world, 45, "declines")
        assert.deepInclude(await status(person), { tier: "basic", status: word })
        const again = await subscribe(person)
        assert.deepStrictEqual(refusal(again)[0], word === "canceled" ? 201 : 409)
      } finally {
        await world.stop()
      }
    })
  }
})

describe("a refund", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.stop())
  const subscriptionOf = async (person: Person) => (await stored(world, person))[0]?.id ?? ""

  it("ends Pro for the period when it is full, not when it is partial", async () => {
    const full = await subscriber(world)
    world.stripe.refund({ charge: await subscriptionOf(full) })
    await world.settled()
    assert.deepInclude(await status(full), { tier: "basic", status: "active" })
    await world.run("stripe_reconcile_all")
    assert.strictEqual(await tierOf(full), "basic")

    const part = await subscriber(world)
    world.stripe.refund({ charge: await subscriptionOf(part), amount: 500 })
    await world.settled()
    assert.strictEqual(await tierOf(part), "pro")
    world.stripe.refund({ charge: await subscriptionOf(part), amount: 1500 })
    await world.settled()
    assert.strictEqual(await tierOf(part), "basic")
  })

  it("of something other than Pro changes nothing", async () => {
    const person = await subscriber(world)
    const customer = await customerOf(world, person)
    const mugs = await world.sdk.prices.create({
      currency: "usd",
      unit_amount: 100,
      recurring: { interval: "month" },
      product_data: { name: "Mug club" }
    })
    const other = await world.sdk.subscriptions.create({ customer, items: [{ price: mugs.id }] })
    await world.settled()
    world.stripe.refund({ charge: other.id })
    await world.settled()
    assert.strictEqual((await inbox(world)).get(eventOf(world, "charge.refunded", customer).id)?.outcome, "processed")
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })

  it("of last month leaves the new period Pro", async () => {
    const { person } = await renewed(world, 33, "good", async (person) => {
      world.stripe.refund({ charge: await subscriptionOf(person) })
      await world.settled()
      assert.strictEqual(await tierOf(person), "basic")
    })
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })
})

describe("a dispute", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.stop())

  for (const [outcome, tier] of [
    ["lost", "basic"],
    ["won", "pro"]
  ] as const) {
    it(`that is ${outcome} leads to ${tier}, though its events do not name the customer`, async () => {
      const person = await subscriber(world)
      const dispute = world.stripe.openDispute({ charge: (await stored(world, person))[0]?.id ?? "" })
      await world.settled()
      assert.strictEqual(await tierOf(person), "pro")
      world.stripe.closeDispute({ dispute: dispute.id, outcome })
      await world.settled()
      assert.deepInclude(await status(person), { tier, status: "active" })
      const closed = eventOf(world, "charge.dispute.closed")
      assert.notProperty(closed.data.object, "customer")
      const kept = (await inbox(world)).get(closed.id)
      assert.deepStrictEqual([kept?.outcome, kept?.customer_id], ["processed", await customerOf(world, person)])
      await world.run("stripe_reconcile_all")
      assert.strictEqual(await tierOf(person), tier)
    })
  }

  it("of another application's customer is stored and ignored", async () => {
    const stranger = await world.sdk.customers.create()
    const subscription = await world.sdk.subscriptions.create({ customer: stranger.id, items: [{ price: world.stripe.priceId }] })
    const dispute = world.stripe.openDispute({ charge: subscription.id })
    world.stripe.closeDispute({ dispute: dispute.id, outcome: "lost" })
    await world.settled()
    assert.strictEqual((await inbox(world)).get(eventOf(world, "charge.dispute.closed").id)?.outcome, "ignored")
    assert.deepStrictEqual(
      await world.database.query(
        "select 1 from billing_holds h where not exists (select 1 from subscriptions s where s.id = h.subscription_id)"
      ),
      []
    )
  })

  it("is handled in any order of its events", async () => {
    const person = await subscriber(world)
    world.stripe.holdWebhooks()
    const dispute = world.stripe.openDispute({ charge: (await stored(world, person))[0]?.id ?? "" })
    world.stripe.closeDispute({ dispute: dispute.id, outcome: "lost" })
    world.stripe.releaseWebhooks({ seed: 7 })
    await world.settled()
    assert.strictEqual(await tierOf(person), "basic")
  })

  it("that is lost for one subscription does not affect a later one", async () => {
    const person = await subscriber(world)
    const [first] = await stored(world, person)
    const dispute = world.stripe.openDispute({ charge: first?.id ?? "" })
    world.stripe.closeDispute({ dispute: dispute.id, outcome: "lost" })
    world.stripe.setSubscriptionStatus({ subscription: first?.id ?? "", status: "canceled" })
    await world.settled()
    assert.strictEqual(await tierOf(person), "basic")
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201)
    world.stripe.checkout({ session: reply.body.sessionId, action: "pay" })
    await world.settled()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })
})
