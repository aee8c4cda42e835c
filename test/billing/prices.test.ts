import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import {
  stripeSubscriptions,
  customerOf,
  startTestBackend,
  status,
  storedSubscriptions,
  subscribe,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"

const [sold, former, other] = ["price_simulated_pro", "price_of_last_year", "price_of_another_product"]

let backend: TestBackend
beforeAll(async () => {
  backend = await startTestBackend({ backends: [{ STRIPE_PRO_PRICE_ID: `${sold}, ${former}` }] })
})
afterAll(() => backend.stop())

/** Moves all subscriptions of a person to another price, as in Stripe's dashboard. */
const move = async (person: Person, price: string) => {
  const customer = await customerOf(backend, person)
  const { state, url } = backend.stripe.snapshot()
  const all = Object.entries(state.objects.subscription ?? {}).map(([id, subscription]) => {
    if (subscription.object !== "subscription" || subscription.customer !== customer) return [id, subscription] as const
    return [id, JSON.parse(JSON.stringify(subscription).replaceAll(/"price_\w+"/g, JSON.stringify(price)))] as const
  })
  backend.stripe.restore({ url, state: { ...state, objects: { ...state.objects, subscription: Object.fromEntries(all) } } })
  assert.deepStrictEqual(
    (await backend.sdk.subscriptions.list({ customer, status: "all" })).data.flatMap(({ items }) =>
      items.data.map((item) => item.price.id)
    ),
    [price]
  )
}

const sync = () => backend.runTask("stripe_reconcile_all")

describe("a subscription moved to a price that is not Pro", () => {
  it("is Basic, continues at Stripe, and does not prevent a new subscription", async () => {
    const person = await newSubscriber(backend)
    assert.strictEqual(await tierOf(person), "pro")
    await move(person, other)
    await sync()
    assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
    assert.strictEqual((await person.call("GET", "/user/me")).body.tier, "basic")
    assert.strictEqual(stripeSubscriptions(backend, await customerOf(backend, person))[0]?.status, "active")
    assert.strictEqual((await person.call("POST", "/subscription/cancel")).body.code, "no_subscription")
    assert.strictEqual((await subscribe(person)).status, 201)
  })

  it("is Pro again after it is moved back", async () => {
    const person = await newSubscriber(backend)
    await move(person, other)
    await sync()
    assert.strictEqual(await tierOf(person), "basic")
    await move(person, sold)
    await sync()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.lengthOf(await storedSubscriptions(backend, person), 1)
  })
})

describe("a subscription at a former price", () => {
  it("is Pro while the price is configured, and prevents a second subscription", async () => {
    const person = await newSubscriber(backend)
    await move(person, former)
    await sync()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.strictEqual((await subscribe(person)).body.code, "already_subscribed")
    assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
  })

  it("is found again when the database lost it", async () => {
    const person = await newSubscriber(backend)
    await move(person, former)
    for (const table of ["billing_customers", "subscriptions"])
      await backend.database.query(`delete from ${table} where user_id = $1`, [person.userId])
    await backend.database.query("select decide_tier($1)", [person.userId])
    assert.strictEqual(await tierOf(person), "basic")
    await sync()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })
})
