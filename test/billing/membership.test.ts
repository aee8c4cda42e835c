import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person, Reply } from "../support/Client.ts"
import {
  stripeSubscriptions,
  openCheckout,
  customerOf,
  objects,
  startTestBackend,
  status,
  storedSubscriptions,
  subscribe,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"

let backend: TestBackend
beforeAll(async () => {
  backend = await startTestBackend()
})
afterAll(() => backend.stop())

const refusal = ({ body, status }: Reply) => [status, body.code]
const cancel = (person: Person) => person.call("POST", "/subscription/cancel")
const reactivate = (person: Person) => person.call("POST", "/subscription/reactivate")
const subscriptionOf = async (person: Person) =>
  backend.sdk.subscriptions.retrieve((await storedSubscriptions(backend, person))[0]?.id ?? "")
const setStatus = async (person: Person, word: string) => {
  backend.stripe.setSubscriptionStatus({ subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "", status: word })
  await backend.waitUntilIdle()
}

/** Presses a button of Stripe's portal. */
const press = async (person: Person, action: string) => {
  const { body, status } = await person.call("POST", "/subscription/portal")
  assert.strictEqual(status, 201)
  const answer = await fetch(body.url, { method: "POST", body: new URLSearchParams({ action }), redirect: "manual" })
  assert.strictEqual(answer.status, 303, await answer.text())
  await backend.waitUntilIdle()
}

describe("Membership.cancel", () => {
  it("keeps Pro until the period ends, and can be repeated", async () => {
    const person = await newSubscriber(backend)
    const first = await cancel(person)
    assert.strictEqual(first.status, 200)
    const { cancelAt, currentPeriodEnd } = first.body
    assert.deepInclude(first.body, { tier: "pro", status: "active" })
    assert.isNotNull(cancelAt)
    assert.strictEqual(cancelAt, currentPeriodEnd)
    assert.isTrue((await subscriptionOf(person)).cancel_at_period_end)
    const updates = () => backend.stripe.requests({ method: "POST", path: "/v1/subscriptions/" }).length
    const before = updates()
    for (let index = 0; index < 3; index++) {
      const { syncedAt: _then, ...again } = (await cancel(person)).body
      const { syncedAt: _now, ...once } = first.body
      assert.deepStrictEqual(again, once)
    }
    assert.strictEqual(updates(), before)
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "pro", cancelAt })
  })

  it("cancels once for ten parallel calls", async () => {
    const person = await newSubscriber(backend)
    const replies = await Promise.all(Array.from({ length: 10 }, () => cancel(person)))
    assert.isTrue(replies.every(({ body, status }) => status === 200 && body.cancelAt !== null))
    await backend.waitUntilIdle()
    assert.isTrue((await subscriptionOf(person)).cancel_at_period_end)
  })

  it("leads to Basic at the end, and a new subscription can follow", async () => {
    const person = await newSubscriber(backend)
    await cancel(person)
    await setStatus(person, "canceled")
    assert.deepInclude(await status(person), { tier: "basic", status: "canceled" })
    assert.deepStrictEqual(refusal(await cancel(person)), [404, "no_subscription"])
    assert.strictEqual((await subscribe(person)).status, 201)
  })

  it("answers 404 without a subscription", async () => {
    const person = await backend.newUser()
    assert.deepStrictEqual(refusal(await cancel(person)), [404, "no_subscription"])
    await subscribe(person)
    assert.deepStrictEqual(refusal(await cancel(person)), [404, "no_subscription"])
  })

  it("sees a change at Stripe before its webhook arrives", async () => {
    const person = await newSubscriber(backend)
    backend.stripe.holdWebhooks()
    backend.stripe.setSubscriptionStatus({
      subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "",
      status: "canceled"
    })
    assert.deepStrictEqual(refusal(await cancel(person)), [404, "no_subscription"])
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
  })

  it("answers 503 and changes nothing when Stripe fails", async () => {
    const person = await newSubscriber(backend)
    const before = await status(person)
    backend.stripe.addFault({ kind: "status", status: 500, method: "POST", path: "/v1/subscriptions/", times: 10 })
    assert.deepStrictEqual(refusal(await cancel(person)), [503, "billing_unavailable"])
    backend.stripe.clearFaults()
    assert.deepInclude(await status(person), { tier: "pro", cancelAt: null, status: before.status })
    assert.strictEqual((await cancel(person)).status, 200)
  })
})

describe("a pending cancellation", () => {
  it("is undone when set by cancel_at_period_end", async () => {
    const person = await newSubscriber(backend)
    await cancel(person)
    const reply = await reactivate(person)
    assert.strictEqual(reply.status, 200)
    assert.deepInclude(reply.body, { tier: "pro", status: "active", cancelAt: null })
    const { cancel_at, cancel_at_period_end } = await subscriptionOf(person)
    assert.deepStrictEqual([cancel_at, cancel_at_period_end], [null, false])
    assert.deepStrictEqual(refusal(await reactivate(person)), [409, "not_cancelling"])
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "already_subscribed"])
  })

  it("is seen and undone when the portal set it by cancel_at alone", async () => {
    const person = await newSubscriber(backend)
    await press(person, "cancel_at_period_end")
    const before = await subscriptionOf(person)
    assert.deepStrictEqual([before.cancel_at_period_end, before.cancel_at !== null], [false, true])
    const now = await status(person)
    assert.strictEqual(now.tier, "pro")
    assert.strictEqual(Date.parse(now.cancelAt), (before.cancel_at ?? 0) * 1000)
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "pending_cancellation"])
    assert.strictEqual((await cancel(person)).status, 200)
    const reply = await reactivate(person)
    assert.deepStrictEqual([reply.status, reply.body.cancelAt], [200, null])
    assert.isNull((await subscriptionOf(person)).cancel_at)
  })

  it("can be undone in the portal, which can also cancel at once", async () => {
    const person = await newSubscriber(backend)
    await press(person, "cancel_at_period_end")
    await press(person, "renew")
    assert.deepInclude(await status(person), { tier: "pro", cancelAt: null })
    await press(person, "cancel_now")
    assert.deepInclude(await status(person), { tier: "basic", status: "canceled", cancelAt: null })
  })
})

