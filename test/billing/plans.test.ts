import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { type Person, type Reply, request } from "../support/Client.ts"
import { inParallel } from "../support/inParallel.ts"
import { until } from "../support/wait.ts"
import { permutations } from "./permutations.ts"
import {
  askQuestions,
  customerOf,
  newSubscriber,
  objects,
  startTestBackend,
  status,
  storedSubscriptions,
  stripeSubscriptions,
  subscribe,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { prices } from "./planSettings.ts"
import { newSubscriberTo, startTwoPlans, subscribeTo } from "./TwoPlans.ts"

let backend: TestBackend
beforeAll(async () => {
  backend = await startTwoPlans({ backends: [{}, {}] })
})
afterAll(() => backend.stop())

const refusal = ({ body, status }: Reply) => [status, body.code]
const sessionOf = (reply: Reply) => backend.sdk.checkout.sessions.retrieve(reply.body.sessionId, { expand: ["line_items"] })
const subscriptionOf = async (person: Person) => (await storedSubscriptions(backend, person))[0]?.id ?? ""
const portalOf = async (person: Person): Promise<string> => (await person.call("POST", "/subscription/portal")).body.url
const press = async (url: string, fields: Record<string, string>) => {
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(fields), redirect: "manual" })
  assert.strictEqual(answer.status, 303, await answer.text())
  await backend.waitUntilIdle()
}

describe("GET /plans", () => {
  it("lists Basic and the plans in their order, with Stripe's prices, for everyone", async () => {
    const reply = await request(backend.urls[0] ?? "", "GET", "/plans")
    assert.strictEqual(reply.status, 200)
    assert.strictEqual(reply.headers.get("cache-control"), "public, max-age=600")
    const [basic, pro, max] = reply.body.data
    assert.deepInclude(basic, { id: "basic", name: "Basic", prices: [], trialDays: 0 })
    assert.strictEqual(basic.limits.dailyPrompts, 5)
    const price = { currency: "usd", taxBehavior: "unspecified" }
    assert.deepStrictEqual(pro.prices, [
      { interval: "month", amount: 2_000, ...price },
      { interval: "year", amount: 20_000, ...price }
    ])
    assert.deepStrictEqual([pro.id, pro.trialDays, pro.limits.dailyPrompts], ["pro", 0, 100])
    assert.deepStrictEqual([max.id, max.name, max.trialDays], ["max", "Max", 14])
    assert.deepStrictEqual([max.limits.dailyPrompts, max.limits.dailyBudgetMicros], [null, 2_500_000])
    assert.include(max.models, "gemini-3.1-pro-preview")
    assert.notInclude(basic.models, "gemini-3.1-pro-preview")
    assert.deepStrictEqual(max.tools, ["search", "url"])
  })

  it("is 304 for the list that the client has, and asks Stripe once", async () => {
    const url = backend.urls[0] ?? ""
    const first = await request(url, "GET", "/plans")
    const before = backend.stripe.requests({ path: "/v1/prices" }).length
    for (const etag of [first.headers.get("etag") ?? "", `W/${first.headers.get("etag")}`]) {
      const again = await request(url, "GET", "/plans", { headers: { "if-none-match": etag } })
      assert.deepStrictEqual([again.status, again.text], [304, ""])
    }
    assert.strictEqual((await request(url, "GET", "/plans", { headers: { "if-none-match": '"another"' } })).status, 200)
    assert.strictEqual(backend.stripe.requests({ path: "/v1/prices" }).length, before)
  })

  it("is 503 while Stripe fails and no price is known", async () => {
    // One price alone: when it is given up, no other request is on its way.
    const path = `/v1/prices/${prices.proYear}`
    backend.stripe.addFault({ kind: "status", status: 500, path, times: 100 })
    const reply = await request(backend.urls[1] ?? "", "GET", "/plans")
    const asked = backend.stripe.requests({ path }).length
    const again = await request(backend.urls[1] ?? "", "GET", "/plans")
    const askedAgain = backend.stripe.requests({ path }).length
    backend.stripe.clearFaults()
    assert.strictEqual(askedAgain, asked)
    for (const refused of [reply, again]) {
      assert.deepStrictEqual(refusal(refused), [503, "billing_unavailable"])
      assert.strictEqual(refused.headers.get("retry-after"), "5")
    }
    const isBack = async () => (await request(backend.urls[1] ?? "", "GET", "/plans")).status === 200
    await until("the plans", isBack, { seconds: 30 })
  })

  it("lists Basic alone with BILLING=off", async () => {
    const off = await startTestBackend({ backends: [{ BILLING: "off" }] })
    try {
      const { body, status } = await request(off.urls[0] ?? "", "GET", "/plans")
      assert.deepStrictEqual([status, body.data.map(({ id }: { id: string }) => id)], [200, ["basic"]])
    } finally {
      await off.stop()
    }
  })
})

