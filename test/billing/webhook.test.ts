import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { sign } from "../../simulators/stripe/webhooks/Signature.ts"
import { request } from "../support/Client.ts"
import {
  stripeSubscriptions,
  openCheckout,
  customerOf,
  newestEvent,
  storedEvents,
  secret,
  startBackendProcess,
  startTestBackend,
  status,
  type StripeEvent,
  storedSubscriptions,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

const deliver = (url: string, body: string, signature: string | undefined, headers: Record<string, string> = {}) =>
  request(url, "POST", "/webhook/stripe", {
    body,
    headers: {
      "content-type": "application/json",
      ...(signature === undefined ? {} : { "stripe-signature": signature }),
      ...headers
    }
  })

/** A made-up event. */
const fakeEvent = (changes: Partial<StripeEvent> & { readonly id: string }) => ({
  object: "event",
  api_version: "2026-10-28.endive",
  created: Math.floor(Date.now() / 1000),
  livemode: false,
  pending_webhooks: 1,
  request: { id: null, idempotency_key: null },
  type: "customer.subscription.updated",
  data: { object: { id: "sub_1", object: "subscription", customer: "cus_nobody" } },
  ...changes
})
const send = (backend: TestBackend, event: object, secrets: ReadonlyArray<string> = [secret]) => {
  const body = JSON.stringify(event)
  return deliver(backend.urls[0] ?? "", body, sign(body, secrets))
}

describe("an unsigned event", () => {
  let backend: TestBackend
  let url = ""
  beforeAll(async () => {
    backend = await startTestBackend()
    url = backend.urls[0] ?? ""
    await newSubscriber(backend)
  })
  afterAll(() => backend.stop())

  for (const [kind, code] of [
    ["wrong_secret", "signature_invalid"],
    ["altered", "signature_invalid"],
    ["old", "signature_invalid"],
    ["future", "signature_invalid"],
    ["no_header", "signature_invalid"],
    ["v0_only", "signature_invalid"],
    ["thin", "event_unreadable"],
    ["not_json", "event_unreadable"]
  ] as const) {
    it(`is refused and not stored: ${kind}`, async () => {
      const { id } = newestEvent(backend, "customer.subscription.updated")
      await backend.database.query("delete from webhook_events")
      const [receipt] = await backend.stripe.forge({ kind, event: id })
      assert.strictEqual(receipt?.status, 400)
      assert.strictEqual(JSON.parse(receipt?.response ?? "{}").code, code)
      assert.strictEqual((await storedEvents(backend)).size, 0)
    })
  }

  it("is refused with a malformed header", async () => {
    const body = JSON.stringify(fakeEvent({ id: "evt_nonsense" }))
    const now = Math.floor(Date.now() / 1000)
    const good = sign(body, [secret]).split("v1=")[1] ?? ""
    const headers = [
      "",
      ",",
      "t=",
      `t=${now}`,
      `v1=${good}`,
      `t=abc,v1=${good}`,
      `t=-1,v1=${good}`,
      `t=1e10,v1=${good}`,
      `t=${now},v1=`,
      `t=${now},v1=${good.toUpperCase()}x`,
      `t=${"9".repeat(400)},v1=${good}`
    ]
    for (const header of headers) assert.strictEqual((await deliver(url, body, header)).body.code, "signature_invalid", header)
    assert.isFalse((await storedEvents(backend)).has("evt_nonsense"))
  })

  it("is refused 302 seconds ago and 310 ahead, and accepted within 290", async () => {
    const now = Math.floor(Date.now() / 1000)
    for (const [offset, expected] of [
      [-302, 400],
      [-290, 200],
      [290, 200],
      [310, 400]
    ] as const) {
      const body = JSON.stringify(fakeEvent({ id: `evt_at_${offset}` }))
      assert.strictEqual((await deliver(url, body, sign(body, [secret], now + offset))).status, expected, String(offset))
    }
  })

  it("is refused with two timestamps, in either order", async () => {
    const body = JSON.stringify(fakeEvent({ id: "evt_two_times" }))
    const now = Math.floor(Date.now() / 1000)
    for (const other of [now - 10, now + 10_000, now])
      for (const header of [`t=${other},${sign(body, [secret], now)}`, `${sign(body, [secret], now)},t=${other}`])
        assert.strictEqual((await deliver(url, body, header)).body.code, "signature_invalid", header)
    const [signed = "", future = ""] = [now, now + 10_000].map((time) => sign(body, [secret], time))
    for (const header of [`t=${now},${future}`, `${future},t=${now}`, `t,${signed}`, `${signed},t`])
      assert.strictEqual((await deliver(url, body, header)).body.code, "signature_invalid", header)
    assert.isFalse((await storedEvents(backend)).has("evt_two_times"))
  })

  it("is refused when its bytes are not the signed ones: a byte order mark, or bytes that are not UTF-8", async () => {
    const post = async (body: Uint8Array<ArrayBuffer>, signature: string) => {
      const response = await fetch(`${url}/webhook/stripe`, {
        method: "POST",
        headers: { "content-type": "application/json", "stripe-signature": signature },
        body
      })
      return [response.status, JSON.parse(await response.text()).code]
    }
    const marked = JSON.stringify(fakeEvent({ id: "evt_mark" }))
    assert.deepStrictEqual(await post(Buffer.from(`\ufeff${marked}`), sign(marked, [secret])), [400, "signature_invalid"])
    const replaced = JSON.stringify(fakeEvent({ id: "evt_bytes_\ufffd" }))
    const bytes = Buffer.from(replaced.replace("\ufffd", "\u00ff"), "latin1")
    assert.deepStrictEqual(await post(bytes, sign(replaced, [secret])), [400, "signature_invalid"])
    const kept = await storedEvents(backend)
    assert.isFalse(kept.has("evt_mark") || kept.has("evt_bytes_\ufffd"))
  })

  it("is refused over 512 KiB, and accepted just under", async () => {
    const padded = (id: string, size: number) => {
      const event = JSON.stringify(fakeEvent({ id }))
      return `${event}${" ".repeat(size - event.length)}`
    }
    const fits = padded("evt_fits", 512 * 1024)
    const large = padded("evt_large", 512 * 1024 + 1)
    assert.strictEqual((await deliver(url, fits, sign(fits, [secret]))).status, 200)
    const refused = await deliver(url, large, sign(large, [secret]))
    assert.strictEqual(refused.status, 413)
    assert.match(refused.headers.get("content-type") ?? "", /application\/problem\+json/)
    assert.isFalse((await storedEvents(backend)).has("evt_large"))
  })

  it("is refused with another media type or method", async () => {
    const body = JSON.stringify(fakeEvent({ id: "evt_media" }))
    assert.strictEqual((await deliver(url, body, sign(body, [secret]), { "content-type": "text/plain" })).status, 415)
    assert.strictEqual((await request(url, "GET", "/webhook/stripe")).status, 405)
    assert.isFalse((await storedEvents(backend)).has("evt_media"))
  })
})

describe("a signed body that is not a snapshot event", () => {
  let backend: TestBackend
  let process: Awaited<ReturnType<typeof startBackendProcess>>
  beforeAll(async () => {
    backend = await startTestBackend({ processes: true })
    process = await startBackendProcess(backend, { STRIPE_WEBHOOK_SECRETS: `whsec_former,${secret}` })
  })
  afterAll(async () => {
    await process.kill("SIGTERM")
    await backend.stop()
  })

  const event = (changes: object) => JSON.stringify({ ...fakeEvent({ id: "evt_odd" }), ...changes })
  const warnings = () => process.output().split("not a snapshot event").length - 1

  it.each([
    ["a thin event", event({ object: "v2.core.event", created: "2026-11-28T00:00:00.000Z", data: undefined })],
    ["without an id", event({ id: null })],
    ["without data", event({ data: null })],
    ["created beyond any date", event({ created: 99_999_999_999_999 })],
    ["created before 1970", event({ created: -1 })],
    ["with NUL in its id", event({ id: "evt_a\u0000b" })],
    ["with NUL in its type", event({ type: "customer.subscription.updated\u0000" })],
    ["with NUL in its object's id", event({ data: { object: { id: "sub_\u0000", customer: "cus_nobody" } } })],
    ["with NUL in its customer", event({ data: { object: { id: "sub_1", customer: "cus_\u0000" } } })],
    ["with NUL in its charge", event({ data: { object: { id: "dp_1", object: "dispute", charge: "ch_\u0000" } } })],
    ["with an id of more than 255 characters", event({ id: "evt_odd".padEnd(256, "x") })],
    ["with a type of more than 255 characters", event({ type: "t".repeat(256) })],
    ["with a customer of more than 255 characters", event({ data: { object: { id: "sub_1", customer: "c".repeat(256) } } })],
    ["with a byte order mark", `\ufeff${event({})}`],
    ...["null", "[]", "1", `"evt"`, "{}", "{not json", `{"id":"evt_x","object":"event"}`].map((body): [string, string] => [
      body,
      body
    ])
  ])("is refused with its own code and one warning: %s", async (_, body) => {
    const before = warnings()
    const reply = await deliver(process.url, body, sign(body, [secret]))
    assert.deepStrictEqual([reply.status, reply.body.code], [400, "event_unreadable"])
    assert.strictEqual((await storedEvents(backend)).size, 0)
    await until("a warning", async () => warnings() > before, { seconds: 5 })
    assert.strictEqual(warnings(), before + 1)
    assert.notInclude(process.output(), "evt_odd")
  })
})

describe("an event that says no more than what changed", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())

  it("has its customer brought up to date", async () => {
    const customer = await customerOf(backend, await newSubscriber(backend))
    const event = { id: "evt_terse", type: "customer.subscription.updated", data: { object: { customer } } }
    const reply = await send(backend, event)
    assert.deepStrictEqual([reply.status, reply.body], [200, { received: true }])
    await until("processed", async () => (await storedEvents(backend)).get("evt_terse")?.outcome === "processed", { seconds: 30 })
  })
})