describe("a deleted user", () => {
  const remove = (person: Person) => person.call("DELETE", "/user/me")
  const refundedOf = (customer: string) =>
    objects(backend, "charge")
      .filter((charge) => charge.customer === customer)
      .map(({ refunded }) => refunded)

  it("leaves no open checkout", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    assert.strictEqual((await remove(person)).status, 204)
    assert.strictEqual((await backend.sdk.checkout.sessions.retrieve(session)).status, "expired")
  })

  it("is refunded, and the subscription ends, when an unknown checkout is paid later", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    const customer = await customerOf(backend, person)
    // As if Stripe's answer with the session had been lost.
    await backend.database.query("update checkout_attempts set session_id = null, url = null where user_id = $1", [person.userId])
    assert.strictEqual((await remove(person)).status, 204)
    backend.stripe.checkout({ session, action: "pay" })
    await backend.waitUntilIdle()
    assert.deepStrictEqual(
      stripeSubscriptions(backend, customer).map(({ status }) => status),
      ["canceled"]
    )
    assert.deepStrictEqual(refundedOf(customer), [true])
  })

  it("is not deleted while Stripe fails", async () => {
    const person = await backend.newUser()
    await openCheckout(person)
    backend.stripe.addFault({ kind: "status", status: 500, path: "/v1/checkout/sessions", times: 10 })
    assert.deepStrictEqual(refusal(await remove(person)), [503, "billing_unavailable"])
    backend.stripe.clearFaults()
    assert.strictEqual((await person.call("GET", "/user/me")).status, 200)
    assert.strictEqual((await remove(person)).status, 204)
  })
})

describe("a pending cancellation of a classic subscription", () => {
  it("is seen and undone when set in the portal", async () => {
    const classic = await startTestBackend({ simulator: { portalCancelsWith: "cancel_at_period_end" } })
    try {
      const person = await newSubscriber(classic)
      const { body } = await person.call("POST", "/subscription/portal")
      await fetch(body.url, { method: "POST", body: new URLSearchParams({ action: "cancel_at_period_end" }), redirect: "manual" })
      await classic.waitUntilIdle()
      const now = await status(person)
      assert.strictEqual(now.cancelAt, now.currentPeriodEnd)
      assert.deepInclude((await reactivate(person)).body, { tier: "pro", cancelAt: null })
    } finally {
      await classic.stop()
    }
  })
})

describe("Membership.reactivate", () => {
  it("is refused without a subscription, without a cancellation, and after the end", async () => {
    const person = await backend.newUser()
    assert.deepStrictEqual(refusal(await reactivate(person)), [409, "not_cancelling"])
    const active = await newSubscriber(backend)
    assert.deepStrictEqual(refusal(await reactivate(active)), [409, "not_cancelling"])
    await setStatus(active, "canceled")
    assert.deepStrictEqual(refusal(await reactivate(active)), [409, "subscription_ended"])
    assert.strictEqual(await tierOf(active), "basic")
  })

  it("answers 503 when Stripe fails", async () => {
    const person = await newSubscriber(backend)
    await cancel(person)
    backend.stripe.addFault({ kind: "reset", method: "POST", path: "/v1/subscriptions/", times: 10 })
    assert.deepStrictEqual(refusal(await reactivate(person)), [503, "billing_unavailable"])
    backend.stripe.clearFaults()
    assert.isNotNull((await status(person)).cancelAt)
  })
})

describe("Membership.portal", () => {
  it("answers 404 without a customer, and 201 with a URL that leads back to the app", async () => {
    const stranger = await backend.newUser()
    assert.deepStrictEqual(refusal(await stranger.call("POST", "/subscription/portal")), [404, "no_customer"])
    const person = await newSubscriber(backend)
    const reply = await person.call("POST", "/subscription/portal")
    assert.strictEqual(reply.status, 201)
    assert.deepStrictEqual(Object.keys(reply.body), ["url"])
    const page = await fetch(reply.body.url)
    assert.strictEqual(page.status, 200)
    const back = await fetch(reply.body.url, {
      method: "POST",
      body: new URLSearchParams({ action: "back" }),
      redirect: "manual"
    })
    assert.match(back.headers.get("location") ?? "", /^http:\/\/localhost:\d+\/$/)
  })

  it("answers 503 when Stripe fails", async () => {
    const person = await newSubscriber(backend)
    backend.stripe.addFault({ kind: "html", path: "/v1/billing_portal", times: 10 })
    assert.deepStrictEqual(refusal(await person.call("POST", "/subscription/portal")), [503, "billing_unavailable"])
    backend.stripe.clearFaults()
  })
})