describe("POST /subscribe/:plan", () => {
  it("sells the price of the plan and interval", async () => {
    for (const [plan, body, price] of [
      ["pro", undefined, prices.proMonth],
      ["pro", { interval: "year" }, prices.proYear],
      ["max", {}, prices.maxMonth],
      ["max", { interval: "month" }, prices.maxMonth],
      ["max", { interval: "year" }, prices.maxYear]
    ] as const) {
      const reply = await subscribeTo(await backend.newUser(), plan, body)
      assert.strictEqual(reply.status, 201)
      const session = await sessionOf(reply)
      assert.deepStrictEqual(
        session.line_items?.data.map(({ price: sold }) => sold?.id),
        [price]
      )
      assert.isTrue(session.allow_promotion_codes)
    }
  })

  it("gives the tier, its limits and the interval", async () => {
    const person = await newSubscriberTo(backend, "max", { body: { interval: "year" } })
    const own = await status(person)
    assert.deepInclude(own, { tier: "max", plan: "max", interval: "year", status: "trialing", discount: null })
    assert.deepInclude(own.limits, { daily: null, remaining: null })
    const me = (await person.call("GET", "/user/me")).body
    assert.strictEqual(me.tier, "max")
    assert.strictEqual(me.budget.limitMicros, 2_500_000)
    const [asked] = await askQuestions(person, 1)
    assert.strictEqual(asked?.status, 201)
    assert.strictEqual(asked?.body.quota.budget.limitMicros, 2_500_000)
    assert.strictEqual((await person.call("POST", "/chatroom", { model: "gemini-3.1-pro-preview" })).status, 201)
  })

  it("gives a yearly period, which is on the item", async () => {
    const person = await newSubscriberTo(backend, "pro", { body: { interval: "year" } })
    const own = await status(person)
    assert.deepInclude(own, { tier: "pro", plan: "pro", interval: "year", status: "active", trialEndsAt: null })
    const days = (Date.parse(own.currentPeriodEnd) - Date.now()) / 86_400_000
    assert.isTrue(days > 364 && days < 367, String(days))
  })

  it("refuses an unknown plan, and an interval or code that does not fit", async () => {
    const person = await backend.newUser()
    for (const plan of ["gold", "basic", "MAX", "toString"])
      assert.deepStrictEqual(refusal(await subscribeTo(person, plan)), [404, "plan_not_found"])
    const wrong = await subscribeTo(person, "pro", { interval: "week" })
    assert.deepStrictEqual([wrong.status, wrong.body.errors[0].path], [400, "/interval"])
    assert.deepStrictEqual(refusal(await subscribeTo(person, "pro", { promotionCode: "NOSUCH" })), [
      400,
      "promotion_code_invalid"
    ])
    assert.strictEqual((await subscribeTo(person, "pro", { promotionCode: "" })).status, 400)
  })

  it("refuses an interval that the plan is not sold at", async () => {
    const monthly = await startTestBackend()
    try {
      const person = await monthly.newUser()
      const { body, status } = await person.call("POST", "/subscribe/pro", { interval: "year" })
      assert.deepStrictEqual([status, body.errors[0].path], [400, "/interval"])
      assert.strictEqual((await person.call("POST", "/subscribe/max")).body.code, "plan_not_found")
    } finally {
      await monthly.stop()
    }
  })

  it("returns the open checkout for the same, and replaces it for something else", async () => {
    const person = await backend.newUser()
    const first = await subscribeTo(person, "pro")
    const same = await subscribe(person)
    assert.deepStrictEqual([same.status, same.body], [200, first.body])
    const other = await subscribeTo(person, "max")
    assert.strictEqual(other.status, 201)
    assert.deepStrictEqual([(await sessionOf(first)).status, (await sessionOf(other)).status], ["expired", "open"])
    assert.strictEqual((await subscribeTo(person, "max", { interval: "month" })).status, 200)
    assert.strictEqual((await subscribeTo(person, "max", { interval: "year" })).status, 201)
    assert.strictEqual(
      objects(backend, "checkout.session").filter(
        ({ client_reference_id: id, status }) => id === person.userId && status === "open"
      ).length,
      1
    )
  })

  it("leaves one open checkout after requests for different plans at once", async () => {
    const person = await backend.newUser()
    const wishes = Array.from({ length: 12 }, (_, index) => (index % 2 === 0 ? "pro" : "max"))
    const replies = await inParallel(12, wishes, (plan) => subscribeTo(person, plan))
    for (const reply of replies) assert.include([200, 201], reply.status, reply.text)
    const own = objects(backend, "checkout.session").filter(({ client_reference_id: id }) => id === person.userId)
    assert.lengthOf(
      own.filter(({ status }) => status === "open"),
      1
    )
  })

  it("refuses the paid checkout's successor when the first was paid meanwhile", async () => {
    const person = await backend.newUser()
    const first = await subscribeTo(person, "pro")
    backend.stripe.holdWebhooks()
    backend.stripe.checkout({ session: first.body.sessionId, action: "pay" })
    assert.deepStrictEqual(refusal(await subscribeTo(person, "max")), [409, "change_in_portal"])
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
    assert.lengthOf(stripeSubscriptions(backend, await customerOf(backend, person)), 1)
  })

  it("sends subscribers of another plan or interval to the portal", async () => {
    const person = await newSubscriberTo(backend, "pro")
    assert.deepStrictEqual(refusal(await subscribeTo(person, "pro")), [409, "already_subscribed"])
    assert.deepStrictEqual(refusal(await subscribeTo(person, "pro", { interval: "month" })), [409, "already_subscribed"])
    assert.deepStrictEqual(refusal(await subscribeTo(person, "pro", { interval: "year" })), [409, "change_in_portal"])
    assert.deepStrictEqual(refusal(await subscribeTo(person, "max")), [409, "change_in_portal"])
    await person.call("POST", "/subscription/cancel")
    assert.deepStrictEqual(refusal(await subscribeTo(person, "max")), [409, "pending_cancellation"])
    backend.stripe.setSubscriptionStatus({ subscription: await subscriptionOf(person), status: "past_due" })
    assert.deepStrictEqual(refusal(await subscribeTo(person, "max")), [409, "payment_required"])
  })

  it("keeps idempotency keys by plan and body", async () => {
    const person = await backend.newUser()
    const keyed = (plan: string, body?: object) => person.call("POST", `/subscribe/${plan}`, body, { "idempotency-key": "one" })
    const first = await keyed("pro")
    assert.deepStrictEqual([(await keyed("pro")).body, (await keyed("pro", {})).status], [first.body, 201])
    assert.deepStrictEqual(refusal(await keyed("max")), [422, "idempotency_key_reused"])
    assert.deepStrictEqual(refusal(await keyed("pro", { interval: "year" })), [422, "idempotency_key_reused"])
  })
})

