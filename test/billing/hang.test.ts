import { assert, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import {
  openCheckout,
  customerOf,
  billingRows,
  objects,
  startTestBackend,
  subscribe,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { until } from "../support/wait.ts"

/** The tests mostly wait, so they run concurrently, each with its own backend. */
const withBackend = async (run: (backend: TestBackend) => Promise<void>) => {
  const backend = await startTestBackend()
  try {
    await run(backend)
  } finally {
    await backend.stop()
  }
}

const sessionsOf = (backend: TestBackend, person: Person) =>
  objects(backend, "checkout.session").filter((session) => session.client_reference_id === person.userId)

describe.concurrent("Stripe not answering", () => {
  it("answers 503 in time, stores nothing, and does not delay other requests", { timeout: 90_000 }, () =>
    withBackend(async (backend) => {
      const person = await newSubscriber(backend)
      const newcomer = await backend.newUser()
      const before = await billingRows(backend, person)
      backend.stripe.addFault({ kind: "hang", path: "/v1/subscriptions", times: 100 })
      const began = Date.now()
      const waiting = Promise.all([subscribe(newcomer), person.call("POST", "/subscription/cancel")])
      assert.strictEqual(await tierOf(person), "pro")
      assert.isBelow(Date.now() - began, 8_000)
      const [subscribed, cancelled] = await waiting
      assert.isBelow(Date.now() - began, 30_000)
      for (const reply of [subscribed, cancelled]) {
        assert.strictEqual(reply.status, 503)
        assert.match(reply.headers.get("content-type") ?? "", /problem\+json/)
        assert.match(reply.headers.get("retry-after") ?? "", /^\d+$/)
      }
      assert.deepStrictEqual(await billingRows(backend, person), before)
      backend.stripe.clearFaults()
      assert.deepStrictEqual(sessionsOf(backend, newcomer), [])
      assert.strictEqual((await subscribe(newcomer)).status, 201)
      assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
      assert.notStrictEqual(await customerOf(backend, newcomer), "")
      await backend.waitUntilIdle()
    })
  )

  it("fails the call of a job after ten seconds, and the job is retried", { timeout: 60_000 }, () =>
    withBackend(async (backend) => {
      const person = await backend.newUser()
      const session = await openCheckout(person)
      await backend.waitUntilIdle()
      backend.stripe.addFault({ kind: "hang", path: "/v1/subscriptions", times: 1 })
      backend.stripe.checkout({ session, action: "pay" })
      await until("Pro", async () => (await tierOf(person)) === "pro", { seconds: 16 })
      await backend.waitUntilIdle()
    })
  )

  it("continues the same attempt later, so there is one session", { timeout: 90_000 }, () =>
    withBackend(async (backend) => {
      const person = await backend.newUser()
      backend.stripe.addFault({ kind: "hang", afterEffect: true, method: "POST", path: "/v1/checkout/sessions", times: 100 })
      assert.strictEqual((await subscribe(person)).status, 503)
      backend.stripe.clearFaults()
      // An attempt is taken over after forty seconds.
      await backend.database.query("update checkout_attempts set claimed_at = claimed_at - interval '41 seconds'")
      const reply = await subscribe(person)
      assert.strictEqual(reply.status, 201)
      assert.lengthOf(sessionsOf(backend, person), 1)
    })
  )
})
