import { afterAll, assert, beforeAll, describe, it } from "vitest"
import type { Person } from "../support/Client.ts"
import { personAt } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import {
  askQuestions,
  startBackendProcess,
  startTestBackend,
  status,
  storedSubscriptions,
  newSubscriber,
  tierOf,
  type TestBackend
} from "./TestBackend.ts"
import { times } from "../support/times.ts"
import { until } from "../support/wait.ts"

describe("decide_tier", () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await createDatabase()
  })
  afterAll(() => database.drop())

  interface Case {
    readonly status: string
    /** How many days ago the period of thirty days started. */
    readonly since?: number | null
    /** A hold: how many days ago it was charged, for this subscription or another one. */
    readonly held?: { readonly since: number; readonly reason?: "refunded" | "dispute_lost"; readonly other?: boolean }
  }
  let number = 0
  const decide = async (...cases: ReadonlyArray<Case>): Promise<"pro" | "basic" | Date> => {
    const user = crypto.randomUUID()
    const unique = `${process.pid}${number++}`
    await database.query("insert into users (id, mobile, status, quota_key) values ($1, $2, 'active', $2)", [user, unique])
    for (const [index, { held, since = 1, status }] of cases.entries()) {
      await database.query(
        `insert into subscriptions select $1, $2, 'cus', $3, now() - make_interval(days => $4), now() - make_interval(days => $4) + interval '30 days',
          null, false, null, now(), now()`,
        [user, `sub_${unique}_${index}`, status, since]
      )
      if (held === undefined) continue
      await database.query(
        `insert into billing_holds (user_id, charge_id, reason, subscription_id, charged_at) values ($1, $2, $3, $4, now() - make_interval(days => $5))`,
        [
          user,
          `ch_${unique}_${index}`,
          held.reason ?? "refunded",
          held.other === true ? "sub_other" : `sub_${unique}_${index}`,
          held.since
        ]
      )
    }
    await database.query("select decide_tier($1)", [user])
    const [row] = await database.query<{ pro_until: Date | null; forever: boolean; past: boolean }>(
      "select pro_until, pro_until > now() + interval '100 years' as forever, pro_until <= now() as past from users where id = $1",
      [user]
    )
    if (row === undefined || row.pro_until === null || row.past) return "basic"
    return row.forever ? "pro" : row.pro_until
  }

  for (const word of ["active", "trialing"])
    it(`${word} is Pro`, async () => assert.strictEqual(await decide({ status: word }), "pro"))
  for (const word of ["unpaid", "paused", "incomplete", "incomplete_expired", "canceled", "", "ACTIVE", "a_word_of_2031"]) {
    it(`${word || "the empty status"} is Basic`, async () => assert.strictEqual(await decide({ status: word }), "basic"))
  }
  it("is Basic without a subscription", async () => assert.strictEqual(await decide(), "basic"))
  it("keeps past_due Pro for seven days from the start of the period", async () => {
    const until = await decide({ status: "past_due", since: 6 })
    assert.instanceOf(until, Date)
    assert.closeTo((until as Date).getTime(), Date.now() + 86_400_000, 10_000)
    assert.strictEqual(await decide({ status: "past_due", since: 7 }), "basic")
    assert.strictEqual(await decide({ status: "past_due", since: null }), "basic")
  })
  for (const reason of ["refunded", "dispute_lost"] as const) {
    it(`${reason} is Basic in that period, Pro in the next, and does not affect another subscription`, async () => {
      for (const word of ["active", "trialing", "past_due"]) {
        assert.strictEqual(await decide({ status: word, held: { since: 1, reason } }), "basic")
        assert.notStrictEqual(await decide({ status: word, held: { since: 2, reason } }), "basic")
        assert.notStrictEqual(await decide({ status: word, held: { since: 1, reason, other: true } }), "basic")
      }
    })
  }
  it("takes the best of several subscriptions", async () => {
    assert.strictEqual(await decide({ status: "canceled" }, { status: "active" }), "pro")
    assert.strictEqual(await decide({ status: "active" }, { status: "unpaid" }), "pro")
    assert.strictEqual(await decide({ status: "active", held: { since: 1 } }, { status: "active" }), "pro")
    assert.strictEqual(await decide({ status: "past_due" }, { status: "active" }), "pro")
    assert.strictEqual(await decide({ status: "canceled" }, { status: "unpaid" }), "basic")
  })
  it("returns whether it changed anything, also for a deleted user", async () => {
    const user = crypto.randomUUID()
    const changed = async () => (await database.query<{ c: boolean }>("select decide_tier($1) as c", [user]))[0]?.c
    assert.strictEqual(await changed(), false)
    await database.query("insert into users (id, mobile, status, quota_key) values ($1::uuid, $1::text, 'active', $1::text)", [
      user
    ])
    assert.strictEqual(await changed(), false)
    await database.query(
      "insert into subscriptions select $1, 'sub_x', 'cus', 'active', now(), now() + interval '1 day', null, false, null, now(), now()",
      [user]
    )
    assert.strictEqual(await changed(), true)
    assert.strictEqual(await changed(), false)
  })
})

