import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { startGate } from "./Gate.ts"
import {
  atStripe,
  checkout,
  customerOf,
  eventOf,
  inbox,
  objects,
  startWorld,
  status,
  stored,
  type StripeEvent,
  subscriber,
  tierOf,
  times,
  type World
} from "./World.ts"

/** The events of a checkout that are handled. */
const handled = ["customer.subscription.created", "invoice.paid", "customer.subscription.updated", "checkout.session.completed"]

const permutations = <A>(items: ReadonlyArray<A>): Array<Array<A>> =>
  items.length < 2
    ? [[...items]]
    : items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]))

/** A person who has paid, and the events of that, in order, none of them delivered. */
const paidWithoutWebhooks = async (world: World): Promise<{ readonly person: Person; readonly events: ReadonlyArray<StripeEvent> }> => {
  const person = await world.someone()
  const session = await checkout(person)
  await world.settled()
  const before = new Set(objects(world, "event").map(({ id }) => id))
  world.stripe.holdWebhooks()
  world.stripe.checkout({ session, action: "pay" })
  world.stripe.dropHeldWebhooks()
  world.stripe.releaseWebhooks()
  return { person, events: objects(world, "event").filter(({ id }) => !before.has(id)) }
}

const equalsStripe = async (world: World, person: Person) => {
  const rows = await stored(world, person)
  const theirs = atStripe(world, await customerOf(world, person))
  const statuses = (all: ReadonlyArray<{ readonly id: string; readonly status: string }>) =>
    all.map(({ id, status }) => `${id} ${status}`).sort()
  assert.deepStrictEqual(statuses(rows), statuses(theirs))
}

describe("the events of a checkout", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.stop())

  it("are twelve, of which four are handled", async () => {
    const { events } = await paidWithoutWebhooks(world)
    assert.lengthOf(events, 12)
    assert.sameMembers(
      events.map(({ type }) => type).filter((type) => handled.includes(type)),
      handled
    )
  })

  it("give Pro in every order of the four", { timeout: 60_000 }, async () => {
    const orders = permutations(handled)
    assert.lengthOf(orders, 24)
    const deliver = async (order: ReadonlyArray<string>) => {
      const { events, person } = await paidWithoutWebhooks(world)
      assert.strictEqual(await tierOf(person), "basic")
      for (const type of order) {
        const event = events.find((event) => event.type === type)
        await world.stripe.resend({ event: event?.id ?? "" })
      }
      return { person, order }
    }
    const people: Array<Awaited<ReturnType<typeof deliver>>> = []
    for (const order of orders) people.push(await deliver(order))
    await world.settled()
    for (const { order, person } of people) {
      assert.strictEqual(await tierOf(person), "pro", order.join(", "))
      await equalsStripe(world, person)
    }
    const kept = [...(await inbox(world)).values()].filter(({ type }) => handled.includes(type))
    assert.isTrue(kept.every(({ outcome }) => outcome === "processed"))
  })

  it("give Pro in random orders of all twelve, each delivered twice", { timeout: 60_000 }, async () => {
    for (const seed of times(10, (index) => index + 1)) {
      const person = await world.someone()
      const session = await checkout(person)
      world.stripe.holdWebhooks()
      world.stripe.addWebhookRule({ action: "duplicate", times: 12 })
      world.stripe.checkout({ session, action: "pay" })
      assert.strictEqual(world.stripe.releaseWebhooks({ seed }), 24)
      await world.settled()
      assert.strictEqual(await tierOf(person), "pro", `seed ${seed}`)
      await equalsStripe(world, person)
    }
  })

  it("give Pro when the first is ahead of Stripe's list", async () => {
    const { events, person } = await paidWithoutWebhooks(world)
    const empty = JSON.stringify({ object: "list", data: [], has_more: false, url: "/v1/subscriptions" })
    world.stripe.addFault({ kind: "json", status: 200, body: empty, method: "GET", path: "/v1/subscriptions", times: 2 })
    const created = events.find(({ type }) => type === "customer.subscription.created")
    await world.stripe.resend({ event: created?.id ?? "" })
    await world.settled()
    assert.strictEqual(await tierOf(person), "pro")
    assert.strictEqual((await inbox(world)).get(created?.id ?? "")?.outcome, "processed")
  })

  for (const missing of handled) {
    it(`give Pro without ${missing}, and with it alone`, async () => {
      for (const types of [handled.filter((type) => type !== missing), [missing]]) {
        const { events, person } = await paidWithoutWebhooks(world)
        for (const { id, type } of events) if (types.includes(type)) await world.stripe.resend({ event: id })
        await world.settled()
        assert.strictEqual(await tierOf(person), "pro")
        await equalsStripe(world, person)
      }
    })
  }

  it("are fetched by the next reconciliation when no delivery succeeded", async () => {
    const { events, person } = await paidWithoutWebhooks(world)
    assert.strictEqual(await tierOf(person), "basic")
    await world.run("stripe_reconcile")
    assert.strictEqual(await tierOf(person), "pro")
    const kept = await inbox(world)
    for (const { id, type } of events) if (handled.includes(type)) assert.strictEqual(kept.get(id)?.outcome, "processed", type)
  })

  it("are not needed for a checkout that is open for five minutes", async () => {
    const { person } = await paidWithoutWebhooks(world)
    world.stripe.addFault({ kind: "json", status: 200, path: "/v1/events", times: 10 })
    await world.database.query("update checkout_attempts set created_at = created_at - interval '5 minutes' where user_id = $1", [
      person.userId
    ])
    await world.database.query("select graphile_worker.add_job('stripe_reconcile', max_attempts => 1)")
    await world.settled()
    world.stripe.clearFaults()
    assert.strictEqual(await tierOf(person), "pro")
    const [attempt] = await world.database.query<{ status: string }>("select status from checkout_attempts where user_id = $1", [
      person.userId
    ])
    assert.strictEqual(attempt?.status, "completed")
  })

  it("are not needed by the nightly reconciliation", async () => {
    const { person } = await paidWithoutWebhooks(world)
    await world.run("stripe_reconcile_all")
    assert.strictEqual(await tierOf(person), "pro")
    await equalsStripe(world, person)
  })

  it("are all fetched after a long outage, over several pages", { timeout: 60_000 }, async () => {
    const first = await subscriber(world)
    const customer = await customerOf(world, first)
    world.stripe.holdWebhooks()
    world.stripe.refund({ charge: (await stored(world, first))[0]?.id ?? "" })
    for (const index of times(130, (index) => index))
      await world.sdk.subscriptions.update((await stored(world, first))[0]?.id ?? "", { description: `change ${index}` })
    world.stripe.dropHeldWebhooks()
    world.stripe.releaseWebhooks()
    await world.run("stripe_reconcile")
    const refunded = eventOf(world, "charge.refunded", customer)
    assert.strictEqual((await inbox(world)).get(refunded.id)?.outcome, "processed")
    assert.strictEqual(await tierOf(first), "basic")
  })
})

