import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { logIn, type Person } from "../support/Client.ts"
import { objects, setStripeClock, status, storedSubscriptions, tierOf, type TestBackend } from "./TestBackend.ts"
import { prices } from "./planSettings.ts"
import { newSubscriberTo, startTwoPlans, subscribeTo } from "./TwoPlans.ts"

const day = 86_400_000

let backend: TestBackend
beforeAll(async () => {
  backend = await startTwoPlans()
})
afterAll(() => backend.stop())

const subscriptionOf = async (person: Person) => (await storedSubscriptions(backend, person))[0]?.id ?? ""

/** Moves Stripe's clock by this many days for what is due, and back for the next test. */
const afterDays = async (days: number, look: () => Promise<void>) => {
  backend.stripe.advance({ days })
  await backend.waitUntilIdle()
  try {
    await look()
  } finally {
    setStripeClock(backend, 0)
  }
}

const trialOf = async (person: Person) => {
  const { sessionId } = (await subscribeTo(person, "max")).body
  backend.stripe.checkout({ session: sessionId, action: "pay" })
  await backend.waitUntilIdle()
  return (await backend.sdk.subscriptions.retrieve(await subscriptionOf(person))).trial_end
}

/** Deletes the account and makes another one with the same number. */
const reborn = async (person: Person): Promise<Person> => {
  assert.strictEqual((await person.call("DELETE", "/user/me")).status, 204)
  await backend.database.query("delete from throttles")
  const again = await logIn(backend.urls[0] ?? "", person.mobile)
  assert.notStrictEqual(again.userId, person.userId)
  return again
}

describe("a trial", () => {
  it("gives the plan without a payment, and says when it ends", async () => {
    const person = await backend.newUser()
    const opened = await subscribeTo(person, "max")
    const session = await backend.sdk.checkout.sessions.retrieve(opened.body.sessionId)
    assert.deepInclude(session, { amount_total: 0, payment_method_collection: "if_required" })
    const page = await (await fetch(opened.body.checkoutUrl)).text()
    assert.include(page, "14 days free")
    backend.stripe.checkout({ session: session.id, action: "start" })
    await backend.waitUntilIdle()
    const own = await status(person)
    assert.deepInclude(own, { tier: "max", plan: "max", status: "trialing" })
    assert.closeTo(Date.parse(own.trialEndsAt), Date.now() + 14 * day, 60_000)
    assert.strictEqual(own.currentPeriodEnd, own.trialEndsAt)
    const subscription = await backend.sdk.subscriptions.retrieve(await subscriptionOf(person))
    assert.strictEqual(subscription.trial_settings?.end_behavior.missing_payment_method, "cancel")
    await afterDays(15, async () => {
      assert.deepInclude(await status(person), { tier: "basic", status: "canceled", trialEndsAt: null })
    })
  })

  it("is paid for when it ends with a card", async () => {
    const person = await newSubscriberTo(backend, "max")
    await afterDays(15, async () => {
      assert.deepInclude(await status(person), { tier: "max", status: "active", trialEndsAt: null })
      const [invoice] = (await person.call("GET", "/subscription/invoices")).body.data
      assert.deepInclude(invoice, { status: "paid", total: 5_000 })
    })
  })

  it("keeps its plan for seven days when that card is declined", async () => {
    const person = await newSubscriberTo(backend, "max")
    const customer = String((await backend.sdk.subscriptions.retrieve(await subscriptionOf(person))).customer)
    backend.stripe.setCard({ customer, card: "declines" })
    await afterDays(15, async () => {
      const own = await status(person)
      assert.deepInclude(own, { tier: "max", status: "past_due" })
      const { start } = await periodOf(person)
      assert.strictEqual(Date.parse(own.graceEndsAt), start * 1000 + 7 * day)
    })
  })

  it("ends with a change of the plan, which is paid at once", async () => {
    const person = await newSubscriberTo(backend, "max")
    backend.stripe.changePrice({ subscription: await subscriptionOf(person), price: prices.proMonth })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "pro", plan: "pro", status: "active", trialEndsAt: null })
  })

  it("can be cancelled, and lasts until its end", async () => {
    const person = await newSubscriberTo(backend, "max")
    const cancelled = (await person.call("POST", "/subscription/cancel")).body
    assert.deepInclude(cancelled, { tier: "max", status: "trialing" })
    assert.strictEqual(cancelled.cancelAt, cancelled.trialEndsAt)
    await afterDays(15, async () => assert.strictEqual(await tierOf(person), "basic"))
  })

  it("is not given by a plan without one", async () => {
    const person = await newSubscriberTo(backend, "pro")
    assert.deepInclude(await status(person), { status: "active", trialEndsAt: null })
    const rows = await backend.database.query("select 1 from trial_uses t join users u using (quota_key) where u.id = $1", [
      person.userId
    ])
    assert.lengthOf(rows, 0)
  })
})

const periodOf = async (person: Person) => {
  const [item] = (await backend.sdk.subscriptions.retrieve(await subscriptionOf(person))).items.data
  return { start: item?.current_period_start ?? 0 }
}

describe("a second trial", () => {
  it("is not given to the same user", async () => {
    const person = await backend.newUser()
    assert.isNumber(await trialOf(person))
    backend.stripe.setSubscriptionStatus({ subscription: await subscriptionOf(person), status: "canceled" })
    await backend.waitUntilIdle()
    const opened = await subscribeTo(person, "max")
    const session = await backend.sdk.checkout.sessions.retrieve(opened.body.sessionId)
    assert.deepInclude(session, { amount_total: 5_000, payment_method_collection: "always" })
    backend.stripe.checkout({ session: session.id, action: "pay" })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "max", status: "active", trialEndsAt: null })
  })

  it("is not given to a new account of the same number", async () => {
    const person = await backend.newUser()
    assert.isNumber(await trialOf(person))
    const again = await reborn(person)
    assert.isNull(await trialOf(again))
    assert.deepInclude(await status(again), { tier: "max", status: "active" })
  })

  it("is not given when the account goes before the first webhook arrives", async () => {
    const person = await backend.newUser()
    const { sessionId } = (await subscribeTo(person, "max")).body
    backend.stripe.holdWebhooks()
    backend.stripe.checkout({ session: sessionId, action: "start" })
    const again = await reborn(person)
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
    assert.isNull(await trialOf(again))
  })

  it("is given when the first checkout was left unpaid", async () => {
    const person = await backend.newUser()
    await subscribeTo(person, "max")
    const again = await reborn(person)
    assert.isNumber(await trialOf(again))
  })

  it("is not opened beside the first: a checkout with a trial is one of a kind", async () => {
    const person = await backend.newUser()
    await Promise.all([subscribeTo(person, "max"), subscribeTo(person, "max", { interval: "year" }), subscribeTo(person, "max")])
    const open = objects(backend, "checkout.session").filter(
      ({ client_reference_id: id, status }) => id === person.userId && status === "open"
    )
    assert.lengthOf(open, 1)
  })
})