/** Asserts the tier in both places that return it. */
const agree = async (person: Person, tier: "basic" | "pro") => {
  const own = await status(person)
  const me = (await person.call("GET", "/user/me")).body
  assert.deepStrictEqual([own.tier, me.tier], [tier, tier])
  const { daily, ...usage } = own.limits
  const { budget, ...quota } = me.quota
  assert.deepStrictEqual({ limit: daily, ...usage }, quota)
  assert.isNull(budget)
}

describe("each status of Stripe's", () => {
  it("decides the same tier everywhere; an unknown one is Basic and logged as an error", { timeout: 60_000 }, async () => {
    const backend = await startTestBackend({ processes: true })
    const process = await startBackendProcess(backend)
    try {
      const person = await newSubscriber(backend)
      const subscription = (await storedSubscriptions(backend, person))[0]?.id ?? ""
      for (const [word, tier] of [
        ["trialing", "pro"],
        ["unpaid", "basic"],
        ["active", "pro"],
        ["paused", "basic"],
        ["past_due", "pro"],
        ["incomplete", "basic"],
        ["active", "pro"],
        ["a_word_of_2031", "basic"],
        ["trialing", "pro"],
        ["canceled", "basic"]
      ] as const) {
        backend.stripe.setSubscriptionStatus({ subscription, status: word })
        await backend.waitUntilIdle()
        await until(`${word} is ${tier}`, async () => (await person.call("GET", "/user/me")).body.tier === tier, { seconds: 2 })
        await agree(person, tier)
        assert.strictEqual((await status(person)).status, word)
      }
      const errors = process
        .output()
        .split("\n")
        .filter((line) => line.includes("a_word_of_2031"))
      assert.isNotEmpty(errors)
      assert.match(errors.join("\n"), /ERROR/)
      assert.include(errors.join("\n"), subscription)
    } finally {
      await process.kill("SIGKILL")
      await backend.stop()
    }
  })
})