describe("a promotion code", () => {
  const newCode = async (coupon: object, code: string, rest: object = {}) => {
    const { id } = await backend.sdk.coupons.create({ name: "Spring", ...coupon })
    return backend.sdk.promotionCodes.create({ promotion: { type: "coupon", coupon: id }, code, ...rest })
  }

  it("lowers the price, whatever its case, and is shown with the subscription", async () => {
    await newCode({ percent_off: 20, duration: "repeating", duration_in_months: 3 }, "SPRING20")
    const person = await backend.newUser()
    const reply = await subscribeTo(person, "pro", { promotionCode: "spring20" })
    const session = await sessionOf(reply)
    assert.deepStrictEqual([session.amount_total, session.allow_promotion_codes], [1_600, null])
    assert.strictEqual((await subscribeTo(person, "pro", { promotionCode: "SPRING20" })).status, 200)
    backend.stripe.checkout({ session: session.id, action: "pay" })
    await backend.waitUntilIdle()
    const { discount, tier } = await status(person)
    assert.strictEqual(tier, "pro")
    const { endsAt, ...rest } = discount
    assert.deepStrictEqual(rest, { name: "Spring", code: "SPRING20", percentOff: 20, amountOff: null, currency: null })
    assert.isTrue(Date.parse(endsAt) > Date.now() + 80 * 86_400_000)
  })

  it("can be typed at Stripe's page", async () => {
    await newCode({ amount_off: 500, currency: "usd", duration: "forever" }, "FIVE-OFF")
    const person = await backend.newUser()
    const { sessionId } = (await subscribeTo(person, "pro")).body
    assert.strictEqual(backend.stripe.enterCode({ session: sessionId, code: "five-off" }).amount_total, 1_500)
    backend.stripe.checkout({ session: sessionId, action: "pay" })
    await backend.waitUntilIdle()
    assert.deepInclude((await status(person)).discount, { amountOff: 500, currency: "usd", percentOff: null, endsAt: null })
  })

  it("can make it free: the invoice of 0 is paid, and the subscription counts", async () => {
    await newCode({ percent_off: 100, duration: "forever" }, "FREE")
    const person = await newSubscriberTo(backend, "pro", { body: { promotionCode: "FREE" } })
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    const paid = objects(backend, "event").filter(({ type }) => type === "invoice.paid")
    const customer = await customerOf(backend, person)
    const own = paid.map(({ data }) => data.object).find((invoice) => "customer" in invoice && invoice.customer === customer)
    assert.deepInclude(own, { amount_paid: 0, total: 0, status: "paid" })
    const [invoice] = (await person.call("GET", "/subscription/invoices")).body.data
    assert.deepInclude(invoice, { status: "paid", total: 0, tax: 0 })
    // A second, younger subscription is ended, and there is nothing to refund.
    backend.stripe.advance({ seconds: 5 })
    const second = await backend.sdk.subscriptions.create({ customer, items: [{ price: prices.proMonth }] })
    await backend.waitUntilIdle()
    assert.strictEqual((await backend.sdk.subscriptions.retrieve(second.id)).status, "canceled")
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })

  it("is refused when it is another customer's, used up, switched off, or for a first purchase", async () => {
    const other = await newSubscriberTo(backend, "pro")
    await newCode({ percent_off: 10 }, "THEIRS", { customer: await customerOf(backend, other) })
    await newCode({ percent_off: 10 }, "ONCE", { max_redemptions: 1 })
    const off = await newCode({ percent_off: 10 }, "OFF")
    await backend.sdk.promotionCodes.update(off.id, { active: false })
    await newCode({ percent_off: 10 }, "FIRST", { restrictions: { first_time_transaction: true } })
    await newSubscriberTo(backend, "pro", { body: { promotionCode: "ONCE" } })
    const person = await newSubscriberTo(backend, "pro")
    backend.stripe.setSubscriptionStatus({ subscription: await subscriptionOf(person), status: "canceled" })
    await backend.waitUntilIdle()
    for (const code of ["THEIRS", "ONCE", "OFF", "FIRST"])
      assert.deepStrictEqual(
        refusal(await subscribeTo(person, "pro", { promotionCode: code })),
        [400, "promotion_code_invalid"],
        code
      )
    assert.strictEqual((await subscribeTo(person, "pro")).status, 201)
  })
})

