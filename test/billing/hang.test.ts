import { assert, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import {
  checkout,
  customerOf,
  everything,
  objects,
  startWorld,
  subscribe,
  subscriber,
  tierOf,
  until,
  type World
} from "./World.ts"

/** The tests mostly wait, so they run concurrently, each with its own backend. */
const inWorld = async (run: (world: World) => Promise<void>) => {
  const world = await startWorld()
  try {
    await run(world)
  } finally {
    await world.stop()
  }
}

const sessionsOf = (world: World, person: Person) =>
  objects(world, "checkout.session").filter((session) => session.client_reference_id === person.userId)

describe.concurrent("Stripe not answering", () => {
  it("answers 503 in time, stores nothing, and does not delay other requests", { timeout: 90_000 }, () =>
    inWorld(async (world) => {
      const person = await subscriber(world)
      const newcomer = await world.someone()
      const before = await everything(world, person)
      world.stripe.addFault({ kind: "hang", path: "/v1/subscriptions", times: 100 })
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
      assert.deepStrictEqual(await everything(world, person), before)
      world.stripe.clearFaults()
      assert.deepStrictEqual(sessionsOf(world, newcomer), [])
      assert.strictEqual((await subscribe(newcomer)).status, 201)
      assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
      assert.notStrictEqual(await customerOf(world, newcomer), "")
      await world.settled()
    })
  )

  it("fails the call of a job after ten seconds, and the job is retried", { timeout: 60_000 }, () =>
    inWorld(async (world) => {
      const person = await world.someone()
      const session = await checkout(person)
      await world.settled()
      world.stripe.addFault({ kind: "hang", path: "/v1/subscriptions", times: 1 })
      world.stripe.checkout({ session, action: "pay" })
      await until("Pro", 16, async () => (await tierOf(person)) === "pro")
      await world.settled()
    })
  )

  it("continues the same attempt later, so there is one session", { timeout: 90_000 }, () =>
    inWorld(async (world) => {
      const person = await world.someone()
      world.stripe.addFault({ kind: "hang", afterEffect: true, method: "POST", path: "/v1/checkout/sessions", times: 100 })
      assert.strictEqual((await subscribe(person)).status, 503)
      world.stripe.clearFaults()
      // An attempt is taken over after forty seconds.
      await world.database.query("update checkout_attempts set claimed_at = claimed_at - interval '41 seconds'")
      const reply = await subscribe(person)
      assert.strictEqual(reply.status, 201)
      assert.lengthOf(sessionsOf(world, person), 1)
    })
  )
})
