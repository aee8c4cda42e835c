import { setTimeout as sleep } from "node:timers/promises"
import pg from "pg"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, logIn, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem } from "./People.ts"
import { times } from "../support/times.ts"

describe("codes requested from one address", () => {
  let database: TestDatabase
  let trusting: Awaited<ReturnType<typeof startBackend>>
  let direct: typeof trusting

  beforeAll(async () => {
    database = await createDatabase()
    const settings = { DATABASE_URL: database.url, ROLE: "api" }
    trusting = await startBackend({ ...settings, TRUSTED_PROXIES: "127.0.0.1" })
    direct = await startBackend(settings)
  })
  afterAll(async () => {
    await Promise.all([trusting.stop(), direct.stop()])
    await database.drop()
  })

  const send = (base: string, forwarded?: string, path = "/auth/send-otp") =>
    request(base, "POST", path, {
      body: { mobile: freshMobile() },
      ...(forwarded === undefined ? {} : { headers: { "x-forwarded-for": forwarded } })
    })
  /** Forty at a time, so that a busy machine does not refuse some as overload. */
  const statuses = async (count: number, base: string, forwarded: (index: number) => string | undefined) => {
    const all: Array<number> = []
    while (all.length < count) {
      const next = times(Math.min(40, count - all.length), (index) => send(base, forwarded(all.length + index)))
      all.push(...(await Promise.all(next)).map(({ status }) => status))
    }
    return all
  }

  it("are limited to thirty an hour over all numbers, apart from other addresses", async () => {
    const all = await statuses(35, trusting.url, () => "203.0.113.7")
    assert.deepStrictEqual(
      [all.filter((status) => status === 200).length, all.filter((status) => status === 429).length],
      [30, 5]
    )
    const refused = await send(trusting.url, "203.0.113.7")
    assertProblem(refused, 429, "otp_send_limited")
    assert.isAtMost(Number(refused.headers.get("retry-after")), 3_600)
    assertProblem(await send(trusting.url, "203.0.113.7", "/auth/forgot-password"), 429, "otp_send_limited")
    assert.strictEqual((await send(trusting.url, "203.0.113.8")).status, 200)
  })

  it("are refused without a query once the limit is known", async () => {
    await statuses(32, trusting.url, () => "203.0.113.30")
    const gate = new pg.Client({ connectionString: database.url })
    await gate.connect()
    await gate.query("begin; lock table users, throttles, otp_challenges in access exclusive mode")
    const refused = await Promise.race([send(trusting.url, "203.0.113.30"), sleep(5_000)])
    await gate.query("rollback")
    await gate.end()
    assertProblem(refused ?? assert.fail("it waited for a query"), 429, "otp_send_limited")
  })

  it("are counted by the address that the trusted proxy saw, not by invented ones left of it", async () => {
    const all = await statuses(35, trusting.url, (n) => `198.51.100.${n}, 203.0.113.20`)
    assert.strictEqual(all.filter((status) => status === 200).length, 30)
    assert.strictEqual((await send(trusting.url, "203.0.113.20, 203.0.113.21")).status, 200)
  })

  it("are counted per /64 of IPv6", async () => {
    const all = await statuses(35, trusting.url, (n) => `2001:4860:1:2:${n}::${n}`)
    assert.strictEqual(all.filter((status) => status === 200).length, 30)
    assert.strictEqual((await send(trusting.url, "2001:4860:1:3::1")).status, 200)
  })

  it.each([
    ["90 an hour per /56 of IPv6", 90, 100, (n: number) => `2001:4860:2:${n.toString(16)}::1`, "2001:4860:2:100::1"],
    ["300 an hour per /48 of IPv6", 300, 320, (n: number) => `2001:4860:3:${(n * 100).toString(16)}::1`, "2001:4860:4::1"],
    ["300 an hour per /24 of IPv4", 300, 320, (n: number) => `192.0.2.${n % 256}`, "192.0.3.1"]
  ] as const)("are limited to %s", async (_, limit, count, address, neighbour) => {
    const all = await statuses(count, trusting.url, address)
    // The allowance of the /48 gains one in twelve seconds, that of the /56 one in forty.
    const sent = all.filter((status) => status === 200).length
    assert.isAtLeast(sent, limit)
    assert.isAtMost(sent, limit + 4)
    assert.deepStrictEqual(new Set(all), new Set([200, 429]))
    assert.strictEqual((await send(trusting.url, neighbour)).status, 200)
  })

  it("are not counted when no proxy is trusted and all clients come from loopback", async () => {
    assert.deepStrictEqual(new Set(await statuses(35, direct.url, () => undefined)), new Set([200]))
    assert.deepStrictEqual(new Set(await statuses(35, direct.url, () => "203.0.113.99")), new Set([200]))
    const [row] = await database.query<{ count: number }>(
      "select count(*)::int from throttles where key like '%203.0.113.99%' or key like '%127.0.0.1%'"
    )
    assert.strictEqual(row?.count, 0)
  })
})

