import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { atStripe, checkout, customerOf, startWorld, status, stored, subscribe, subscriber, tierOf, type World } from "./World.ts"

const tables = ["billing_customers", "checkout_attempts", "subscriptions", "billing_holds", "webhook_events"]

/** Copies the tables of billing. */
const backup = async (world: World) => {
  for (const table of tables) {
    await world.database.query(`drop table if exists backup_${table}`)
    await world.database.query(`create table backup_${table} as table ${table}`)
  }
  await world.database.query("drop table if exists backup_tiers")
  await world.database.query("create table backup_tiers as select id, pro_until from users")
}
const restore = async (world: World) => {
  for (const table of tables) {
    await world.database.query(`truncate ${table}`)
    await world.database.query(`insert into ${table} table backup_${table}`)
  }
  await world.database.query("update users u set pro_until = b.pro_until from backup_tiers b where b.id = u.id")
  await world.database.query("select pg_notify('changed', 'sessions:' || id) from users")
}

describe("a database restored from a backup", () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.stop())

  it("is corrected by the nightly reconciliation when a purchase and an end are missing", async () => {
    const ending = await subscriber(world)
    const [buyer, idle] = [await world.someone(), await world.someone()]
    const session = await checkout(buyer)
    await checkout(idle)
    await world.settled()
    await backup(world)
    world.stripe.checkout({ session, action: "pay" })
    world.stripe.setSubscriptionStatus({ subscription: (await stored(world, ending))[0]?.id ?? "", status: "canceled" })
    await world.settled()
    assert.deepStrictEqual([await tierOf(buyer), await tierOf(ending), await tierOf(idle)], ["pro", "basic", "basic"])

    await restore(world)
    assert.deepStrictEqual([await tierOf(buyer), await tierOf(ending)], ["basic", "pro"])
    await world.run("stripe_reconcile_all")
    assert.deepStrictEqual([await tierOf(buyer), await tierOf(ending), await tierOf(idle)], ["pro", "basic", "basic"])
    assert.deepInclude(await status(buyer), { tier: "pro", status: "active" })
    const attempts = await world.database.query<{ status: string }>("select status from checkout_attempts where user_id = $1", [
      buyer.userId
    ])
    assert.deepStrictEqual(attempts, [{ status: "completed" }])
  })

  it("finds the customer again at the next subscribe, so the user does not pay twice", async () => {
    const person = await world.someone()
    await backup(world)
    world.stripe.checkout({ session: await checkout(person), action: "pay" })
    await world.settled()
    const customer = await customerOf(world, person)
    await restore(world)
    assert.strictEqual(await tierOf(person), "basic")
    const reply = await subscribe(person)
    assert.deepStrictEqual([reply.status, reply.body.code], [409, "already_subscribed"])
    assert.strictEqual(await customerOf(world, person), customer)
    assert.strictEqual(await tierOf(person), "pro")
    assert.lengthOf(atStripe(world, customer), 1)
  })

  it("links the customer again at night when the idempotency keys have expired", async () => {
    const person = await world.someone()
    await backup(world)
    world.stripe.checkout({ session: await checkout(person), action: "pay" })
    await world.settled()
    const customer = await customerOf(world, person)
    // Stripe has dropped the idempotency keys.
    const snapshot = world.stripe.snapshot()
    world.stripe.restore({ ...snapshot, state: { ...snapshot.state, answers: {} } })
    await restore(world)
    assert.strictEqual(await tierOf(person), "basic")
    await world.run("stripe_reconcile_all")
    assert.strictEqual(await customerOf(world, person), customer)
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.strictEqual((await subscribe(person)).body.code, "already_subscribed")
  })
})
