import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { personAt, type Reply, request } from "../support/Client.ts"
import {
  atStripe,
  checkout,
  customerOf,
  objects,
  retryNow,
  startWorld,
  status,
  stored,
  subscribe,
  subscriber,
  tierOf,
  times,
  until,
  type World
} from "./World.ts"

let world: World
beforeAll(async () => {
  world = await startWorld({ backends: [{}, {}] })
})
afterAll(() => world.stop())

const refusal = ({ body, status }: Reply) => [status, body.code]
const comeBack = (person: { readonly call: (method: string, path: string) => Promise<Reply> }, session: string) =>
  person.call("GET", `/billing/return?session_id=${session}`)
const sessionsOf = (customer: string) => objects(world, "checkout.session").filter((session) => session.customer === customer)
const attemptsOf = (userId: string) =>
  world.database.query<{ status: string; session_id: string | null }>(
    "select status, session_id from checkout_attempts where user_id = $1 order by created_at",
    [userId]
  )

describe("subscribing", () => {
  it("opens a checkout of Stripe's for an hour, tied to the user", async () => {
    const person = await world.someone()
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201)
    assert.sameMembers(Object.keys(reply.body), ["checkoutUrl", "sessionId", "expiresAt"])
    assert.match(reply.body.expiresAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.closeTo(Date.parse(reply.body.expiresAt), Date.now() + 3_600_000, 10_000)
    assert.strictEqual(reply.headers.get("cache-control"), "private, no-store")
    const session = await world.sdk.checkout.sessions.retrieve(reply.body.sessionId)
    assert.strictEqual(session.url, reply.body.checkoutUrl)
    assert.strictEqual(session.client_reference_id, person.userId)
    assert.strictEqual(session.expires_at * 1000, Date.parse(reply.body.expiresAt))
    assert.include(session.success_url, "session_id={CHECKOUT_SESSION_ID}")
    const page = await fetch(reply.body.checkoutUrl)
    assert.strictEqual(page.status, 200)
  })

  it("again while it is open is 200 with the same body, at any backend", async () => {
    const person = await world.someone()
    const first = await subscribe(person)
    for (const url of world.urls) {
      const again = await subscribe(personAt(url, person))
      assert.deepStrictEqual([again.status, again.body], [200, first.body])
    }
  })

  it("fifty times at once over two backends is one session, one customer, one 201", async () => {
    const person = await world.someone()
    const replies = await Promise.all(times(50, (index) => subscribe(personAt(world.urls[index % 2] ?? "", person))))
    assert.lengthOf(
      replies.filter(({ status }) => status === 201),
      1
    )
    assert.lengthOf(
      replies.filter(({ status }) => status === 200),
      49
    )
    for (const reply of replies) assert.deepStrictEqual(reply.body, replies[0]?.body)
    const customer = await customerOf(world, person)
    assert.lengthOf(sessionsOf(customer), 1)
    assert.lengthOf(
      objects(world, "customer").filter(({ metadata }) => metadata["userId"] === person.userId),
      1
    )
    assert.lengthOf(await attemptsOf(person.userId), 1)
  })

  it("fifty times at once is one session even when Stripe is slow to make it", async () => {
    const person = await world.someone()
    world.stripe.addFault({ kind: "delay", millis: 2_500, path: "/v1/checkout/sessions", method: "POST" })
    const replies = await Promise.all(times(50, (index) => subscribe(personAt(world.urls[index % 2] ?? "", person))))
    assert.deepStrictEqual(replies.map(({ status }) => status).sort(), [...times(49, () => 200), 201])
    assert.lengthOf(sessionsOf(await customerOf(world, person)), 1)
  })

  it("with an Idempotency-Key replays the 201, a day long and past everything", async () => {
    const person = await world.someone()
    const key = crypto.randomUUID()
    const first = await subscribe(person, key)
    assert.strictEqual(first.status, 201)
    assert.isNull(first.headers.get("idempotent-replayed"))
    const second = await subscribe(person, key)
    assert.deepStrictEqual([second.status, second.body, second.headers.get("idempotent-replayed")], [201, first.body, "true"])
    world.stripe.checkout({ session: first.body.sessionId, action: "pay" })
    await world.settled()
    const third = await subscribe(personAt(world.urls[1] ?? "", person), key)
    assert.deepStrictEqual([third.status, third.body], [201, first.body])
    assert.deepStrictEqual(refusal(await subscribe(person, crypto.randomUUID())), [409, "already_subscribed"])
    assert.strictEqual((await subscribe(person, "x".repeat(256))).status, 400)
  })

  it("with an Idempotency-Key stores no refusal", async () => {
    const person = await subscriber(world)
    const key = crypto.randomUUID()
    assert.deepStrictEqual(refusal(await subscribe(person, key)), [409, "already_subscribed"])
    world.stripe.setSubscriptionStatus({ subscription: (await stored(world, person))[0]?.id ?? "", status: "canceled" })
    await world.settled()
    assert.strictEqual((await subscribe(person, key)).status, 201)
  })

  it("needs a login, and has no other method", async () => {
    const person = await world.someone()
    assert.strictEqual((await request(world.urls[0] ?? "", "POST", "/subscribe/pro")).status, 401)
    assert.strictEqual((await person.call("GET", "/subscribe/pro")).status, 405)
  })

  it("makes no session while Stripe cannot tell what there is: 503", async () => {
    const person = await world.someone()
    world.stripe.addFault({ kind: "status", status: 500, path: "/v1/subscriptions", times: 100 })
    const reply = await subscribe(person)
    world.stripe.clearFaults()
    assert.deepStrictEqual(refusal(reply), [503, "billing_unavailable"])
    assert.match(reply.headers.get("retry-after") ?? "", /^\d+$/)
    assert.deepStrictEqual(sessionsOf(await customerOf(world, person)), [])
    assert.strictEqual((await subscribe(person)).status, 201)
  })

  it("asks for the same session again when the answer was lost after it was made", async () => {
    for (const kind of ["reset", "cut", "html", "json"] as const) {
      const person = await world.someone()
      world.stripe.addFault({ kind, afterEffect: true, path: "/v1/checkout/sessions", method: "POST", times: 5 })
      assert.deepStrictEqual(refusal(await subscribe(person)), [503, "billing_unavailable"], kind)
      world.stripe.clearFaults()
      assert.strictEqual((await subscribe(person)).status, 201, kind)
      assert.lengthOf(sessionsOf(await customerOf(world, person)), 1, kind)
    }
  })

  it("asks for the same customer again when the answer was lost after it was made", async () => {
    const person = await world.someone()
    world.stripe.addFault({ kind: "reset", afterEffect: true, path: "/v1/customers", method: "POST", times: 5 })
    assert.deepStrictEqual(refusal(await subscribe(person)), [503, "billing_unavailable"])
    world.stripe.clearFaults()
    assert.strictEqual((await subscribe(person)).status, 201)
    assert.lengthOf(
      objects(world, "customer").filter(({ metadata }) => metadata["userId"] === person.userId),
      1
    )
  })

  it("makes a new session when the lost one cannot be made any more, so long ago it was", async () => {
    const person = await world.someone()
    world.stripe.addFault({ kind: "status", status: 500, path: "/v1/checkout/sessions", method: "POST", times: 5 })
    assert.deepStrictEqual(refusal(await subscribe(person)), [503, "billing_unavailable"])
    world.stripe.clearFaults()
    // Stripe wants at least half an hour.
    await world.database.query(
      "update checkout_attempts set expires_at = date_trunc('second', now()) + interval '20 minutes' where user_id = $1",
      [person.userId]
    )
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201, reply.text)
    assert.closeTo(Date.parse(reply.body.expiresAt), Date.now() + 3_600_000, 10_000)
  })

  it("is taken over when the process that was at it died", async () => {
    const person = await world.someone()
    await subscribe(person)
    // As a process leaves it that dies between claiming the attempt and storing the session.
    await world.database.query(
      "update checkout_attempts set session_id = null, url = null, claimed_at = clock_timestamp() - interval '41 seconds' where user_id = $1",
      [person.userId]
    )
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201)
    assert.lengthOf(sessionsOf(await customerOf(world, person)), 1)
  })
})