describe("an event of no concern", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())

  const ignored = async (id: string) => {
    const kept = (await storedEvents(backend)).get(id)
    assert.strictEqual(kept?.outcome, "ignored")
    await backend.waitUntilIdle()
  }

  it("is stored and ignored: of the other mode", async () => {
    const person = await newSubscriber(backend)
    const { id } = newestEvent(backend, "customer.subscription.updated")
    await backend.database.query("delete from webhook_events")
    assert.strictEqual((await backend.stripe.forge({ kind: "other_mode", event: id }))[0]?.status, 200)
    await ignored(id)
    assert.strictEqual(await tierOf(person), "pro")
  })

  it("is stored and ignored: of an unknown type, even about a known customer", async () => {
    const customer = await customerOf(backend, await newSubscriber(backend))
    const event = fakeEvent({
      id: "evt_unknown_type",
      type: "customer.hologram.created",
      data: { object: { id: "holo_1", object: "hologram", customer } }
    })
    const reply = await send(backend, event)
    assert.deepStrictEqual([reply.status, reply.body], [200, { received: true }])
    await ignored("evt_unknown_type")
  })

  it("is stored and ignored: its object has no id, no customer, or unexpected members", async () => {
    assert.strictEqual(
      (await send(backend, fakeEvent({ id: "evt_balance", type: "balance.available", data: { object: { object: "balance" } } })))
        .status,
      200
    )
    await ignored("evt_balance")
    assert.strictEqual(
      (
        await send(
          backend,
          fakeEvent({ id: "evt_null", data: { object: { id: "sub_2", object: "subscription", customer: null } } })
        )
      ).status,
      200
    )
    await ignored("evt_null")
  })

  it("is stored and ignored: about a customer of another application on the account", async () => {
    const stranger = await backend.sdk.customers.create({ email: "x@example.com" })
    await backend.sdk.subscriptions.create({ customer: stranger.id, items: [{ price: backend.stripe.priceId }] })
    await backend.waitUntilIdle()
    await ignored(newestEvent(backend, "customer.subscription.created", stranger.id).id)
    assert.deepStrictEqual(await backend.database.query("select 1 from subscriptions where customer_id = $1", [stranger.id]), [])
  })

  it("does not give Pro: a subscription to another price", async () => {
    const person = await backend.newUser()
    await openCheckout(person)
    const customer = await customerOf(backend, person)
    const other = await backend.sdk.prices.create({
      currency: "usd",
      unit_amount: 100,
      recurring: { interval: "month" },
      product_data: { name: "Mug club" }
    })
    await backend.sdk.subscriptions.create({ customer, items: [{ price: other.id }] })
    await backend.waitUntilIdle()
    await backend.runTask("stripe_reconcile_all")
    assert.strictEqual(await tierOf(person), "basic")
    assert.strictEqual((await status(person)).status, null)
    assert.deepStrictEqual(await storedSubscriptions(backend, person), [])
    assert.strictEqual(stripeSubscriptions(backend, customer).length, 1)
  })

  it("is read in any API version", async () => {
    const person = await newSubscriber(backend)
    const { id } = newestEvent(backend, "customer.subscription.updated", await customerOf(backend, person))
    assert.strictEqual((await backend.stripe.forge({ kind: "other_version", event: id }))[0]?.status, 200)
    await backend.waitUntilIdle()
    assert.strictEqual(await tierOf(person), "pro")
  })
})

