import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { personAt, type Reply, request } from "../support/Client.ts"
import {
  stripeSubscriptions,
  openCheckout,
  customerOf,
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
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

let backend: TestBackend
beforeAll(async () => {
  backend = await startTestBackend({ backends: [{}, { FRONTEND_URL: "https://app.example/chat/" }] })
})
afterAll(() => backend.stop())

const refusal = ({ body, status }: Reply) => [status, body.code]
const returnFrom = (person: { readonly call: (method: string, path: string) => Promise<Reply> }, session: string) =>
  person.call("GET", `/billing/return?session_id=${session}`)
const sessionsOf = (customer: string) => objects(backend, "checkout.session").filter((session) => session.customer === customer)
const attemptsOf = (userId: string) =>
  backend.database.query<{ status: string; session_id: string | null }>(
    "select status, session_id from checkout_attempts where user_id = $1 order by created_at",
    [userId]
  )

describe("Checkout.open", () => {
  it("creates a checkout session at Stripe that expires in an hour and names the user", async () => {
    const person = await backend.newUser()
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201)
    assert.sameMembers(Object.keys(reply.body), ["checkoutUrl", "sessionId", "expiresAt"])
    assert.match(reply.body.expiresAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.closeTo(Date.parse(reply.body.expiresAt), Date.now() + 3_600_000, 10_000)
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    const session = await backend.sdk.checkout.sessions.retrieve(reply.body.sessionId)
    assert.strictEqual(session.url, reply.body.checkoutUrl)
    assert.strictEqual(session.client_reference_id, person.userId)
    assert.strictEqual(session.expires_at * 1000, Date.parse(reply.body.expiresAt))
    assert.include(session.success_url, "session_id={CHECKOUT_SESSION_ID}")
    const page = await fetch(reply.body.checkoutUrl)
    assert.strictEqual(page.status, 200)
  })

  it("returns the open checkout with 200 from every backend", async () => {
    const person = await backend.newUser()
    const first = await subscribe(person)
    for (const url of backend.urls) {
      const again = await subscribe(personAt(url, person))
      assert.deepStrictEqual([again.status, again.body], [200, first.body])
    }
  })

  it("creates one session and one customer for 50 parallel calls to two backends", async () => {
    const person = await backend.newUser()
    const replies = await Promise.all(times(50, (index) => subscribe(personAt(backend.urls[index % 2] ?? "", person))))
    assert.lengthOf(
      replies.filter(({ status }) => status === 201),
      1
    )
    assert.lengthOf(
      replies.filter(({ status }) => status === 200),
      49
    )
    for (const reply of replies) assert.deepStrictEqual(reply.body, replies[0]?.body)
    const customer = await customerOf(backend, person)
    assert.lengthOf(sessionsOf(customer), 1)
    assert.lengthOf(
      objects(backend, "customer").filter(({ metadata }) => metadata["userId"] === person.userId),
      1
    )
    assert.lengthOf(await attemptsOf(person.userId), 1)
  })

  it("creates one session for 50 parallel calls when Stripe is slow", async () => {
    const person = await backend.newUser()
    backend.stripe.addFault({ kind: "delay", millis: 2_500, path: "/v1/checkout/sessions", method: "POST" })
    const replies = await Promise.all(times(50, (index) => subscribe(personAt(backend.urls[index % 2] ?? "", person))))
    assert.deepStrictEqual(replies.map(({ status }) => status).sort(), [...times(49, () => 200), 201])
    assert.lengthOf(sessionsOf(await customerOf(backend, person)), 1)
  })

  it("replays the 201 for the same Idempotency-Key, even after the payment", async () => {
    const person = await backend.newUser()
    const key = crypto.randomUUID()
    const first = await subscribe(person, key)
    assert.strictEqual(first.status, 201)
    assert.isNull(first.headers.get("idempotent-replayed"))
    const second = await subscribe(person, key)
    assert.deepStrictEqual([second.status, second.body, second.headers.get("idempotent-replayed")], [201, first.body, "true"])
    backend.stripe.checkout({ session: first.body.sessionId, action: "pay" })
    await backend.waitUntilIdle()
    const third = await subscribe(personAt(backend.urls[1] ?? "", person), key)
    assert.deepStrictEqual([third.status, third.body], [201, first.body])
    assert.deepStrictEqual(refusal(await subscribe(person, crypto.randomUUID())), [409, "already_subscribed"])
    assert.strictEqual((await subscribe(person, "x".repeat(256))).status, 400)
  })

  it("does not store a refusal under an Idempotency-Key", async () => {
    const person = await newSubscriber(backend)
    const key = crypto.randomUUID()
    assert.deepStrictEqual(refusal(await subscribe(person, key)), [409, "already_subscribed"])
    backend.stripe.setSubscriptionStatus({
      subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "",
      status: "canceled"
    })
    await backend.waitUntilIdle()
    assert.strictEqual((await subscribe(person, key)).status, 201)
  })

  it("answers 401 without a token and 405 to GET", async () => {
    const person = await backend.newUser()
    assert.strictEqual((await request(backend.urls[0] ?? "", "POST", "/subscribe/pro")).status, 401)
    assert.strictEqual((await person.call("GET", "/subscribe/pro")).status, 405)
  })

  it("answers 503 and creates no session while Stripe's list of subscriptions fails", async () => {
    const person = await backend.newUser()
    backend.stripe.addFault({ kind: "status", status: 500, path: "/v1/subscriptions", times: 100 })
    const reply = await subscribe(person)
    backend.stripe.clearFaults()
    assert.deepStrictEqual(refusal(reply), [503, "billing_unavailable"])
    assert.match(reply.headers.get("retry-after") ?? "", /^\d+$/)
    assert.deepStrictEqual(sessionsOf(await customerOf(backend, person)), [])
    assert.strictEqual((await subscribe(person)).status, 201)
  })

  it("gets the same session again when Stripe's answer was lost", async () => {
    for (const kind of ["reset", "cut", "html", "json"] as const) {
      const person = await backend.newUser()
      backend.stripe.addFault({ kind, afterEffect: true, path: "/v1/checkout/sessions", method: "POST", times: 5 })
      assert.deepStrictEqual(refusal(await subscribe(person)), [503, "billing_unavailable"], kind)
      backend.stripe.clearFaults()
      assert.strictEqual((await subscribe(person)).status, 201, kind)
      assert.lengthOf(sessionsOf(await customerOf(backend, person)), 1, kind)
    }
  })

  it("gets the same customer again when Stripe's answer was lost", async () => {
    const person = await backend.newUser()
    backend.stripe.addFault({ kind: "reset", afterEffect: true, path: "/v1/customers", method: "POST", times: 5 })
    assert.deepStrictEqual(refusal(await subscribe(person)), [503, "billing_unavailable"])
    backend.stripe.clearFaults()
    assert.strictEqual((await subscribe(person)).status, 201)
    assert.lengthOf(
      objects(backend, "customer").filter(({ metadata }) => metadata["userId"] === person.userId),
      1
    )
  })

  it("starts a new attempt when the old one expires too soon for Stripe", async () => {
    const person = await backend.newUser()
    backend.stripe.addFault({ kind: "status", status: 500, path: "/v1/checkout/sessions", method: "POST", times: 5 })
    assert.deepStrictEqual(refusal(await subscribe(person)), [503, "billing_unavailable"])
    backend.stripe.clearFaults()
    // Stripe requires at least half an hour.
    await backend.database.query(
      "update checkout_attempts set expires_at = date_trunc('second', now()) + interval '20 minutes' where user_id = $1",
      [person.userId]
    )
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201, reply.text)
    assert.closeTo(Date.parse(reply.body.expiresAt), Date.now() + 3_600_000, 10_000)
  })

  it("takes over the attempt of a process that died", async () => {
    const person = await backend.newUser()
    await subscribe(person)
    // The state after a process died between claiming the attempt and storing the session.
    await backend.database.query(
      "update checkout_attempts set session_id = null, url = null, claimed_at = clock_timestamp() - interval '41 seconds' where user_id = $1",
      [person.userId]
    )
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201)
    assert.lengthOf(sessionsOf(await customerOf(backend, person)), 1)
  })
})