describe("coming back", () => {
  it("knows at once, however late the webhook is", async () => {
    const person = await world.someone()
    const session = await checkout(person)
    world.stripe.holdWebhooks()
    world.stripe.checkout({ session, action: "pay" })
    assert.strictEqual(await tierOf(person), "basic")
    const reply = await comeBack(person, session)
    assert.strictEqual(reply.status, 200)
    assert.deepInclude(reply.body, { tier: "pro", status: "active" })
    assert.deepStrictEqual(reply.body, await status(person))
    assert.strictEqual((await attemptsOf(person.userId))[0]?.status, "completed")
    world.stripe.releaseWebhooks()
    await world.settled()
    assert.strictEqual(await tierOf(person), "pro")
  })

  it("unpaid is Basic, and the checkout stays open", async () => {
    const person = await world.someone()
    const first = await subscribe(person)
    const reply = await comeBack(person, first.body.sessionId)
    assert.deepInclude(reply.body, { tier: "basic", status: null })
    assert.deepStrictEqual((await subscribe(person)).body, first.body)
  })

  it("with another user's session, or none of ours, is 404", async () => {
    const owner = await world.someone()
    const session = await checkout(owner)
    world.stripe.checkout({ session, action: "pay" })
    const thief = await world.someone()
    assert.deepStrictEqual(refusal(await comeBack(thief, session)), [404, "checkout_not_found"])
    assert.deepStrictEqual(refusal(await comeBack(thief, "cs_test_nobody")), [404, "checkout_not_found"])
    assert.deepStrictEqual(refusal(await comeBack(thief, "{CHECKOUT_SESSION_ID}")), [404, "checkout_not_found"])
    assert.strictEqual((await thief.call("GET", "/billing/return")).status, 400)
    assert.strictEqual(await tierOf(thief), "basic")
    await world.settled()
  })

  it("with a declined card is Basic, and the checkout can still be paid", async () => {
    const person = await world.someone()
    const session = await checkout(person)
    world.stripe.checkout({ session, action: "decline" })
    await world.settled()
    assert.deepInclude((await comeBack(person, session)).body, { tier: "basic", status: null })
    assert.strictEqual(await checkout(person), session)
    world.stripe.checkout({ session, action: "pay" })
    await world.settled()
    assert.strictEqual(await tierOf(person), "pro")
  })
})

