import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { permutations } from "./permutations.ts"
import { startStripeProxy } from "./StripeProxy.ts"
import {
  stripeSubscriptions,
  openCheckout,
  customerOf,
  newestEvent,
  storedEvents,
  objects,
  startTestBackend,
  status,
  storedSubscriptions,
  type StripeEvent,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { times } from "../support/times.ts"

/** The events of a checkout that are handled. */
const handled = ["customer.subscription.created", "invoice.paid", "customer.subscription.updated", "checkout.session.completed"]

/** A person who has paid, and the events of that, in order, none of them delivered. */
const paidWithoutWebhooks = async (
  backend: TestBackend
): Promise<{ readonly person: Person; readonly events: ReadonlyArray<StripeEvent> }> => {
  const person = await backend.newUser()
  const session = await openCheckout(person)
  await backend.waitUntilIdle()
  const before = new Set(objects(backend, "event").map(({ id }) => id))
  backend.stripe.holdWebhooks()
  backend.stripe.checkout({ session, action: "pay" })
  backend.stripe.dropHeldWebhooks()
  backend.stripe.releaseWebhooks()
  return { person, events: objects(backend, "event").filter(({ id }) => !before.has(id)) }
}

const equalsStripe = async (backend: TestBackend, person: Person) => {
  const rows = await storedSubscriptions(backend, person)
  const theirs = stripeSubscriptions(backend, await customerOf(backend, person))
  const statuses = (all: ReadonlyArray<{ readonly id: string; readonly status: string }>) =>
    all.map(({ id, status }) => `${id} ${status}`).sort()
  assert.deepStrictEqual(statuses(rows), statuses(theirs))
}

describe("the events of a checkout", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())

  it("are twelve, of which four are handled", async () => {
    const { events } = await paidWithoutWebhooks(backend)
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
      const { events, person } = await paidWithoutWebhooks(backend)
      assert.strictEqual(await tierOf(person), "basic")
      for (const type of order) {
        const event = events.find((event) => event.type === type)
        await backend.stripe.resend({ event: event?.id ?? "" })
      }
      return { person, order }
    }
    const people: Array<Awaited<ReturnType<typeof deliver>>> = []
    for (const order of orders) people.push(await deliver(order))
    await backend.waitUntilIdle()
    for (const { order, person } of people) {
      assert.strictEqual(await tierOf(person), "pro", order.join(", "))
      await equalsStripe(backend, person)
    }
    const kept = [...(await storedEvents(backend)).values()].filter(({ type }) => handled.includes(type))
    assert.isTrue(kept.every(({ outcome }) => outcome === "processed"))
  })

  it("give Pro in random orders of all twelve, each delivered twice", { timeout: 60_000 }, async () => {
    for (const seed of times(10, (index) => index + 1)) {
      const person = await backend.newUser()
      const session = await openCheckout(person)
      backend.stripe.holdWebhooks()
      backend.stripe.addWebhookRule({ action: "duplicate", times: 12 })
      backend.stripe.checkout({ session, action: "pay" })
      assert.strictEqual(backend.stripe.releaseWebhooks({ seed }), 24)
      await backend.waitUntilIdle()
      assert.strictEqual(await tierOf(person), "pro", `seed ${seed}`)
      await equalsStripe(backend, person)
    }
  })

  it("give Pro when the first is ahead of Stripe's list", async () => {
    const { events, person } = await paidWithoutWebhooks(backend)
    const empty = JSON.stringify({ object: "list", data: [], has_more: false, url: "/v1/subscriptions" })
    backend.stripe.addFault({ kind: "json", status: 200, body: empty, method: "GET", path: "/v1/subscriptions", times: 2 })
    const created = events.find(({ type }) => type === "customer.subscription.created")
    await backend.stripe.resend({ event: created?.id ?? "" })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "pro")
    assert.strictEqual((await storedEvents(backend)).get(created?.id ?? "")?.outcome, "processed")
  })

  for (const missing of handled) {
    it(`give Pro without ${missing}, and with it alone`, async () => {
      for (const types of [handled.filter((type) => type !== missing), [missing]]) {
        const { events, person } = await paidWithoutWebhooks(backend)
        for (const { id, type } of events) if (types.includes(type)) await backend.stripe.resend({ event: id })
        await backend.waitUntilIdle()
        assert.strictEqual(await tierOf(person), "pro")
        await equalsStripe(backend, person)
      }
    })
  }

  it("are fetched by the next reconciliation when no delivery succeeded", async () => {
    const { events, person } = await paidWithoutWebhooks(backend)
    assert.strictEqual(await tierOf(person), "basic")
    await backend.runTask("stripe_reconcile")
    assert.strictEqual(await tierOf(person), "pro")
    const kept = await storedEvents(backend)
    for (const { id, type } of events) if (handled.includes(type)) assert.strictEqual(kept.get(id)?.outcome, "processed", type)
  })

  it("are not needed for a checkout that is open for five minutes", async () => {
    const { person } = await paidWithoutWebhooks(backend)
    backend.stripe.addFault({ kind: "json", status: 200, path: "/v1/events", times: 10 })
    await backend.database.query(
      "update checkout_attempts set created_at = created_at - interval '5 minutes' where user_id = $1",
      [person.userId]
    )
    await backend.database.query("select graphile_worker.add_job('stripe_reconcile', max_attempts => 1)")
    await backend.waitUntilIdle()
    backend.stripe.clearFaults()
    assert.strictEqual(await tierOf(person), "pro")
    const [attempt] = await backend.database.query<{ status: string }>(
      "select status from checkout_attempts where user_id = $1",
      [person.userId]
    )
    assert.strictEqual(attempt?.status, "completed")
  })

  it("are not needed by the nightly reconciliation", async () => {
    const { person } = await paidWithoutWebhooks(backend)
    await backend.runTask("stripe_reconcile_all")
    assert.strictEqual(await tierOf(person), "pro")
    await equalsStripe(backend, person)
  })

  it("are all fetched after a long outage, over several pages", { timeout: 60_000 }, async () => {
    const first = await newSubscriber(backend)
    const customer = await customerOf(backend, first)
    backend.stripe.holdWebhooks()
    backend.stripe.refund({ charge: (await storedSubscriptions(backend, first))[0]?.id ?? "" })
    for (const index of times(130, (index) => index))
      await backend.sdk.subscriptions.update((await storedSubscriptions(backend, first))[0]?.id ?? "", {
        description: `change ${index}`
      })
    backend.stripe.dropHeldWebhooks()
    backend.stripe.releaseWebhooks()
    await backend.runTask("stripe_reconcile")
    const refunded = newestEvent(backend, "charge.refunded", customer)
    assert.strictEqual((await storedEvents(backend)).get(refunded.id)?.outcome, "processed")
    assert.strictEqual(await tierOf(first), "basic")
  })
})

