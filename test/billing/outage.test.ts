import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import type { StripeSimulator } from "../../simulators/stripe/StripeSimulator.ts"
import type { Person, Reply } from "../support/Client.ts"
import {
  openCheckout,
  billingRows,
  storedEvents,
  jobsOf,
  objects,
  retryJobsNow,
  startTestBackend,
  status,
  storedSubscriptions,
  subscribe,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { until } from "../support/wait.ts"

let backend: TestBackend
beforeAll(async () => {
  backend = await startTestBackend()
})
afterEach(() => backend.stripe.clearFaults())
afterAll(() => backend.stop())

type FaultRule = Parameters<StripeSimulator["addFault"]>[0]
const sessionsOf = (person: Person) =>
  objects(backend, "checkout.session").filter((session) => session.client_reference_id === person.userId)

const refusal = ({ body, status }: Reply) => [status, body.code]
const unavailable = [503, "billing_unavailable"]

const faults: Readonly<Record<string, FaultRule>> = {
  "500": { kind: "status", status: 500 },
  "503 that asks not to be retried": { kind: "status", status: 503, shouldRetry: false },
  "429": { kind: "status", status: 429 },
  "401": { kind: "status", status: 401 },
  "a reset connection": { kind: "reset" },
  "half an answer": { kind: "cut" },
  "a proxy's page": { kind: "html", status: 502 },
  "a proxy's JSON without `error`": { kind: "json", status: 502 },
  "JSON of something else with 200": { kind: "json", status: 200 }
}

for (const [name, fault] of Object.entries(faults)) {
  describe(`Stripe failing with ${name}`, () => {
    it("answers 503, keeps the stored state readable, and is recovered by the queue", { timeout: 60_000 }, async () => {
      const [person, newcomer, payer] = [await newSubscriber(backend), await backend.newUser(), await backend.newUser()]
      const session = await openCheckout(payer)
      await backend.waitUntilIdle()
      const before = await billingRows(backend, person)
      backend.stripe.addFault({ ...fault, path: "/v1/", times: 10_000 })
      const [cancelled, subscribed, portal, returned] = await Promise.all([
        person.call("POST", "/subscription/cancel"),
        subscribe(newcomer),
        person.call("POST", "/subscription/portal"),
        payer.call("GET", `/billing/return?session_id=${session}`)
      ])
      for (const reply of [cancelled, subscribed, portal, returned]) {
        assert.deepStrictEqual(refusal(reply), unavailable, reply.text)
        assert.match(reply.headers.get("retry-after") ?? "", /^\d+$/)
        assert.notInclude(reply.text, "sk_test")
      }
      // Changes at Stripe arrive by webhook, but their jobs fail for now.
      backend.stripe.checkout({ session, action: "pay" })
      backend.stripe.setSubscriptionStatus({
        subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "",
        status: "canceled"
      })
      await backend.stripe.idle()
      await until(
        "a job that failed",
        async () => (await jobsOf(backend.database)).some(({ last_error }) => last_error !== null),
        { seconds: 30 }
      )
      await until(
        "all tried",
        async () => (await jobsOf(backend.database)).every(({ attempts, locked_by }) => attempts > 0 && locked_by === null),
        { seconds: 30 }
      )
      assert.deepStrictEqual(await billingRows(backend, person), before)
      assert.strictEqual(await tierOf(person), "pro")
      assert.deepInclude(await status(payer), { tier: "basic", status: null })
      assert.deepStrictEqual(sessionsOf(newcomer), [])
      assert.isTrue((await jobsOf(backend.database)).every(({ last_error }) => !(last_error ?? "").includes("sk_test")))

      backend.stripe.clearFaults()
      await retryJobsNow(backend)
      await backend.waitUntilIdle()
      assert.strictEqual(await tierOf(person), "basic")
      assert.strictEqual(await tierOf(payer), "pro")
      assert.isTrue([...(await storedEvents(backend)).values()].every(({ outcome }) => outcome !== "pending"))
      assert.strictEqual((await subscribe(newcomer)).status, 201)
    })
  })
}

describe("Stripe failing twice", () => {
  for (const [name, fault] of Object.entries({
    "429": faults["429"],
    "500": faults["500"],
    "a reset": faults["a reset connection"]
  })) {
    it(`is hidden by retries: ${name}`, async () => {
      const person = await backend.newUser()
      for (const path of ["/v1/customers", "/v1/subscriptions", "/v1/checkout/sessions"]) {
        backend.stripe.addFault({ kind: "status", ...fault, path, times: 2 })
      }
      const reply = await subscribe(person)
      backend.stripe.clearFaults()
      assert.strictEqual(reply.status, 201, reply.text)
      assert.lengthOf(sessionsOf(person), 1)
    })
  }
})
