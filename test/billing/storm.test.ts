import { Agent, request as httpRequest } from "node:http"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { shuffle } from "../../simulators/stripe/webhooks/Shuffle.ts"
import { handledTypes } from "../../src/billing/Webhook.ts"
import { sign } from "../../simulators/stripe/webhooks/Signature.ts"
import { inParallel } from "../support/inParallel.ts"
import { newUsers } from "../support/Users.ts"
import type { Person } from "../support/Client.ts"
import { jobsOf, objects, secret, status, type StripeEvent, type TestBackend } from "./TestBackend.ts"
import { prices } from "./planSettings.ts"
import { startTwoPlans, subscribeTo } from "./TwoPlans.ts"
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

type History = (backend: TestBackend, subscription: string) => void

const change =
  (...to: ReadonlyArray<string>): History =>
  ({ stripe }, subscription) => {
    for (const price of to) stripe.changePrice({ subscription, price })
  }

const refundAll: History = ({ stripe }, charge) => void stripe.refund({ charge })

/** One after the other. */
const both =
  (...histories: ReadonlyArray<History>): History =>
  (backend, subscription) => {
    for (const history of histories) history(backend, subscription)
  }

const statuses =
  (...words: ReadonlyArray<string>): History =>
  ({ stripe }, subscription) => {
    for (const status of words) stripe.setSubscriptionStatus({ subscription, status })
  }

/**
 * What happens to a subscription after the checkout; the customers take turns. A third of them have a trial, in which nothing
 * is charged: what needs a charge begins with a change of the price, which ends the trial.
 */
const histories: ReadonlyArray<History> = [
  () => {},
  statuses("past_due"),
  statuses("canceled"),
  both(change(prices.maxYear), refundAll),
  both(change(prices.maxYear), ({ stripe }, id) => void stripe.refund({ charge: id, amount: 100 })),
  both(change(prices.maxYear), ({ stripe }, id) => {
    stripe.closeDispute({ dispute: stripe.openDispute({ charge: id }).id, outcome: "lost" })
  }),
  both(change(prices.maxYear), ({ stripe }, id) => {
    stripe.closeDispute({ dispute: stripe.openDispute({ charge: id }).id, outcome: "won" })
  }),
  statuses("past_due", "unpaid", "active", "paused", "trialing"),
  statuses("trialing", "past_due", "unpaid"),
  change(prices.maxMonth),
  change(prices.maxMonth, prices.proMonth),
  change(prices.proYear, prices.maxYear, prices.proMonth),
  both(change(prices.maxMonth), statuses("canceled")),
  both(change(prices.proMonth), statuses("past_due"), change(prices.maxMonth))
]

const planOf = new Map<string, string>([
  [prices.proMonth, "pro"],
  [prices.proYear, "pro"],
  [prices.maxMonth, "max"],
  [prices.maxYear, "max"]
])

/**
 * The events that arrive. What was given back is known from its event alone, and a customer from any event that is
 * handled; of the others some are lost.
 */
const arriving = (all: ReadonlyArray<StripeEvent>): ReadonlyArray<StripeEvent> => {
  const handled = new Set<string>(handledTypes)
  const known = new Set<unknown>()
  const needed = (event: StripeEvent): boolean => {
    if (event.type.startsWith("charge.refunded") || event.type.startsWith("charge.dispute.")) return true
    const object = event.data.object
    const customer = "customer" in object ? object.customer : undefined
    if (!handled.has(event.type) || known.has(customer)) return false
    known.add(customer)
    return true
  }
  const first: Array<StripeEvent> = []
  const others: Array<StripeEvent> = []
  for (const event of shuffle(all, 1)) (needed(event) ? first : others).push(event)
  return [...first, ...others].slice(0, eventCount)
}

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
      const plan = planOf.get(item?.price.id ?? "") ?? "none"
      return [
        subscription.metadata["userId"] ?? "",
        {
          id: subscription.id,
          tier: pays && !withdrawnFrom.has(subscription.id) ? plan : "basic",
          plan,
          interval: item?.price.recurring?.interval,
          trialEnd: iso(subscription.trial_end),
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
    plan: string
    billing_interval: string
    trial_end: Date | null
    tier: string
  }>("select s.*, tier_of(u) as tier from subscriptions s join users u on u.id = s.user_id")
  return new Map(
    rows.map((row) => [
      row.user_id,
      {
        id: row.id,
        tier: row.tier,
        plan: row.plan,
        interval: row.billing_interval,
        trialEnd: row.trial_end?.toISOString() ?? null,
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
    backend = await startTwoPlans({ backends: [{}, {}] })
    people = await newUsers(backend.urls[0] ?? "", backend.database, customers)
  }, 300_000)
  afterAll(() => backend.stop(), 60_000)

  it("lead to Stripe's state, in random order and with duplicates", { timeout: 600_000, retry: 0 }, async () => {
    backend.stripe.holdWebhooks()
    await inParallel(16, people, async (person, index) => {
      const opened = await subscribeTo(person, index % 3 === 0 ? "max" : "pro")
      const session = backend.stripe.checkout({ session: opened.body.sessionId, action: "pay" })
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
    const events = shuffle(arriving(objects(backend, "event")), 2)
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
      } else if (index % 200 === 100) {
        const live = objects(backend, "subscription").filter(({ status }) => status === "active" || status === "trialing")
        const [subscription, price] = [live[(index / 100) % live.length], index % 400 === 100 ? prices.maxMonth : prices.proYear]
        backend.stripe.changePrice({ subscription: subscription?.id ?? "", price })
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
    const trials = objects(backend, "subscription").filter(({ trial_start: start }) => start !== null).length
    const [uses] = await backend.database.query<{ uses: number }>("select count(*)::int as uses from trial_uses")
    process.stdout.write(
      `storm: ${customers} customers, ${eventCount} events, ${deliveryCount} deliveries in ${seconds(delivered - began)} s ` +
        `(${Math.round((deliveryCount / (delivered - began)) * 1000)}/s, slowest ${Math.round(slowest.millis)} ms), all settled after ${seconds(finished - began)} s; ` +
        `jobs after number ${jobsBefore}: ${runs} asked Stripe; inbox ${JSON.stringify(counts)}; ` +
        `${["max", "pro", "basic"].map((name) => `${tiers.filter((tier) => tier === name).length} ${name}`).join(", ")}; ` +
        `${trials} trials; differences: ${differences.length}\n`
    )
    assert.deepStrictEqual(
      differences.slice(0, 5).map(([user, value]) => ({ expected: value, found: found.get(user) })),
      []
    )
    assert.strictEqual(expected.size, customers)
    assert.strictEqual(found.size, customers)
    assert.strictEqual(counts?.pending, 0)
    assert.strictEqual(uses?.uses, trials)
    assert.isAtLeast(trials, Math.floor(customers / 3))
    // Every tier occurs, so equality is not a coincidence.
    assert.isAbove(tiers.filter((tier) => tier === "pro").length, customers / 10)
    assert.isAbove(tiers.filter((tier) => tier === "max").length, customers / 10)
    assert.isAbove(tiers.filter((tier) => tier === "basic").length, customers / 5)
    await inParallel(8, people.slice(0, 100), async (person) => {
      const own = await status(person)
      const theirs = expected.get(person.userId)
      assert.deepStrictEqual([own.tier, own.status, own.currentPeriodEnd], [theirs?.tier, theirs?.status, theirs?.end])
      assert.strictEqual((await person.call("GET", "/user/me")).body.tier, own.tier)
    })
  })
})
