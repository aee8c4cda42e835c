import { Agent, request as httpRequest } from "node:http"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { shuffle } from "../../simulators/stripe/webhooks/Shuffle.ts"
import { sign } from "../../simulators/stripe/webhooks/Signature.ts"
import { inParallel } from "../support/inParallel.ts"
import { newUsers } from "../support/Users.ts"
import type { Person } from "../support/Client.ts"
import { openCheckout, jobsOf, objects, secret, startTestBackend, status, type TestBackend } from "./TestBackend.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

/** `STORM_CUSTOMERS=500` is the long run: 10,000 deliveries of 8,000 events. */
const customers = Number(process.env["STORM_CUSTOMERS"] ?? 50)
const eventCount = customers * 16
const deliveryCount = customers * 20

const agent = new Agent({ keepAlive: true, maxSockets: 64 })
const deliver = (url: string, event: object) =>
  new Promise<number>((resolve, reject) => {
    const body = JSON.stringify(event, null, 2)
    const headers = { "content-type": "application/json; charset=utf-8", "stripe-signature": sign(body, [secret]) }
    const request = httpRequest(`${url}/webhook/stripe`, { method: "POST", agent, headers }, (response) => {
      response.resume()
      response.once("end", () => resolve(response.statusCode ?? 0))
    })
    request.once("error", reject)
    request.end(body)
  })

/** What happens to a subscription after the payment; the customers take turns. */
const histories: ReadonlyArray<(backend: TestBackend, subscription: string) => void> = [
  () => {},
  ({ stripe }, id) => stripe.setSubscriptionStatus({ subscription: id, status: "past_due" }),
  ({ stripe }, id) => stripe.setSubscriptionStatus({ subscription: id, status: "canceled" }),
  ({ stripe }, id) => stripe.refund({ charge: id }),
  ({ stripe }, id) => stripe.refund({ charge: id, amount: 100 }),
  ({ stripe }, id) => stripe.closeDispute({ dispute: stripe.openDispute({ charge: id }).id, outcome: "lost" }),
  ({ stripe }, id) => stripe.closeDispute({ dispute: stripe.openDispute({ charge: id }).id, outcome: "won" }),
  ({ stripe }, id) => {
    for (const status of ["past_due", "unpaid", "active", "paused", "trialing"])
      stripe.setSubscriptionStatus({ subscription: id, status })
  },
  ({ stripe }, id) => {
    for (const status of ["trialing", "past_due", "unpaid"]) stripe.setSubscriptionStatus({ subscription: id, status })
  }
]

const iso = (seconds: number | null | undefined) => (typeof seconds === "number" ? new Date(seconds * 1000).toISOString() : null)

/** The expected state of every user, from Stripe's state alone. */
const expectedOf = (backend: TestBackend) => {
  const charges = objects(backend, "charge")
  const disputes = objects(backend, "dispute")
  const payments = objects(backend, "invoice_payment")
  const invoices = new Map(objects(backend, "invoice").map((invoice) => [invoice.id, invoice]))
  const withdrawn = charges
    .filter((charge) => charge.refunded || disputes.some((dispute) => dispute.charge === charge.id && dispute.status === "lost"))
    .map((charge) =>
      invoices.get(payments.find(({ payment }) => payment.payment_intent === charge.payment_intent)?.invoice ?? "")
    )
  const withdrawnFrom = new Set(withdrawn.map((invoice) => invoice?.parent.subscription_details.subscription))
  return new Map(
    objects(backend, "subscription").map((subscription) => {
      const item = subscription.items.data[0]
      const graceEnds = ((item?.current_period_start ?? 0) + 7 * 86_400) * 1000
      const pays =
        ["active", "trialing"].includes(subscription.status) || (subscription.status === "past_due" && graceEnds > Date.now())
      return [
        subscription.metadata["userId"] ?? "",
        {
          id: subscription.id,
          tier: pays && !withdrawnFrom.has(subscription.id) ? "pro" : "basic",
          status: subscription.status,
          start: iso(item?.current_period_start),
          end: iso(item?.current_period_end),
          cancelAt: iso(subscription.cancel_at),
          atPeriodEnd: subscription.cancel_at_period_end
        }
      ]
    })
  )
}

const storedNow = async (backend: TestBackend) => {
  const rows = await backend.database.query<{
    user_id: string
    id: string
    status: string
    current_period_start: Date
    current_period_end: Date
    cancel_at: Date | null
    cancel_at_period_end: boolean
    is_pro: boolean
  }>("select s.*, coalesce(u.pro_until > now(), false) as is_pro from subscriptions s join users u on u.id = s.user_id")
  return new Map(
    rows.map((row) => [
      row.user_id,
      {
        id: row.id,
        tier: row.is_pro ? "pro" : "basic",
        status: row.status,
        start: row.current_period_start.toISOString(),
        end: row.current_period_end.toISOString(),
        cancelAt: row.cancel_at?.toISOString() ?? null,
        atPeriodEnd: row.cancel_at_period_end
      }
    ])
  )
}

