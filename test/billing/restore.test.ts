import { afterAll, assert, beforeAll, describe, it } from "vitest"
import {
  stripeSubscriptions,
  openCheckout,
  customerOf,
  startTestBackend,
  status,
  storedSubscriptions,
  subscribe,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"

const tables = ["billing_customers", "checkout_attempts", "subscriptions", "billing_holds", "webhook_events"]

/** Copies the tables of billing. */
const backup = async (backend: TestBackend) => {
  for (const table of tables) {
    await backend.database.query(`drop table if exists backup_${table}`)
    await backend.database.query(`create table backup_${table} as table ${table}`)
  }
  await backend.database.query("drop table if exists backup_tiers")
  await backend.database.query("create table backup_tiers as select id, pro_until from users")
}
const restore = async (backend: TestBackend) => {
  for (const table of tables) {
    await backend.database.query(`truncate ${table}`)
    await backend.database.query(`insert into ${table} table backup_${table}`)
  }
  await backend.database.query("update users u set pro_until = b.pro_until from backup_tiers b where b.id = u.id")
  await backend.database.query("select pg_notify('changed', 'sessions:' || id) from users")
}

describe("a database restored from a backup", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())

  it("is corrected by the nightly reconciliation when a purchase and an end are missing", async () => {
    const ending = await newSubscriber(backend)
    const [buyer, idle] = [await backend.newUser(), await backend.newUser()]
    const session = await openCheckout(buyer)
    await openCheckout(idle)
    await backend.waitUntilIdle()
    await backup(backend)
    backend.stripe.checkout({ session, action: "pay" })
    backend.stripe.setSubscriptionStatus({
      subscription: (await storedSubscriptions(backend, ending))[0]?.id ?? "",
      status: "canceled"
    })
    await backend.waitUntilIdle()
    assert.deepStrictEqual([await tierOf(buyer), await tierOf(ending), await tierOf(idle)], ["pro", "basic", "basic"])

    await restore(backend)
    assert.deepStrictEqual([await tierOf(buyer), await tierOf(ending)], ["basic", "pro"])
    await backend.runTask("stripe_reconcile_all")
    assert.deepStrictEqual([await tierOf(buyer), await tierOf(ending), await tierOf(idle)], ["pro", "basic", "basic"])
    assert.deepInclude(await status(buyer), { tier: "pro", status: "active" })
    const attempts = await backend.database.query<{ status: string }>("select status from checkout_attempts where user_id = $1", [
      buyer.userId
    ])
    assert.deepStrictEqual(attempts, [{ status: "completed" }])
  })

  it("finds the customer again at the next subscribe, so the user does not pay twice", async () => {
    const person = await backend.newUser()
    await backup(backend)
    backend.stripe.checkout({ session: await openCheckout(person), action: "pay" })
    await backend.waitUntilIdle()
    const customer = await customerOf(backend, person)
    await restore(backend)
    assert.strictEqual(await tierOf(person), "basic")
    const reply = await subscribe(person)
    assert.deepStrictEqual([reply.status, reply.body.code], [409, "already_subscribed"])
    assert.strictEqual(await customerOf(backend, person), customer)
    assert.strictEqual(await tierOf(person), "pro")
    assert.lengthOf(stripeSubscriptions(backend, customer), 1)
  })

  it("links the customer again at night when the idempotency keys have expired", async () => {
    const person = await backend.newUser()
    await backup(backend)
    backend.stripe.checkout({ session: await openCheckout(person), action: "pay" })
    await backend.waitUntilIdle()
    const customer = await customerOf(backend, person)
    // Stripe has dropped the idempotency keys.
    const snapshot = backend.stripe.snapshot()
    backend.stripe.restore({ ...snapshot, state: { ...snapshot.state, answers: {} } })
    await restore(backend)
    assert.strictEqual(await tierOf(person), "basic")
    await backend.runTask("stripe_reconcile_all")
    assert.strictEqual(await customerOf(backend, person), customer)
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.strictEqual((await subscribe(person)).body.code, "already_subscribed")
  })
})