describe("Checkout.handleReturn", () => {
  it("updates the tier at once, before the webhook arrives", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    backend.stripe.holdWebhooks()
    backend.stripe.checkout({ session, action: "pay" })
    assert.strictEqual(await tierOf(person), "basic")
    const reply = await returnFrom(person, session)
    assert.strictEqual(reply.status, 200)
    assert.deepInclude(reply.body, { tier: "pro", status: "active" })
    assert.deepStrictEqual(reply.body, await status(person))
    assert.strictEqual((await attemptsOf(person.userId))[0]?.status, "completed")
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "pro")
  })

  it("stays Basic and keeps the checkout open without a payment", async () => {
    const person = await backend.newUser()
    const first = await subscribe(person)
    const reply = await returnFrom(person, first.body.sessionId)
    assert.deepInclude(reply.body, { tier: "basic", status: null })
    assert.deepStrictEqual((await subscribe(person)).body, first.body)
  })

  it("answers 404 for another user's session and for an unknown one", async () => {
    const owner = await backend.newUser()
    const session = await openCheckout(owner)
    backend.stripe.checkout({ session, action: "pay" })
    const thief = await backend.newUser()
    assert.deepStrictEqual(refusal(await returnFrom(thief, session)), [404, "checkout_not_found"])
    assert.deepStrictEqual(refusal(await returnFrom(thief, "cs_test_nobody")), [404, "checkout_not_found"])
    assert.deepStrictEqual(refusal(await returnFrom(thief, "{CHECKOUT_SESSION_ID}")), [404, "checkout_not_found"])
    assert.strictEqual((await thief.call("GET", "/billing/return")).status, 400)
    assert.strictEqual(await tierOf(thief), "basic")
    await backend.waitUntilIdle()
  })

  it("shows a browser without a token a page without data, and leads it to FRONTEND_URL where that is set", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    const browser = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }
    const [plain = "", withFrontEnd = ""] = backend.urls
    const path = `/billing/return?session_id=${session}`
    const page = await request(plain, "GET", path, { headers: browser })
    assert.deepStrictEqual([page.status, page.headers.get("content-type")], [200, "text/html; charset=utf-8"])
    assert.include(page.text, "close this page")
    assert.notInclude(page.text, session)
    const led = await request(withFrontEnd, "GET", path, { headers: browser })
    assert.deepStrictEqual(
      [led.status, led.headers.get("location")],
      [303, `https://app.example/chat/?billing=success&session_id=${session}`]
    )
    const odd = await request(withFrontEnd, "GET", "/billing/return?session_id=%22%3E%0d%0aset-cookie:x", { headers: browser })
    assert.strictEqual(
      odd.headers.get("location"),
      "https://app.example/chat/?billing=success&session_id=%22%3E%0D%0Aset-cookie%3Ax"
    )
    // An app says what it accepts, or sends a token.
    for (const headers of [{}, { accept: "application/json" }, { ...browser, authorization: "Bearer forged" }]) {
      assert.strictEqual((await request(plain, "GET", path, { headers })).status, 401)
    }
    const withToken = await request(plain, "GET", path, { headers: browser, token: person.token })
    assert.deepInclude(withToken.body, { tier: "basic" })
    // No other route shows a page.
    assert.strictEqual((await request(plain, "GET", "/subscription/status", { headers: browser })).status, 401)
  })

  it("returns people to FRONTEND_URL from the checkout and from the portal, and upgrades there", async () => {
    const [, withFrontEnd = ""] = backend.urls
    const person = personAt(withFrontEnd, await backend.newUser())
    const { success_url, cancel_url } = await backend.sdk.checkout.sessions.retrieve(await openCheckout(person))
    assert.match(success_url ?? "", /\/billing\/return\?session_id=\{CHECKOUT_SESSION_ID\}$/)
    assert.strictEqual(cancel_url, "https://app.example/chat/?billing=cancelled")
    assert.strictEqual((await person.call("POST", "/subscription/portal")).status, 201)
    const portals = objects(backend, "billing_portal.session").map(({ return_url }) => return_url)
    assert.include(portals, "https://app.example/chat/?billing=portal")
    const refused = await person.call("POST", "/chatroom", { model: "gemini-3.1-pro-preview" })
    assert.strictEqual(refused.body.code, "model_not_in_plan", refused.text)
    assert.strictEqual(refused.body.upgradeUrl, "https://app.example/chat/#upgrade")
  })

  it("stays Basic after a declined card, and the checkout can still be paid", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    backend.stripe.checkout({ session, action: "decline" })
    await backend.waitUntilIdle()
    assert.deepInclude((await returnFrom(person, session)).body, { tier: "basic", status: null })
    assert.strictEqual(await openCheckout(person), session)
    backend.stripe.checkout({ session, action: "pay" })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "pro")
  })
})

