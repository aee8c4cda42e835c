import { randomUUID } from "node:crypto"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { createDatabase, type TestDatabase } from "../support/Database.ts"

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database.drop())

interface Case {
  /** Null as the previous release writes it. */
  readonly plan: string | null
  readonly status: string
  /** How many days ago the period of thirty days started. */
  readonly since?: number
  readonly isRefunded?: boolean
}

const newUser = async (...cases: ReadonlyArray<Case>): Promise<string> => {
  const user = randomUUID()
  await database.query("insert into users (id, mobile, status, quota_key) values ($1::uuid, $1::text, 'active', $1::text)", [
    user
  ])
  for (const [index, { isRefunded = false, plan, since = 1, status }] of cases.entries()) {
    const id = `sub_${user}_${index}`
    await database.query(
      `insert into subscriptions (user_id, id, customer_id, status, plan, current_period_start, current_period_end,
        cancel_at_period_end, created_at, fetched_at)
       values ($1, $2, 'cus', $3, $4, now() - make_interval(days => $5), now() - make_interval(days => $5) + interval '30 days',
        false, now(), now())`,
      [user, id, status, plan, since]
    )
    if (isRefunded)
      await database.query(
        `insert into billing_holds (user_id, charge_id, reason, subscription_id, charged_at)
         values ($1, $2, 'refunded', $2, now() - make_interval(days => $3))`,
        [user, id, since]
      )
  }
  return user
}

const order = ["lite", "pro", "max"]
const decide = (user: string, plans: ReadonlyArray<string> = order) => database.query("select decide_tier($1, $2)", [user, plans])

/** The tier now, and after each of these days. */
const tiersAfter = async (user: string, ...days: ReadonlyArray<number>): Promise<Array<string>> => {
  const tiers: Array<string> = []
  for (const day of days) {
    const [row] = await database.query<{ tier: string }>(
      `select tier_of(u) as tier from (
         select (jsonb_populate_record(u, jsonb_build_object('pro_until', u.pro_until - make_interval(days => $2),
           'plans', (select jsonb_agg(jsonb_build_object('plan', p ->> 'plan',
             'until', (p ->> 'until')::timestamptz - make_interval(days => $2)) order by n)
             from jsonb_array_elements(u.plans) with ordinality as x (p, n))))).*
         from users u where u.id = $1) u`,
      [user, day]
    )
    tiers.push(row?.tier ?? "")
  }
  return tiers
}

describe("decide_tier with several plans", () => {
  it("takes the highest of the plans that are live", async () => {
    for (const [cases, tier] of [
      [[{ plan: "lite", status: "active" }], "lite"],
      [
        [
          { plan: "lite", status: "active" },
          { plan: "max", status: "active" }
        ],
        "max"
      ],
      [
        [
          { plan: "max", status: "canceled" },
          { plan: "lite", status: "trialing" }
        ],
        "lite"
      ],
      [
        [
          { plan: "max", status: "active", isRefunded: true },
          { plan: "pro", status: "active" }
        ],
        "pro"
      ],
      [[{ plan: "max", status: "unpaid" }], "basic"],
      [[{ plan: "gold", status: "active" }], "basic"],
      [[{ plan: null, status: "active" }], "pro"],
      [[], "basic"]
    ] as const) {
      const user = await newUser(...cases)
      await decide(user)
      assert.deepStrictEqual(await tiersAfter(user, 0), [tier], JSON.stringify(cases))
    }
  })

  it("gives the end of the last plan as pro_until, from which the number of running replies follows", async () => {
    for (const { cases, paid } of [
      { cases: [{ plan: "lite", status: "past_due", since: 2 }], paid: [true, true, true, false] },
      { cases: [{ plan: "max", status: "past_due", since: 6 }], paid: [true, false, false, false] },
      {
        cases: [
          { plan: "max", status: "past_due", since: 6 },
          { plan: "lite", status: "past_due", since: 2 }
        ],
        paid: [true, true, true, false]
      },
      { cases: [{ plan: "gold", status: "active" }], paid: [false, false, false, false] },
      { cases: [], paid: [false, false, false, false] }
    ]) {
      const user = await newUser(...cases)
      await decide(user)
      const days = [0, 2, 4, 6]
      const rows = await database.query<{ paid: boolean }>(
        `select coalesce(pro_until > now() + make_interval(days => d), false) as paid
          from users, unnest($2::int[]) with ordinality as x (d, n) where id = $1 order by n`,
        [user, days]
      )
      assert.deepStrictEqual(
        rows.map((row) => row.paid),
        paid,
        JSON.stringify(cases)
      )
      assert.deepStrictEqual(
        (await tiersAfter(user, ...days)).map((tier) => tier !== "basic"),
        paid,
        JSON.stringify(cases)
      )
    }
  })

  it("goes by the order in PLANS", async () => {
    const user = await newUser({ plan: "lite", status: "active" }, { plan: "max", status: "active" })
    await decide(user, ["max", "lite"])
    assert.deepStrictEqual(await tiersAfter(user, 0), ["lite"])
    await decide(user, ["lite"])
    assert.deepStrictEqual(await tiersAfter(user, 0), ["lite"])
    await decide(user, ["pro"])
    assert.deepStrictEqual(await tiersAfter(user, 0), ["basic"])
  })

  it("falls to the next lower plan that lasts longer when the grace of the highest ends", async () => {
    const user = await newUser({ plan: "max", status: "past_due", since: 4 }, { plan: "lite", status: "active" })
    await decide(user)
    assert.deepStrictEqual(await tiersAfter(user, 0, 2, 4, 400), ["max", "max", "lite", "lite"])
    const both = await newUser({ plan: "max", status: "past_due", since: 6 }, { plan: "pro", status: "past_due", since: 2 })
    await decide(both)
    assert.deepStrictEqual(await tiersAfter(both, 0, 2, 4, 6), ["max", "pro", "pro", "basic"])
  })

  it("says whether anything changed, in any time zone", async () => {
    const user = await newUser({ plan: "max", status: "past_due" })
    const changed = async (zone: string) => {
      const [row] = await database.query<{ c: boolean }>(
        `select decide_tier($1, $2) as c from (select set_config('timezone', $3, false)) z`,
        [user, order, zone]
      )
      return row?.c
    }
    assert.strictEqual(await changed("UTC"), true)
    assert.strictEqual(await changed("Asia/Kolkata"), false)
    await database.query("set timezone = 'UTC'")
  })
})

describe("rows and calls of the previous release", () => {
  it("mean Pro: a pro_until without plans, a subscription without a plan, the call without plans", async () => {
    const user = await newUser()
    await database.query("update users set pro_until = now() + interval '3 days' where id = $1", [user])
    const [row] = await database.query<{ tier: string }>("select tier_of(u) as tier from users u where id = $1", [user])
    assert.strictEqual(row?.tier, "pro")
    const old = await newUser({ plan: null, status: "past_due", since: 4 })
    await database.query("select decide_tier($1)", [old])
    assert.deepStrictEqual(await tiersAfter(old, 0, 2, 4), ["pro", "pro", "basic"])
  })
})