describe("one address and many accounts", () => {
  let database: TestDatabase
  let backend: Awaited<ReturnType<typeof startBackend>>
  let peer: typeof backend

  beforeAll(async () => {
    database = await createDatabase()
    const settings = { DATABASE_URL: database.url, ROLE: "api", TRUSTED_PROXIES: "127.0.0.1", PASSWORD_LOGIN: "true" }
    backend = await startBackend(settings)
    peer = await startBackend(settings)
  })
  afterAll(async () => {
    await Promise.all([backend.stop(), peer.stop()])
    await database.drop()
  })

  const post = (base: string, path: string, body: unknown, address?: string) =>
    request(base, "POST", path, { body, ...(address === undefined ? {} : { headers: { "x-forwarded-for": address } }) })
  const guess = (base: string, address?: string) =>
    post(base, "/auth/verify-otp", { mobile: freshMobile(), otp: "123456" }, address)
  it("refuses every code after three hundred wrong ones in 15 minutes", async () => {
    const address = "203.0.113.40"
    const mobile = freshMobile()
    const { body } = await post(backend.url, "/auth/send-otp", { mobile })
    assertProblem(await guess(backend.url, address), 400, "otp_invalid")
    // One wrong code costs three seconds of the fifteen minutes.
    const [row] = await database.query<{ used: number }>(
      "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = $1",
      [`code:from:${address}`]
    )
    assert.isAtMost(row?.used ?? 99, 3)
    // As after some three hundred wrong codes, plus a minute for the time that this test takes.
    await database.query("update throttles set tat = clock_timestamp() + interval '16 minutes' where key = $1", [
      `code:from:${address}`
    ])
    const right = { mobile, otp: body.otp, challengeId: body.challengeId }
    for (const [path, what] of [
      ["/auth/verify-otp", right],
      ["/auth/reset-password", { mobile, otp: "123456", newPassword: "correct horse battery" }]
    ] as const) {
      const refused = await post(backend.url, path, what, address)
      assertProblem(refused, 429, "too_many_attempts")
      assert.isAtMost(Number(refused.headers.get("retry-after")), 64)
    }
    // The code is still valid from another address.
    assert.strictEqual((await post(backend.url, "/auth/verify-otp", right, "203.0.113.41")).status, 200)
    assertProblem(await guess(peer.url, address), 429, "too_many_attempts")
  })

  it("verifies three hundred codes at the most, however many come at once and to however many processes", async () => {
    const address = "198.51.100.45"
    const started = Date.now()
    const replies = []
    for (const _ of times(4, (n) => n)) {
      replies.push(...(await Promise.all(times(90, (n) => guess(n % 2 === 0 ? backend.url : peer.url, address)))))
    }
    assert.deepStrictEqual(new Set(replies.map(({ status }) => status)), new Set([400, 429]))
    const verified = replies.filter(({ body }) => body.code === "otp_invalid").length
    // The allowance gains one in three seconds.
    assert.isAtLeast(verified, 300)
    assert.isAtMost(verified, 301 + (Date.now() - started) / 3_000)
    // When the wait is over, the next guess is verified.
    const refused = await guess(backend.url, address)
    assertProblem(refused, 429, "too_many_attempts")
    await sleep(1_000 * Number(refused.headers.get("retry-after")))
    assertProblem(await guess(backend.url, address), 400, "otp_invalid")
  })

  it("counts the networks around an address", async () => {
    assertProblem(await guess(backend.url, "2001:4860:9:1::1"), 400, "otp_invalid")
    const waitIn = async (network: string) => {
      const key = `code:from:${network}`
      const set = "update throttles set tat = clock_timestamp() + interval '16 minutes' where key = $1 returning key"
      assert.lengthOf(await database.query(set, [key]), 1)
    }
    await waitIn("2001:4860:9:0::/56")
    assertProblem(await guess(backend.url, "2001:4860:9:2::1"), 429, "too_many_attempts")
    assertProblem(await guess(backend.url, "2001:4860:9:100::1"), 400, "otp_invalid")
    await waitIn("2001:4860:9:0::/48")
    assertProblem(await guess(backend.url, "2001:4860:9:200::1"), 429, "too_many_attempts")
    assertProblem(await guess(backend.url, "2001:4860:a::1"), 400, "otp_invalid")
  })

  it("shares one allowance among all clients whose address cannot be determined", async () => {
    assertProblem(await guess(backend.url, "unknown"), 400, "otp_invalid")
    await database.query("update throttles set tat = clock_timestamp() + interval '16 minutes' where key = 'code:from:unknown'")
    assertProblem(await guess(backend.url, "nonsense"), 429, "too_many_attempts")
    assertProblem(await guess(backend.url, "_hidden"), 429, "too_many_attempts")
    await database.query("delete from throttles where key = 'code:from:unknown'")
    await sleep(1_100)
  })

  it("refuses every password after sixty wrong ones in 15 minutes", async () => {
    const address = "203.0.113.42"
    const [mobile, password] = [freshMobile(), "correct horse battery"]
    const signed = await post(backend.url, "/auth/signup", { mobile, password })
    const { body } = await post(backend.url, "/auth/send-otp", { mobile })
    await post(backend.url, "/auth/verify-otp", {
      mobile,
      otp: body.otp,
      challengeId: body.challengeId,
      signupToken: signed.body.signupToken
    })
    const logIn = (more = {}) => post(backend.url, "/auth/login", { mobile, password, ...more }, address)
    assert.strictEqual((await logIn()).status, 200)
    const wrong = { mobile: freshMobile() }
    assertProblem(await logIn(wrong), 401, "credentials_invalid")
    await database.query("update throttles set tat = clock_timestamp() + interval '16 minutes' where key = $1", [
      `password:from:${address}`
    ])
    assertProblem(await logIn(), 429, "too_many_attempts")
    // Codes are counted separately.
    assertProblem(await guess(backend.url, address), 400, "otp_invalid")
  })

  it("verifies four passwords at a time, apart from other addresses", async () => {
    const logIn = (address: string) =>
      post(backend.url, "/auth/login", { mobile: freshMobile(), password: "correct horse battery" }, address)
    const [flood, other] = await Promise.all([
      Promise.all(times(30, () => logIn("203.0.113.43"))),
      Promise.all(times(2, () => logIn("203.0.113.44")))
    ])
    const codes = flood.map(({ body }) => body.code)
    assert.sameMembers([...new Set(codes)], ["credentials_invalid", "too_many_attempts"])
    assert.isAtLeast(codes.filter((code) => code === "too_many_attempts").length, 10)
    for (const reply of other) assertProblem(reply, 401, "credentials_invalid")
    assertProblem(await logIn("203.0.113.43"), 401, "credentials_invalid")
  })

  it.each([
    ["/auth/verify-otp", { otp: "123456", challengeId: crypto.randomUUID() }, "otp_invalid", "code", 3],
    ["/auth/reset-password", { otp: "123456", newPassword: "correct horse battery" }, "otp_invalid", "code", 3],
    ["/auth/login", { password: "correct horse battery" }, "credentials_invalid", "password", 15]
  ] as const)("counts a wrong attempt at %s", async (path, body, code, kind, step) => {
    const address = `203.0.113.${70 + path.length}`
    assert.strictEqual((await post(backend.url, path, { mobile: freshMobile(), ...body }, address)).body.code, code)
    const [row] = await database.query<{ used: number }>(
      "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = $1",
      [`${kind}:from:${address}`]
    )
    assert.isAtMost(row?.used ?? 99, step)
  })

  it("does not count right codes", { timeout: 60_000 }, async () => {
    const address = "203.0.113.50"
    for (const _ of times(20, (n) => n)) {
      const mobile = freshMobile()
      const { body } = await post(backend.url, "/auth/send-otp", { mobile })
      const reply = await post(backend.url, "/auth/verify-otp", { mobile, otp: body.otp, challengeId: body.challengeId }, address)
      assert.strictEqual(reply.status, 200, reply.text)
    }
    assert.lengthOf(await database.query("select 1 from throttles where key like $1", [`%${address}%`]), 0)
  })

  it("allows sixty sign-ups an hour", async () => {
    const signUp = (address?: string) => post(backend.url, "/auth/signup", { mobile: freshMobile() }, address)
    const all = await Promise.all(times(70, () => signUp("203.0.113.60")))
    // The allowance gains one per minute.
    assert.include([60, 61], all.filter(({ status }) => status === 201).length)
    assertProblem(await signUp("203.0.113.60"), 429, "too_many_attempts")
    assert.strictEqual((await signUp("203.0.113.61")).status, 201)
  })

  it("counts neither loopback nor private addresses, and no text that is not an address", async () => {
    for (const address of [undefined, "10.1.2.3", "nonsense"])
      assertProblem(await guess(backend.url, address), 400, "otp_invalid")
    assert.lengthOf(await database.query("select 1 from throttles where key ~ '^(code|password):from:(127|10|nonsense|null)'"), 0)
  })
})

