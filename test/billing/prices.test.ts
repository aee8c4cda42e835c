import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { atStripe, customerOf, startWorld, status, stored, subscribe, subscriber, tierOf, type World } from "./World.ts"

const [sold, former, other] = ["price_simulated_pro", "price_of_last_year", "price_of_another_product"]

let world: World
beforeAll(async () => {
  world = await startWorld({ backends: [{ STRIPE_PRO_PRICE_ID: `${sold}, ${former}` }] })
})
afterAll(() => world.stop())

/** Moves all subscriptions of a person to another price, as in Stripe's dashboard. */
const move = async (person: Person, price: string) => {
  const customer = await customerOf(world, person)
  const { state, url } = world.stripe.snapshot()
  const all = Object.entries(state.objects.subscription ?? {}).map(([id, subscription]) => {
    if (subscription.object !== "subscription" || subscription.customer !== customer) return [id, subscription] as const
    return [id, JSON.parse(JSON.stringify(subscription).replaceAll(/"price_\w+"/g, JSON.stringify(price)))] as const
  })
  world.stripe.restore({ url, state: { ...state, objects: { ...state.objects, subscription: Object.fromEntries(all) } } })
  assert.deepStrictEqual(
    (await world.sdk.subscriptions.list({ customer, status: "all" })).data.flatMap(({ items }) =>
      items.data.map((item) => item.price.id)
    ),
    [price]
  )
}

const sync = () => world.run("stripe_reconcile_all")

describe("a subscription moved to a price that is not Pro", () => {
  it("is Basic, continues at Stripe, and does not prevent a new subscription", async () => {
    const person = await subscriber(world)
    assert.strictEqual(await tierOf(person), "pro")
    await move(person, other)
    await sync()
    assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
    assert.strictEqual((await person.call("GET", "/user/me")).body.tier, "basic")
    assert.strictEqual(atStripe(world, await customerOf(world, person))[0]?.status, "active")
    assert.strictEqual((await person.call("POST", "/subscription/cancel")).body.code, "no_subscription")
    assert.strictEqual((await subscribe(person)).status, 201)
  })

  it("is Pro again after it is moved back", async () => {
    const person = await subscriber(world)
    await move(person, other)
    await sync()
    assert.strictEqual(await tierOf(person), "basic")
    await move(person, sold)
    await sync()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.lengthOf(await stored(world, person), 1)
  })
})

describe("a subscription at a former price", () => {
  it("is Pro while the price is configured, and prevents a second subscription", async () => {
    const person = await subscriber(world)
    await move(person, former)
    await sync()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.strictEqual((await subscribe(person)).body.code, "already_subscribed")
    assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
  })

  it("is found again when the database lost it", async () => {
    const person = await subscriber(world)
    await move(person, former)
    for (const table of ["billing_customers", "subscriptions"])
      await world.database.query(`delete from ${table} where user_id = $1`, [person.userId])
    await world.database.query("select decide_tier($1)", [person.userId])
    assert.strictEqual(await tierOf(person), "basic")
    await sync()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })
})