describe("a delayed payment", () => {
  it("gives Pro once it succeeds, and refuses a second checkout until then", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    backend.stripe.checkout({ session, action: "later" })
    await backend.waitUntilIdle()
    const meanwhile = (await returnFrom(person, session)).body
    assert.deepInclude(meanwhile, { tier: "basic", status: "incomplete" })
    assert.match(meanwhile.invoiceUrl, /^http.*\/invoice\/in_/)
    const again = await subscribe(person)
    assert.deepStrictEqual(refusal(again), [409, "payment_required"])
    assert.strictEqual(again.body.invoiceUrl, meanwhile.invoiceUrl)
    backend.stripe.settlePayment({ session, outcome: "succeeded" })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "pro", status: "active", invoiceUrl: null })
  })

  it("stays Basic when it fails", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    backend.stripe.checkout({ session, action: "later" })
    backend.stripe.settlePayment({ session, outcome: "failed" })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "basic", status: "incomplete" })
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "payment_required"])
    // Stripe expires it by itself; then a new checkout can be opened.
    backend.stripe.setSubscriptionStatus({
      subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "",
      status: "incomplete_expired"
    })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "basic", status: "incomplete_expired" })
    assert.strictEqual((await subscribe(person)).status, 201)
  })
})

/** Waits until a subscription that is created now is newer than the customer's first. */
const nextSecond = (customer: string) =>
  until("another second", async () => backend.stripe.now() > (stripeSubscriptions(backend, customer)[0]?.created ?? Infinity), {
    seconds: 30
  })