describe("codes sent to all numbers", () => {
  it("are limited to three thousand in ten minutes", async () => {
    const database = await createDatabase()
    const backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
    try {
      const send = () => request(backend.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } })
      assert.strictEqual((await send()).status, 200)
      const [row] = await database.query<{ used: number }>(
        "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = 'otp-send:all'"
      )
      assert.isAtMost(row?.used ?? 99, 600 / 3_000)
      // As after three thousand codes, plus a minute for the time that this test takes.
      await database.query("update throttles set tat = clock_timestamp() + interval '11 minutes' where key = 'otp-send:all'")
      for (const refused of await Promise.all(times(50, send))) assertProblem(refused, 429, "otp_send_limited")
      // A refused number has no cooldown: it can ask again as soon as the limit allows.
      const cooling = await database.query("select 1 from throttles where key like 'otp-cooldown:%' and tat > now()")
      assert.lengthOf(cooling, 1)
      await database.query("update throttles set tat = now() where key = 'otp-send:all'")
      const other = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
      assert.strictEqual((await request(other.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } })).status, 200)
      await other.stop()
    } finally {
      await backend.stop()
      await database.drop()
    }
  })
  it("keep six hundred for numbers of active users", async () => {
    const database = await createDatabase()
    const backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
    try {
      const known = await logIn(backend.url)
      const send = (mobile: string) => request(backend.url, "POST", "/auth/send-otp", { body: { mobile } })
      const [row] = await database.query<{ used: number }>(
        "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = 'otp-send:unknown'"
      )
      assert.isAtMost(row?.used ?? 99, 600 / 2_400)
      await database.query("update throttles set tat = clock_timestamp() + interval '11 minutes' where key = 'otp-send:unknown'")
      for (const refused of await Promise.all(times(5, () => send(freshMobile()))))
        assertProblem(refused, 429, "otp_send_limited")
      assert.strictEqual((await send(known.mobile)).status, 200)
    } finally {
      await backend.stop()
      await database.drop()
    }
  })
})