describe("webhooks under load", () => {
  let backend: TestBackend
  let people: ReadonlyArray<Person>
  beforeAll(async () => {
    backend = await startTestBackend({ backends: [{}, {}] })
    people = await newUsers(backend.urls[0] ?? "", backend.database, customers)
  }, 300_000)
  afterAll(() => backend.stop(), 60_000)

  it("lead to Stripe's state, in random order and with duplicates", { timeout: 600_000 }, async () => {
    backend.stripe.holdWebhooks()
    await inParallel(16, people, async (person, index) => {
      const session = backend.stripe.checkout({ session: await openCheckout(person), action: "pay" })
      const subscription = String(session.subscription)
      // A fifth cancel, and half of those undo it.
      if (index % 5 === 0) await backend.sdk.subscriptions.update(subscription, { cancel_at_period_end: true })
      if (index % 10 === 0) await backend.sdk.subscriptions.update(subscription, { cancel_at_period_end: false })
      histories[index % histories.length]?.(backend, subscription)
    })
    // Fill up to sixteen events per customer with changes that have no effect.
    const subscriptions = objects(backend, "subscription")
    for (let index = 0; objects(backend, "event").length < eventCount; index += 20) {
      await inParallel(
        16,
        times(20, (each) => index + each),
        async (each) => {
          await backend.sdk.subscriptions.update(subscriptions[each % subscriptions.length]?.id ?? "", {
            metadata: { change: String(each) }
          })
        }
      )
    }
    backend.stripe.dropHeldWebhooks()
    const events = shuffle(objects(backend, "event"), 1).slice(0, eventCount)
    const deliveries = shuffle([...events, ...shuffle(events, 2).slice(0, deliveryCount - eventCount)], 3)
    assert.lengthOf(events, eventCount)
    assert.lengthOf(deliveries, deliveryCount)

    const jobsBefore = Number(
      (
        await backend.database.query<{ last: string }>("select coalesce(max(id), 0) as last from graphile_worker._private_jobs")
      )[0]?.last
    )
    const askedBefore = backend.stripe.requests({ path: "/v1/subscriptions" }).length
    const began = performance.now()
    const answers: Record<number, number> = {}
    const slowest = { millis: 0 }
    await inParallel(64, deliveries, async (event, index) => {
      const sent = performance.now()
      const status = await deliver(backend.urls[index % 2] ?? "", event)
      slowest.millis = Math.max(slowest.millis, performance.now() - sent)
      answers[status] = (answers[status] ?? 0) + 1
      // Some subscriptions change during the deliveries; the webhooks of that are held.
      if (index % 200 === 0) {
        const subscription = subscriptions[(index / 200) % subscriptions.length]
        backend.stripe.setSubscriptionStatus({
          subscription: subscription?.id ?? "",
          status: index % 400 === 0 ? "unpaid" : "active"
        })
      }
    })
    const delivered = performance.now()
    assert.deepStrictEqual(answers, { 200: deliveryCount })
    backend.stripe.releaseWebhooks()
    await backend.stripe.idle({ timeoutMillis: 60_000 })
    await until("every job", async () => (await jobsOf(backend.database)).length === 0, { seconds: 240 })
    const finished = performance.now()

    const expected = expectedOf(backend)
    const found = await storedNow(backend)
    const differences = [...expected].filter(([user, value]) => JSON.stringify(found.get(user)) !== JSON.stringify(value))
    const [counts] = await backend.database.query<{ rows: number; processed: number; ignored: number; pending: number }>(`
      select count(*)::int as rows, count(*) filter (where outcome = 'processed')::int as processed,
        count(*) filter (where outcome = 'ignored')::int as ignored, count(*) filter (where outcome = 'pending')::int as pending from webhook_events
    `)
    const runs = backend.stripe.requests({ path: "/v1/subscriptions" }).length - askedBefore
    const seconds = (millis: number) => (millis / 1000).toFixed(1)
    const tiers = [...expected.values()].map(({ tier }) => tier)
    process.stdout.write(
      `storm: ${customers} customers, ${eventCount} events, ${deliveryCount} deliveries in ${seconds(delivered - began)} s ` +
        `(${Math.round((deliveryCount / (delivered - began)) * 1000)}/s, slowest ${Math.round(slowest.millis)} ms), all settled after ${seconds(finished - began)} s; ` +
        `jobs after number ${jobsBefore}: ${runs} asked Stripe; inbox ${JSON.stringify(counts)}; ` +
        `${tiers.filter((tier) => tier === "pro").length} pro, ${tiers.filter((tier) => tier === "basic").length} basic; differences: ${differences.length}\n`
    )
    assert.deepStrictEqual(
      differences.slice(0, 5).map(([user, value]) => ({ expected: value, found: found.get(user) })),
      []
    )
    assert.strictEqual(expected.size, customers)
    assert.strictEqual(found.size, customers)
    assert.strictEqual(counts?.pending, 0)
    // Both tiers occur, so equality is not a coincidence.
    assert.isAbove(tiers.filter((tier) => tier === "pro").length, customers / 5)
    assert.isAbove(tiers.filter((tier) => tier === "basic").length, customers / 5)
    await inParallel(8, people.slice(0, 100), async (person) => {
      const own = await status(person)
      const theirs = expected.get(person.userId)
      assert.deepStrictEqual([own.tier, own.status, own.currentPeriodEnd], [theirs?.tier, theirs?.status, theirs?.end])
      assert.strictEqual((await person.call("GET", "/user/me")).body.tier, own.tier)
    })
  })
})