describe("a payment whose money comes later", () => {
  it("is Basic until it arrives, and no second checkout is opened meanwhile", async () => {
    const person = await world.someone()
    const session = await checkout(person)
    world.stripe.checkout({ session, action: "later" })
    await world.settled()
    const meanwhile = (await comeBack(person, session)).body
    assert.deepInclude(meanwhile, { tier: "basic", status: "incomplete" })
    assert.match(meanwhile.invoiceUrl, /^http.*\/invoice\/in_/)
    const again = await subscribe(person)
    assert.deepStrictEqual(refusal(again), [409, "payment_required"])
    assert.strictEqual(again.body.invoiceUrl, meanwhile.invoiceUrl)
    world.stripe.settlePayment({ session, outcome: "succeeded" })
    await world.settled()
    assert.deepInclude(await status(person), { tier: "pro", status: "active", invoiceUrl: null })
  })

  it("is Basic when it does not arrive", async () => {
    const person = await world.someone()
    const session = await checkout(person)
    world.stripe.checkout({ session, action: "later" })
    world.stripe.settlePayment({ session, outcome: "failed" })
    await world.settled()
    assert.deepInclude(await status(person), { tier: "basic", status: "incomplete" })
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "payment_required"])
    // Stripe gives it up by itself; then there is nothing in the way.
    world.stripe.setSubscriptionStatus({ subscription: (await stored(world, person))[0]?.id ?? "", status: "incomplete_expired" })
    await world.settled()
    assert.deepInclude(await status(person), { tier: "basic", status: "incomplete_expired" })
    assert.strictEqual((await subscribe(person)).status, 201)
  })
})