describe("a second subscription", () => {
  it("is refused while one is active, even before its webhook arrives", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    backend.stripe.holdWebhooks()
    backend.stripe.checkout({ session, action: "pay" })
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "already_subscribed"])
    assert.strictEqual(await tierOf(person), "pro")
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
  })

  it("is refused with pending_cancellation while one is set to end", async () => {
    const person = await newSubscriber(backend)
    assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "pending_cancellation"])
  })

  for (const word of ["past_due", "unpaid", "paused", "incomplete", "a_word_of_2031"]) {
    it(`is refused with payment_required while one is ${word}`, async () => {
      const person = await newSubscriber(backend)
      backend.stripe.setSubscriptionStatus({
        subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "",
        status: word
      })
      await backend.waitUntilIdle()
      const reply = await subscribe(person)
      assert.deepStrictEqual(refusal(reply), [409, "payment_required"])
      assert.property(reply.body, "invoiceUrl")
    })
  }

  it("is ended and refunded when it was paid anyway; the first one stays", async () => {
    const person = await backend.newUser()
    const first = await openCheckout(person)
    const customer = await customerOf(backend, person)
    const second = await backend.sdk.checkout.sessions.create({
      mode: "subscription",
      customer,
      line_items: [{ price: backend.stripe.priceId, quantity: 1 }],
      success_url: "https://app.test/"
    })
    backend.stripe.checkout({ session: first, action: "pay" })
    await nextSecond(customer)
    backend.stripe.checkout({ session: second.id, action: "pay" })
    await backend.waitUntilIdle()
    const [older, newer] = stripeSubscriptions(backend, customer)
    assert.deepStrictEqual([older?.status, newer?.status], ["active", "canceled"])
    const refunds = objects(backend, "refund")
    const charges = objects(backend, "charge").filter((charge) => charge.customer === customer)
    assert.deepStrictEqual(
      charges.map(({ refunded }) => refunded),
      [false, true]
    )
    assert.lengthOf(
      refunds.filter(({ charge }) => charges.some(({ id }) => id === charge)),
      1
    )
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    await backend.runTask("stripe_reconcile_all")
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.deepStrictEqual(
      (await storedSubscriptions(backend, person)).map(({ status }) => status),
      ["active", "canceled"]
    )
  })

  it("is ended and refunded once when Stripe fails meanwhile", async () => {
    const person = await newSubscriber(backend)
    const customer = await customerOf(backend, person)
    await nextSecond(customer)
    backend.stripe.addFault({ kind: "status", status: 500, path: "/v1/subscriptions/", method: "DELETE", times: 3 })
    await backend.sdk.subscriptions.create({ customer, items: [{ price: backend.stripe.priceId }] })
    await until("the first try", async () => backend.stripe.requests({ method: "DELETE" }).length >= 3, { seconds: 30 })
    await until("its end", async () => {
      await retryJobsNow(backend)
      return stripeSubscriptions(backend, customer)[1]?.status === "canceled"
    })
    await backend.waitUntilIdle()
    const charges = new Set(
      objects(backend, "charge")
        .filter((charge) => charge.customer === customer)
        .map(({ id }) => id)
    )
    assert.lengthOf(
      objects(backend, "refund").filter(({ charge }) => charges.has(charge)),
      1
    )
    assert.strictEqual(await tierOf(person), "pro")
  })

  it("is ended even when it was refunded by hand", async () => {
    const person = await newSubscriber(backend)
    const customer = await customerOf(backend, person)
    await nextSecond(customer)
    backend.stripe.holdWebhooks()
    const second = await backend.sdk.subscriptions.create({ customer, items: [{ price: backend.stripe.priceId }] })
    backend.stripe.refund({ charge: second.id })
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
    assert.deepStrictEqual(
      stripeSubscriptions(backend, customer).map(({ status }) => status),
      ["active", "canceled"]
    )
    assert.lengthOf(
      objects(backend, "charge").filter((charge) => charge.customer === customer && charge.refunded),
      1
    )
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })

  it("cannot be paid in an open checkout once the user subscribed in another way", async () => {
    const person = await backend.newUser()
    const session = await openCheckout(person)
    await backend.sdk.subscriptions.create({
      customer: await customerOf(backend, person),
      items: [{ price: backend.stripe.priceId }]
    })
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "pro")
    assert.strictEqual((await backend.sdk.checkout.sessions.retrieve(session)).status, "expired")
    assert.strictEqual((await attemptsOf(person.userId))[0]?.status, "expired")
  })
})