describe("several webhook secrets", () => {
  it("are all valid, alone or together; a removed one is not", async () => {
    const backend = await startTestBackend({ backends: [{ STRIPE_WEBHOOK_SECRETS: `whsec_next, ${secret}` }] })
    try {
      for (const [id, secrets, expected] of [
        ["evt_old", [secret], 200],
        ["evt_new", ["whsec_next"], 200],
        ["evt_both", ["whsec_third", "whsec_next"], 200],
        ["evt_none", ["whsec_third"], 400]
      ] as const) {
        assert.strictEqual((await send(backend, fakeEvent({ id }), secrets)).status, expected, id)
        assert.strictEqual((await storedEvents(backend)).has(id), expected === 200, id)
      }
    } finally {
      await backend.stop()
    }
  })

  it("allow a secret to be rolled in Stripe's dashboard without a refused delivery", async () => {
    const backend = await startTestBackend({ backends: [{ STRIPE_WEBHOOK_SECRETS: `${secret},whsec_rolled` }] })
    try {
      const before = await newSubscriber(backend)
      backend.stripe.rollSecret({ secret: "whsec_rolled", overlapSeconds: 60 })
      const during = await newSubscriber(backend)
      backend.stripe.rollSecret({ secret: "whsec_rolled" })
      const after = await newSubscriber(backend)
      for (const person of [before, during, after]) assert.strictEqual(await tierOf(person), "pro")
      assert.isTrue(backend.stripe.deliveries().every(({ outcome }) => outcome === "delivered"))
    } finally {
      await backend.stop()
    }
  })
})