/** Until a subscription that is made now is newer than the customer's first. */
const nextSecond = (customer: string) =>
  until("another second", 30, async () => world.stripe.now() > (atStripe(world, customer)[0]?.created ?? Infinity))

describe("a second subscription", () => {
  it("is refused while one is active, even when its payment is not known here yet", async () => {
    const person = await world.someone()
    const session = await checkout(person)
    world.stripe.holdWebhooks()
    world.stripe.checkout({ session, action: "pay" })
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "already_subscribed"])
    assert.strictEqual(await tierOf(person), "pro")
    world.stripe.releaseWebhooks()
    await world.settled()
  })

  it("is refused while one waits for its end: reactivate that", async () => {
    const person = await subscriber(world)
    assert.strictEqual((await person.call("POST", "/subscription/cancel")).status, 200)
    assert.deepStrictEqual(refusal(await subscribe(person)), [409, "pending_cancellation"])
  })

  for (const word of ["past_due", "unpaid", "paused", "incomplete", "a_word_of_2031"]) {
    it(`is refused while one is ${word}: pay that`, async () => {
      const person = await subscriber(world)
      world.stripe.setSubscriptionStatus({ subscription: (await stored(world, person))[0]?.id ?? "", status: word })
      await world.settled()
      const reply = await subscribe(person)
      assert.deepStrictEqual(refusal(reply), [409, "payment_required"])
      assert.property(reply.body, "invoiceUrl")
    })
  }

  it("that was paid all the same is ended and given back; the first stays, and its Pro", async () => {
    const person = await world.someone()
    const first = await checkout(person)
    const customer = await customerOf(world, person)
    const second = await world.sdk.checkout.sessions.create({
      mode: "subscription",
      customer,
      line_items: [{ price: world.stripe.priceId, quantity: 1 }],
      success_url: "https://app.test/"
    })
    world.stripe.checkout({ session: first, action: "pay" })
    await nextSecond(customer)
    world.stripe.checkout({ session: second.id, action: "pay" })
    await world.settled()
    const [older, newer] = atStripe(world, customer)
    assert.deepStrictEqual([older?.status, newer?.status], ["active", "canceled"])
    const refunds = objects(world, "refund")
    const charges = objects(world, "charge").filter((charge) => charge.customer === customer)
    assert.deepStrictEqual(
      charges.map(({ refunded }) => refunded),
      [false, true]
    )
    assert.lengthOf(
      refunds.filter(({ charge }) => charges.some(({ id }) => id === charge)),
      1
    )
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    await world.run("stripe_reconcile_all")
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
    assert.deepStrictEqual(
      (await stored(world, person)).map(({ status }) => status),
      ["active", "canceled"]
    )
  })

  it("is ended and given back once, when Stripe fails in the middle of it", async () => {
    const person = await subscriber(world)
    const customer = await customerOf(world, person)
    await nextSecond(customer)
    world.stripe.addFault({ kind: "status", status: 500, path: "/v1/subscriptions/", method: "DELETE", times: 3 })
    await world.sdk.subscriptions.create({ customer, items: [{ price: world.stripe.priceId }] })
    await until("the first try", 30, async () => world.stripe.requests({ method: "DELETE" }).length >= 3)
    await until("its end", 20, async () => {
      await retryNow(world)
      return atStripe(world, customer)[1]?.status === "canceled"
    })
    await world.settled()
    const charges = new Set(
      objects(world, "charge")
        .filter((charge) => charge.customer === customer)
        .map(({ id }) => id)
    )
    assert.lengthOf(
      objects(world, "refund").filter(({ charge }) => charges.has(charge)),
      1
    )
    assert.strictEqual(await tierOf(person), "pro")
  })

  it("is ended even when somebody has given its money back by hand", async () => {
    const person = await subscriber(world)
    const customer = await customerOf(world, person)
    await nextSecond(customer)
    world.stripe.holdWebhooks()
    const second = await world.sdk.subscriptions.create({ customer, items: [{ price: world.stripe.priceId }] })
    world.stripe.refund({ charge: second.id })
    world.stripe.releaseWebhooks()
    await world.settled()
    assert.deepStrictEqual(
      atStripe(world, customer).map(({ status }) => status),
      ["active", "canceled"]
    )
    assert.lengthOf(
      objects(world, "charge").filter((charge) => charge.customer === customer && charge.refunded),
      1
    )
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  })

  it("cannot be paid in a checkout that was open when another way led to the first", async () => {
    const person = await world.someone()
    const session = await checkout(person)
    await world.sdk.subscriptions.create({ customer: await customerOf(world, person), items: [{ price: world.stripe.priceId }] })
    await world.settled()
    assert.strictEqual(await tierOf(person), "pro")
    assert.strictEqual((await world.sdk.checkout.sessions.retrieve(session)).status, "expired")
    assert.strictEqual((await attemptsOf(person.userId))[0]?.status, "expired")
  })
})