describe("the quota of a day", () => {
  let backend: TestBackend
  beforeAll(async () => {
    backend = await startTestBackend({ backends: [{ PRO_DAILY_PROMPTS: "8" }, { PRO_DAILY_PROMPTS: "8" }] })
  })
  afterAll(() => backend.stop())

  it("grows with the upgrade, keeps counting, and is used up for the day after the downgrade", { timeout: 60_000 }, async () => {
    const person = await backend.newUser()
    assert.isTrue((await askQuestions(person, 5)).every(({ status }) => status === 201))
    const [sixth] = await askQuestions(person, 1)
    assert.deepStrictEqual([sixth?.status, sixth?.body.code, sixth?.body.limit], [429, "quota_exceeded", 5])
    await agree(person, "basic")

    const session = (await person.call("POST", "/subscribe/pro")).body.sessionId
    const room = await person.room()
    backend.stripe.holdWebhooks()
    backend.stripe.checkout({ session, action: "pay" })
    assert.strictEqual((await person.call("GET", `/billing/return?session_id=${session}`)).body.tier, "pro")
    const accepted = await person.ask(room, "[[say yes]] the sixth")
    assert.strictEqual(accepted.status, 202)
    assert.deepInclude(accepted.body.quota, { limit: 8, used: 6, remaining: 2 })
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
    await agree(person, "pro")
    assert.isTrue((await askQuestions(person, 2)).every(({ status }) => status === 201))
    const [ninth] = await askQuestions(person, 1)
    assert.deepStrictEqual([ninth?.status, ninth?.body.limit], [429, 8])

    backend.stripe.setSubscriptionStatus({
      subscription: (await storedSubscriptions(backend, person))[0]?.id ?? "",
      status: "canceled"
    })
    await backend.waitUntilIdle()
    assert.deepInclude((await status(person)).limits, { daily: 5, used: 8, remaining: 0 })
    const [next] = await askQuestions(person, 1)
    assert.deepStrictEqual([next?.status, next?.body.code, next?.body.limit], [429, "quota_exceeded", 5])
    const midnight = new Date()
    midnight.setUTCHours(24, 0, 0, 0)
    assert.strictEqual(next?.body.resetsAt, midnight.toISOString())
    assert.closeTo(Number(next?.headers.get("retry-after")), (midnight.getTime() - Date.now()) / 1000, 5)
    assert.match(next?.headers.get("ratelimit") ?? "", /r=0/)
    // Moves today's usage to yesterday.
    await backend.database.query("update usage_daily set day = day - 1")
    assert.strictEqual((await askQuestions(person, 1))[0]?.status, 201)
  })

  it("changes at once in another process that has the session cached", async () => {
    const here = await backend.newUser()
    const there = personAt(backend.urls[1] ?? "", here)
    assert.strictEqual((await there.call("GET", "/user/me")).body.tier, "basic")
    const session = (await here.call("POST", "/subscribe/pro")).body.sessionId
    backend.stripe.holdWebhooks()
    backend.stripe.checkout({ session, action: "pay" })
    await here.call("GET", `/billing/return?session_id=${session}`)
    await until("Pro there", async () => (await there.call("GET", "/user/me")).body.tier === "pro", { seconds: 10 })
    await agree(there, "pro")
    backend.stripe.releaseWebhooks()
    await backend.waitUntilIdle()
    backend.stripe.setSubscriptionStatus({
      subscription: (await storedSubscriptions(backend, here))[0]?.id ?? "",
      status: "canceled"
    })
    await backend.waitUntilIdle()
    await until("Basic there", async () => (await there.call("GET", "/user/me")).body.tier === "basic", { seconds: 10 })
    await agree(there, "basic")
    await agree(here, "basic")
  })

  it("agrees in both places after every change", { timeout: 60_000 }, async () => {
    const people = await Promise.all(times(4, () => newSubscriber(backend)))
    for (const person of people) {
      const [subscription] = await storedSubscriptions(backend, person)
      for (const word of ["unpaid", "active", "canceled"]) {
        backend.stripe.setSubscriptionStatus({ subscription: subscription?.id ?? "", status: word })
        await backend.waitUntilIdle()
        const tier = word === "active" ? "pro" : "basic"
        await until(word, async () => (await person.call("GET", "/user/me")).body.tier === tier, { seconds: 1 })
        await agree(person, tier)
      }
    }
  })
})

describe("PRO_DAILY_PROMPTS=0", () => {
  it("means unlimited: limit and remaining are null, and use is still counted", async () => {
    const backend = await startTestBackend({ backends: [{ PRO_DAILY_PROMPTS: "0", BASIC_DAILY_PROMPTS: "1" }] })
    try {
      const person = await newSubscriber(backend)
      const replies = await askQuestions(person, 3)
      assert.isTrue(replies.every(({ status }) => status === 201))
      const { limits } = await status(person)
      assert.deepInclude(limits, { daily: null, used: 3, remaining: null })
      await agree(person, "pro")
      const basic = await backend.newUser()
      assert.deepInclude((await status(basic)).limits, { daily: 1, used: 0, remaining: 1 })
      assert.strictEqual(await tierOf(basic), "basic")
    } finally {
      await backend.stop()
    }
  })
})