describe("a repeated event", () => {
  it("has one row and one effect, in parallel at two backends", async () => {
    const backend = await startTestBackend({ backends: [{}, {}] })
    try {
      const person = await backend.newUser()
      backend.stripe.holdWebhooks()
      backend.stripe.checkout({ session: await openCheckout(person), action: "pay" })
      const event = newestEvent(backend, "checkout.session.completed")
      const lists = () => backend.stripe.requests({ method: "GET", path: "/v1/subscriptions" }).length
      const before = lists()
      const body = JSON.stringify(event)
      const replies = await Promise.all(times(40, (index) => deliver(backend.urls[index % 2] ?? "", body, sign(body, [secret]))))
      assert.isTrue(replies.every((reply) => reply.status === 200))
      await backend.waitUntilIdle()
      assert.strictEqual(lists() - before, 1)
      assert.strictEqual([...(await storedEvents(backend)).values()].filter(({ id }) => id === event.id).length, 1)
      assert.strictEqual((await storedEvents(backend)).get(event.id)?.outcome, "processed")
      assert.strictEqual(await tierOf(person), "pro")
      // Delivered again days later: Stripe is not asked again.
      await backend.stripe.resend({ event: event.id })
      await backend.waitUntilIdle()
      assert.strictEqual(lists() - before, 1)
    } finally {
      await backend.stop()
    }
  })
})

describe("a processed event", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend()
  })
  afterAll(() => backend.stop())

  it("is deleted after ninety days; a pending one is not", async () => {
    const rows = ["processed", "ignored", "pending"].flatMap((outcome) => [89, 91].map((days) => [outcome, days] as const))
    for (const [outcome, days] of rows) {
      await backend.database.query(
        `insert into webhook_events (id, type, customer_id, outcome, created_at, received_at)
         values ($1, 'invoice.paid', 'cus_of_nobody', $2, now(), now() - make_interval(days => $3))`,
        [`evt_old_${outcome}_${days}`, outcome, days]
      )
    }
    await backend.database.query("select graphile_worker.add_job('forget_webhook_events')")
    await until("the sweep", async () => {
      const jobs = await backend.database.query(
        "select from graphile_worker.jobs where task_identifier = 'forget_webhook_events'"
      )
      return jobs.length === 0
    })
    const kept = [...(await storedEvents(backend)).keys()].filter((id) => id.startsWith("evt_old")).sort()
    const expected = rows.flatMap(([outcome, days]) =>
      days === 89 || outcome === "pending" ? [`evt_old_${outcome}_${days}`] : []
    )
    assert.deepStrictEqual(kept, expected.sort())
  })
})

describe("BILLING=off", () => {
  it("refuses subscribe and webhook with 503; the status still answers", async () => {
    const backend = await startTestBackend({ backends: [{ BILLING: "off" }] })
    try {
      const person = await backend.newUser()
      const refused = await person.call("POST", "/subscribe/pro")
      assert.deepStrictEqual([refused.status, refused.body.code], [503, "billing_unavailable"])
      assert.match(refused.headers.get("retry-after") ?? "", /^\d+$/)
      assert.strictEqual((await send(backend, fakeEvent({ id: "evt_off" }))).status, 503)
      const own = await status(person)
      assert.deepInclude(own, {
        tier: "basic",
        status: null,
        currentPeriodEnd: null,
        cancelAt: null,
        graceEndsAt: null,
        invoiceUrl: null,
        syncedAt: null
      })
      assert.deepInclude(own.limits, { daily: 5, used: 0, remaining: 5 })
      assert.deepStrictEqual(backend.stripe.requests(), [])
      // There is no subscription and no customer.
      assert.strictEqual((await person.call("POST", "/subscription/cancel")).body.code, "no_subscription")
      assert.strictEqual((await person.call("POST", "/subscription/portal")).body.code, "no_customer")
    } finally {
      await backend.stop()
    }
  })
})