describe("an expired checkout", () => {
  it("is replaced by a new one, with and without the webhook", async () => {
    for (const withoutWebhook of [false, true]) {
      const person = await backend.newUser()
      const first = await subscribe(person)
      if (withoutWebhook) backend.stripe.holdWebhooks()
      await backend.sdk.checkout.sessions.expire(first.body.sessionId)
      if (withoutWebhook) backend.stripe.dropHeldWebhooks()
      if (withoutWebhook) backend.stripe.releaseWebhooks()
      await backend.waitUntilIdle()
      const second = await subscribe(person)
      assert.strictEqual(second.status, 201)
      assert.notStrictEqual(second.body.sessionId, first.body.sessionId)
      assert.deepStrictEqual(
        (await attemptsOf(person.userId)).map(({ status }) => status),
        ["expired", "open"]
      )
    }
  })
})

describe("a customer deleted at Stripe", () => {
  const deleteCustomer = async (withWebhook: boolean, prepare = () => {}) => {
    const person = await newSubscriber(backend)
    prepare()
    const old = await customerOf(backend, person)
    if (!withWebhook) backend.stripe.holdWebhooks()
    await backend.sdk.customers.del(old)
    if (!withWebhook) {
      backend.stripe.dropHeldWebhooks()
      backend.stripe.releaseWebhooks()
    }
    await backend.waitUntilIdle()
    return { person, old }
  }
  const subscribesAgain = async ({ old, person }: Awaited<ReturnType<typeof deleteCustomer>>) => {
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201, reply.text)
    assert.strictEqual(await tierOf(person), "basic")
    assert.notStrictEqual(await customerOf(backend, person), old)
    backend.stripe.checkout({ session: reply.body.sessionId, action: "pay" })
    await backend.waitUntilIdle()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  }

  it("becomes Basic and subscribes again as another customer", async () => {
    const deleted = await deleteCustomer(true)
    assert.deepInclude(await status(deleted.person), { tier: "basic", status: "canceled" })
    await subscribesAgain(deleted)
  })

  it("subscribes again as another customer when the webhook was lost", async () => {
    const deleted = await deleteCustomer(false)
    assert.strictEqual(await tierOf(deleted.person), "pro")
    await subscribesAgain(deleted)
  })

  it("becomes Basic when Stripe answers 404 to the list, and subscribes again", async () => {
    const deleted = await deleteCustomer(true, () =>
      backend.stripe.addFault({ kind: "status", status: 404, code: "resource_missing", path: "/v1/subscriptions", times: 1_000 })
    )
    backend.stripe.clearFaults()
    assert.deepInclude(await status(deleted.person), { tier: "basic", status: "canceled" })
    await subscribesAgain(deleted)
  })

  it("has no portal", async () => {
    const { person } = await deleteCustomer(true)
    assert.deepStrictEqual(refusal(await person.call("POST", "/subscription/portal")), [404, "no_customer"])
  })

  it("gets another checkout when one was open", async () => {
    const person = await backend.newUser()
    const first = await openCheckout(person)
    await backend.sdk.customers.del(await customerOf(backend, person))
    await backend.waitUntilIdle()
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201, reply.text)
    assert.notStrictEqual(reply.body.sessionId, first)
  })
})