describe("a checkout that has expired", () => {
  it("is followed by a new one, known by the webhook or not", async () => {
    for (const silent of [false, true]) {
      const person = await world.someone()
      const first = await subscribe(person)
      if (silent) world.stripe.holdWebhooks()
      await world.sdk.checkout.sessions.expire(first.body.sessionId)
      if (silent) world.stripe.dropHeldWebhooks()
      if (silent) world.stripe.releaseWebhooks()
      await world.settled()
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

describe("a customer who was deleted at Stripe", () => {
  const gone = async (tell: boolean, prepare = () => {}) => {
    const person = await subscriber(world)
    prepare()
    const old = await customerOf(world, person)
    if (!tell) world.stripe.holdWebhooks()
    await world.sdk.customers.del(old)
    if (!tell) {
      world.stripe.dropHeldWebhooks()
      world.stripe.releaseWebhooks()
    }
    await world.settled()
    return { person, old }
  }
  const subscribesAnew = async ({ old, person }: Awaited<ReturnType<typeof gone>>) => {
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201, reply.text)
    assert.strictEqual(await tierOf(person), "basic")
    assert.notStrictEqual(await customerOf(world, person), old)
    world.stripe.checkout({ session: reply.body.sessionId, action: "pay" })
    await world.settled()
    assert.deepInclude(await status(person), { tier: "pro", status: "active" })
  }

  it("is Basic, and subscribes anew as another customer", async () => {
    const told = await gone(true)
    assert.deepInclude(await status(told.person), { tier: "basic", status: "canceled" })
    await subscribesAnew(told)
  })

  it("is Basic, and subscribes anew, when nobody has told us", async () => {
    const untold = await gone(false)
    assert.strictEqual(await tierOf(untold.person), "pro")
    await subscribesAnew(untold)
  })

  it("is Basic, and subscribes anew, when Stripe has no list of it any more", async () => {
    const told = await gone(true, () =>
      world.stripe.addFault({ kind: "status", status: 404, code: "resource_missing", path: "/v1/subscriptions", times: 1_000 })
    )
    world.stripe.clearFaults()
    assert.deepInclude(await status(told.person), { tier: "basic", status: "canceled" })
    await subscribesAnew(told)
  })

  it("has no portal any more", async () => {
    const { person } = await gone(true)
    assert.deepStrictEqual(refusal(await person.call("POST", "/subscription/portal")), [404, "no_customer"])
  })

  it("may have an open checkout: the next call opens another", async () => {
    const person = await world.someone()
    const first = await checkout(person)
    await world.sdk.customers.del(await customerOf(world, person))
    await world.settled()
    const reply = await subscribe(person)
    assert.strictEqual(reply.status, 201, reply.text)
    assert.notStrictEqual(reply.body.sessionId, first)
  })
})