describe("events in one second", () => {
  it("lead to Stripe's current state in any order", async () => {
    const world = await startWorld()
    try {
      for (const reversed of [false, true]) {
        const person = await subscriber(world)
        const [subscription] = await stored(world, person)
        const id = subscription?.id ?? ""
        world.stripe.holdWebhooks()
        world.stripe.setSubscriptionStatus({ subscription: id, status: "past_due" })
        world.stripe.setSubscriptionStatus({ subscription: id, status: "active" })
        world.stripe.setSubscriptionStatus({ subscription: id, status: "canceled" })
        const events = world.stripe.heldWebhooks().map(({ event }) => event)
        assert.lengthOf(events, 3)
        world.stripe.dropHeldWebhooks()
        world.stripe.releaseWebhooks()
        for (const event of reversed ? events.toReversed() : events) await world.stripe.resend({ event })
        await world.settled()
        const now = await status(person)
        assert.deepInclude(now, { tier: "basic", status: "canceled" })
      }
    } finally {
      await world.stop()
    }
  })
})

describe("a late answer of Stripe", () => {
  it("does not overwrite a newer one", async () => {
    let gate: Awaited<ReturnType<typeof startGate>> | undefined
    const world = await startWorld({ apiBase: async (stripe) => (gate = await startGate(stripe.url)).url })
    try {
      const person = await world.someone()
      const session = await checkout(person)
      await world.settled()

      // The request is before the payment, the answer after it.
      const stale = gate?.hold("/v1/subscriptions")
      const slow = person.call("GET", `/billing/return?session_id=${session}`)
      await stale?.arrived
      world.stripe.checkout({ session, action: "pay" })
      await world.settled()
      assert.strictEqual(await tierOf(person), "pro")
      stale?.release()
      assert.strictEqual((await slow).status, 200)
      assert.strictEqual(await tierOf(person), "pro")
      await equalsStripe(world, person)

      // The request is before the end of the subscription, the answer after it.
      const [before] = await stored(world, person)
      const old = gate?.hold("/v1/subscriptions")
      const second = person.call("GET", `/billing/return?session_id=${session}`)
      await old?.arrived
      world.stripe.setSubscriptionStatus({ subscription: before?.id ?? "", status: "canceled" })
      await world.settled()
      const [after] = await stored(world, person)
      assert.isAbove(after?.fetched_at.getTime() ?? 0, before?.fetched_at.getTime() ?? Infinity)
      old?.release()
      assert.strictEqual((await second).status, 200)
      assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
      const [last] = await stored(world, person)
      assert.deepStrictEqual(last, after)
    } finally {
      await world.stop()
      gate?.stop()
    }
  })
})

describe("a customer with 105 subscriptions", () => {
  it("is synced over all pages", { timeout: 60_000 }, async () => {
    const world = await startWorld()
    try {
      const person = await subscriber(world)
      const customer = await customerOf(world, person)
      world.stripe.holdWebhooks()
      const [first] = await stored(world, person)
      world.stripe.setSubscriptionStatus({ subscription: first?.id ?? "", status: "canceled" })
      for (const _ of times(104, () => 0)) {
        const { id } = await world.sdk.subscriptions.create({ customer, items: [{ price: world.stripe.priceId }] })
        await world.sdk.subscriptions.cancel(id)
      }
      world.stripe.dropHeldWebhooks()
      world.stripe.releaseWebhooks()
      await world.run("stripe_reconcile_all")
      assert.lengthOf(await stored(world, person), 105)
      await equalsStripe(world, person)
      assert.strictEqual(await tierOf(person), "basic")
    } finally {
      await world.stop()
    }
  })
})