describe("events in one second", () => {
  it("lead to Stripe's current state in any order", async () => {
    const backend = await startTestBackend()
    try {
      for (const reversed of [false, true]) {
        const person = await newSubscriber(backend)
        const [subscription] = await storedSubscriptions(backend, person)
        const id = subscription?.id ?? ""
        backend.stripe.holdWebhooks()
        backend.stripe.setSubscriptionStatus({ subscription: id, status: "past_due" })
        backend.stripe.setSubscriptionStatus({ subscription: id, status: "active" })
        backend.stripe.setSubscriptionStatus({ subscription: id, status: "canceled" })
        const events = backend.stripe.heldWebhooks().map(({ event }) => event)
        assert.lengthOf(events, 3)
        backend.stripe.dropHeldWebhooks()
        backend.stripe.releaseWebhooks()
        for (const event of reversed ? events.toReversed() : events) await backend.stripe.resend({ event })
        await backend.waitUntilIdle()
        const now = await status(person)
        assert.deepInclude(now, { tier: "basic", status: "canceled" })
      }
    } finally {
      await backend.stop()
    }
  })
})

describe("a late answer of Stripe", () => {
  it("does not overwrite a newer one", async () => {
    let proxy: Awaited<ReturnType<typeof startStripeProxy>> | undefined
    const backend = await startTestBackend({ apiBase: async (stripe) => (proxy = await startStripeProxy(stripe.url)).url })
    try {
      const person = await backend.newUser()
      const session = await openCheckout(person)
      await backend.waitUntilIdle()

      // The request is before the payment, the answer after it.
      const stale = proxy?.hold("/v1/subscriptions")
      const slow = person.call("GET", `/billing/return?session_id=${session}`)
      await stale?.arrived
      backend.stripe.checkout({ session, action: "pay" })
      await backend.waitUntilIdle()
      assert.strictEqual(await tierOf(person), "pro")
      stale?.release()
      assert.strictEqual((await slow).status, 200)
      assert.strictEqual(await tierOf(person), "pro")
      await equalsStripe(backend, person)

      // The request is before the end of the subscription, the answer after it.
      const [before] = await storedSubscriptions(backend, person)
      const old = proxy?.hold("/v1/subscriptions")
      const second = person.call("GET", `/billing/return?session_id=${session}`)
      await old?.arrived
      backend.stripe.setSubscriptionStatus({ subscription: before?.id ?? "", status: "canceled" })
      await backend.waitUntilIdle()
      const [after] = await storedSubscriptions(backend, person)
      assert.isAbove(after?.fetched_at.getTime() ?? 0, before?.fetched_at.getTime() ?? Infinity)
      old?.release()
      assert.strictEqual((await second).status, 200)
      assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
      const [last] = await storedSubscriptions(backend, person)
      assert.deepStrictEqual(last, after)
    } finally {
      await backend.stop()
      proxy?.stop()
    }
  })
})

describe("a customer with 105 subscriptions", () => {
  it("is synced over all pages", { timeout: 60_000 }, async () => {
    const backend = await startTestBackend()
    try {
      const person = await newSubscriber(backend)
      const customer = await customerOf(backend, person)
      backend.stripe.holdWebhooks()
      const [first] = await storedSubscriptions(backend, person)
      backend.stripe.setSubscriptionStatus({ subscription: first?.id ?? "", status: "canceled" })
      for (const _ of times(104, () => 0)) {
        const { id } = await backend.sdk.subscriptions.create({ customer, items: [{ price: backend.stripe.priceId }] })
        await backend.sdk.subscriptions.cancel(id)
      }
      backend.stripe.dropHeldWebhooks()
      backend.stripe.releaseWebhooks()
      await backend.runTask("stripe_reconcile_all")
      assert.lengthOf(await storedSubscriptions(backend, person), 105)
      await equalsStripe(backend, person)
      assert.strictEqual(await tierOf(person), "basic")
    } finally {
      await backend.stop()
    }
  })
})