describe("changes of the plan", () => {
  it("go through a portal with every price, from month to year and back", async () => {
    const person = await newSubscriberTo(backend, "pro")
    const portal = await portalOf(person)
    const html = await (await fetch(portal)).text()
    assert.include(html, "Change to Max, $50.00 a month")
    assert.include(html, "Change to Max, $500.00 a year")
    const steps = [
      [prices.maxMonth, "max", "month"],
      [prices.maxYear, "max", "year"],
      [prices.proYear, "pro", "year"],
      [prices.proMonth, "pro", "month"]
    ] as const
    for (const [price, plan, interval] of steps) {
      await press(portal, { action: "change", price })
      assert.deepInclude(await status(person), { tier: plan, plan, interval, status: "active" })
      assert.strictEqual((await person.call("GET", "/user/me")).body.tier, plan)
    }
    assert.lengthOf(stripeSubscriptions(backend, await customerOf(backend, person)), 1)
  })

  it("share one configuration of the portal", async () => {
    const person = await newSubscriberTo(backend, "pro")
    for (const url of backend.urls) {
      const own = { ...person, call: (method: string, path: string) => request(url, method, path, { token: person.token }) }
      await portalOf(own)
    }
    assert.isAtMost(objects(backend, "billing_portal.configuration").length, 2)
    const before = objects(backend, "billing_portal.configuration").length
    await portalOf(person)
    assert.lengthOf(objects(backend, "billing_portal.configuration"), before)
  })

  it("use Stripe's own configuration where a single price is sold", async () => {
    const single = await startTestBackend()
    try {
      assert.match(
        await (async () => (await (await newSubscriber(single)).call("POST", "/subscription/portal")).body.url)(),
        /portal/
      )
      assert.lengthOf(objects(single, "billing_portal.configuration"), 0)
      assert.strictEqual(objects(single, "billing_portal.session")[0]?.configuration, "bpc_simulated")
    } finally {
      await single.stop()
    }
  })

  it("lead to the same as at Stripe in every order of upgrade, downgrade, cancel and renewal", { timeout: 120_000 }, async () => {
    const steps: Record<string, (id: string) => void> = {
      upgrade: (subscription) => void backend.stripe.changePrice({ subscription, price: prices.maxMonth }),
      downgrade: (subscription) => void backend.stripe.changePrice({ subscription, price: prices.proMonth }),
      yearly: (subscription) => void backend.stripe.changePrice({ subscription, price: prices.maxYear }),
      cancel: (subscription) => void backend.stripe.setSubscriptionStatus({ subscription, status: "canceled" })
    }
    const orders = permutations(["upgrade", "downgrade", "yearly", "cancel"])
    const people = await inParallel(8, orders, () => newSubscriberTo(backend, "pro"))
    const ids = await Promise.all(people.map(subscriptionOf))
    for (let step = 0; step < 4; step++) {
      for (const [index, order] of orders.entries()) {
        const isEnded = order.slice(0, step).includes("cancel")
        if (!isEnded) steps[order[step] ?? ""]?.(ids[index] ?? "")
      }
      await backend.waitUntilIdle()
      await inParallel(8, people, async (person, index) => {
        const order = orders[index] ?? []
        const done = order.slice(0, step + 1)
        const last = done.filter((name) => name !== "cancel").at(-1)
        const plan = last === undefined || last === "downgrade" ? "pro" : "max"
        const isEnded = done.includes("cancel")
        const before = done.slice(0, done.indexOf("cancel")).at(-1)
        const endedAs = before === undefined || before === "downgrade" ? "pro" : "max"
        const own = await status(person)
        assert.strictEqual(own.tier, isEnded ? "basic" : plan, `${done.join(", ")}`)
        assert.strictEqual(own.plan, isEnded ? endedAs : plan, `${done.join(", ")}`)
      })
    }
  })

  it("keep a pending cancellation, which ends the plan that was changed to", async () => {
    const person = await newSubscriberTo(backend, "pro")
    await person.call("POST", "/subscription/cancel")
    backend.stripe.changePrice({ subscription: await subscriptionOf(person), price: prices.maxMonth })
    await backend.waitUntilIdle()
    const own = await status(person)
    assert.deepInclude(own, { tier: "max", plan: "max" })
    assert.isNotNull(own.cancelAt)
    const undone = await person.call("POST", "/subscription/reactivate")
    assert.deepStrictEqual([undone.body.tier, undone.body.cancelAt], ["max", null])
  })

  it("change nothing when the card is declined", async () => {
    const person = await newSubscriberTo(backend, "pro")
    const portal = await portalOf(person)
    backend.stripe.setCard({ customer: await customerOf(backend, person), card: "declines" })
    const answer = await fetch(portal, {
      method: "POST",
      body: new URLSearchParams({ action: "change", price: prices.maxMonth })
    })
    assert.strictEqual(answer.status, 402)
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "pro")
  })
})

describe("two subscriptions of a user", () => {
  it("count as the higher plan until the newer one is ended", async () => {
    const person = await newSubscriberTo(backend, "pro")
    const customer = await customerOf(backend, person)
    backend.stripe.addFault({ kind: "status", status: 500, method: "DELETE", path: "/v1/subscriptions/", times: 50 })
    // The older one stays, so it must be older.
    backend.stripe.advance({ seconds: 5 })
    const second = await backend.sdk.subscriptions.create({ customer, items: [{ price: prices.maxMonth }] })
    const session = objects(backend, "checkout.session").find((each) => each.customer === customer)
    await person.call("GET", `/billing/return?session_id=${session?.id}`)
    assert.deepInclude(await status(person), { tier: "max", plan: "max" })
    backend.stripe.clearFaults()
    await backend.database.query("update graphile_worker._private_jobs set run_at = now() where locked_at is null")
    await backend.waitUntilIdle()
    assert.strictEqual((await backend.sdk.subscriptions.retrieve(second.id)).status, "canceled")
    assert.deepInclude(await status(person), { tier: "pro", plan: "pro" })
  })
})
