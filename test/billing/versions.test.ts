import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { customerOf, newSubscriber, startTestBackend, status, subscribe, type TestBackend } from "./TestBackend.ts"
import { startStripeProxy } from "./StripeProxy.ts"

type Json = { [member: string]: Json } | ReadonlyArray<Json> | string | number | boolean | null
type Members = { [member: string]: Json }
const isMembers = (value: unknown): value is Members => typeof value === "object" && value !== null && !Array.isArray(value)

/** The list of subscriptions with each one changed, and with other members of the list. */
const changed = (answer: unknown, subscription: (members: Members) => Members, list: (members: Members) => Members) => {
  if (!isMembers(answer) || !Array.isArray(answer["data"])) return answer
  return list({ ...answer, data: answer["data"].filter(isMembers).map(subscription) })
}

const itemsOf = ({ items }: Members): ReadonlyArray<Members> =>
  isMembers(items) && Array.isArray(items["data"]) ? items["data"].filter(isMembers) : []

/** Before the version 2025-03-31 the period is the subscription's own, and a discount has its coupon itself. */
const older = (subscription: Members): Members => {
  const [first] = itemsOf(subscription)
  const items = itemsOf(subscription).map(({ current_period_end: _end, current_period_start: _start, ...item }) => item)
  const coupon = { id: "spring", object: "coupon", name: "Spring", percent_off: 20, amount_off: null, currency: null }
  return {
    ...subscription,
    current_period_start: first?.["current_period_start"] ?? null,
    current_period_end: first?.["current_period_end"] ?? null,
    discounts: [{ id: "di_1", object: "discount", end: null, promotion_code: null, coupon }],
    items: { object: "list", data: items }
  }
}

/** As terse as a mock may be. */
const lean = (subscription: Members): Members => {
  const { customer = null, id = null, status = null } = subscription
  const items = itemsOf(subscription).map(({ current_period_end = null, current_period_start = null, price = null }) => ({
    price: { id: isMembers(price) ? (price["id"] ?? null) : null },
    current_period_start,
    current_period_end
  }))
  return { id, customer, status, items: { data: items } }
}

let backend: TestBackend
let stripe: Awaited<ReturnType<typeof startStripeProxy>>
beforeAll(async () => {
  backend = await startTestBackend({ apiBase: async (simulator) => (stripe = await startStripeProxy(simulator.url)).url })
})
afterAll(async () => {
  await backend.stop()
  stripe.stop()
})

describe("a subscription as an older API version or a mock of Stripe tells it", () => {
  it.each([
    ["with its period beside the items, and a coupon beside the source", older, (list: Members) => list],
    ["without what may be left out", lean, ({ data = [] }: Members) => ({ data })]
  ] as const)("is read %s", async (_, subscription, list) => {
    stripe.rewrite("/v1/subscriptions?", (answer) => changed(answer, subscription, list))
    const person = await newSubscriber(backend)
    const stored = await status(person)
    assert.deepInclude(stored, { tier: "pro", status: "active", cancelAt: null })
    const [known] = (await backend.sdk.subscriptions.list({ customer: await customerOf(backend, person) })).data
    const end = known?.items.data[0]?.current_period_end ?? 0
    assert.strictEqual(stored.currentPeriodEnd, new Date(end * 1000).toISOString())
    assert.strictEqual(stored.discount?.percentOff, subscription === older ? 20 : undefined)
    assert.strictEqual((await subscribe(person)).body.code, "already_subscribed")
  })
})
