import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { addressKey, clientAddress } from "../../src/http/ClientAddress.ts"
import { parseProxies } from "../../src/config/Proxies.ts"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, times } from "../auth/People.ts"

const proxies = (...list: ReadonlyArray<string>) => parseProxies(list) ?? assert.fail(`not proxies: ${list}`)
const ours = proxies("127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48")

describe("the client's address", () => {
  it.each([
    ["nobody in between", "8.8.8.8", undefined, "8.8.8.8"],
    ["a stranger's header", "8.8.8.8", "1.2.3.4", "8.8.8.8"],
    ["one proxy of ours", "10.0.0.1", "8.8.8.8", "8.8.8.8"],
    ["two proxies of ours", "10.0.0.1", "8.8.8.8, 10.9.9.9", "8.8.8.8"],
    ["an invented left part", "10.0.0.1", "1.1.1.1, 2.2.2.2, 8.8.8.8", "8.8.8.8"],
    ["a proxy of ours in the invented part", "10.0.0.1", "1.1.1.1, 10.1.1.1, 8.8.8.8, 10.9.9.9", "8.8.8.8"],
    ["junk in the invented part", "10.0.0.1", "<script>, unknown, 8.8.8.8", "8.8.8.8"],
    ["only proxies of ours: the first of them", "10.0.0.1", "10.2.2.2, 10.3.3.3", "10.2.2.2"],
    ["an IPv4 address in IPv6's clothes", "10.0.0.1", "::ffff:8.8.8.8", "8.8.8.8"],
    ["the same in capitals", "10.0.0.1", "::FFFF:8.8.8.8", "8.8.8.8"],
    ["the same in hexadecimal", "10.0.0.1", "::ffff:0808:0808", "8.8.8.8"],
    ["the same in full", "10.0.0.1", "0:0:0:0:0:ffff:8.8.8.8", "8.8.8.8"],
    ["a proxy of ours in IPv6's clothes", "::ffff:10.0.0.1", "8.8.8.8", "8.8.8.8"],
    ["a port", "10.0.0.1", "8.8.8.8:51234", "8.8.8.8"],
    ["brackets", "10.0.0.1", "[2001:4860::1]", "2001:4860::1"],
    ["brackets and a port", "10.0.0.1", "[2001:4860::1]:443", "2001:4860::1"],
    ["a proxy with brackets and a port", "[2001:db8:ffff::9]:80", "2001:4860::1", "2001:4860::1"],
    ["blanks", "10.0.0.1", "  8.8.8.8  ,10.9.9.9 ", "8.8.8.8"],
    ["no address where the client's should be", "10.0.0.1", "8.8.8.8, unknown", null],
    ["an obfuscated one (RFC 7239)", "10.0.0.1", "_hidden", null],
    ["a number too large", "10.0.0.1", "8.8.8.256", null],
    ["an octal spelling", "10.0.0.1", "010.8.8.8", null],
    ["a host name", "10.0.0.1", "localhost", null],
    ["an empty place", "10.0.0.1", "8.8.8.8,,", null],
    ["a CIDR range", "10.0.0.1", "8.8.8.0/24", null],
    ["no peer at all", undefined, "8.8.8.8", null],
    ["a peer that is a pipe", "", undefined, null]
  ] as const)("is walked from the right: %s", (_, peer, header, expected) => {
    assert.strictEqual(clientAddress(peer, header, ours), expected)
  })

  it("is the peer's when nobody is trusted", () => {
    assert.strictEqual(clientAddress("10.0.0.1", "8.8.8.8", proxies()), "10.0.0.1")
  })

  it("survives a header as long as one can be", () => {
    assert.strictEqual(clientAddress("10.0.0.1", `${"10.1.1.1, ".repeat(1_500)}10.1.1.1`, ours), "10.1.1.1")
    assert.strictEqual(clientAddress("10.0.0.1", ",".repeat(16_000), ours), null)
    assert.strictEqual(clientAddress("10.0.0.1", `[${"[".repeat(16_000)}`, ours), null)
  })
})

describe("what limits count by", () => {
  it.each([
    ["8.8.8.8", "8.8.8.8"],
    ["2001:4860:1:2:3:4:5:6", "2001:4860:1:2::/64"],
    ["2001:4860:1:2::", "2001:4860:1:2::/64"],
    ["2001:4860:0001:0002:ffff::", "2001:4860:1:2::/64"],
    ["2001:4860::1", "2001:4860:0:0::/64"],
    ["2001:4860:0:0::1", "2001:4860:0:0::/64"],
    ["2001::1:2:3:4:5", "2001:0:0:1::/64"],
    ["2001:DB8:A:B::1", "2001:db8:a:b::/64"]
  ])("is of %s: %s", (address, key) => {
    assert.strictEqual(addressKey(address), key)
  })

  it.each([
    "10.1.2.3",
    "127.0.0.1",
    "169.254.1.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "::ffff:10.0.0.1",
    "junk",
    "",
    "8.8.8.8:80",
    null
  ])("is nothing of %j: behind it everybody would share one allowance", (address) => assert.isNull(addressKey(address)))

  it.each(["172.32.0.1", "100.128.0.1", "169.255.0.1", "11.0.0.1", "192.169.0.1", "fec0::1", "2001:db8::1"])(
    "is something of %s, which is beside a private range",
    (address) => {
      assert.isNotNull(addressKey(address))
    }
  )
})

describe("a list of proxies", () => {
  it.each([
    "x",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "10.0.0.0/1e1",
    "10.0.0.0/ 8",
    "10.0.0.0/0x8",
    "10.0.0/8",
    "::1/129",
    "::/",
    "/8",
    "localhost",
    "*"
  ])("has no entry %j", (entry) => {
    assert.isUndefined(parseProxies(["127.0.0.1", entry]))
  })

  it("takes addresses and ranges of both families", () => {
    const list = proxies("192.0.2.1", "198.51.100.0/24", "2001:db8::/32", "::1")
    for (const address of ["192.0.2.1", "198.51.100.200"]) assert.isTrue(list.check(address, "ipv4"), address)
    for (const address of ["192.0.2.2", "198.51.101.1"]) assert.isFalse(list.check(address, "ipv4"), address)
    for (const address of ["2001:db8:1::1", "::1"]) assert.isTrue(list.check(address, "ipv6"), address)
    assert.isFalse(list.check("2001:db9::1", "ipv6"))
  })
})

describe("codes asked for from one address", () => {
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
  const statuses = async (count: number, base: string, forwarded: (index: number) => string | undefined) =>
    (await Promise.all(times(count, (index) => send(base, forwarded(index))))).map(({ status }) => status)

  it("are thirty an hour, whatever numbers they are for; another address is not concerned", async () => {
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

  it("are counted by the address that our proxy saw, not by what was invented left of it", async () => {
    const all = await statuses(35, trusting.url, (n) => `198.51.100.${n}, 203.0.113.20`)
    assert.strictEqual(all.filter((status) => status === 200).length, 30)
    assert.strictEqual((await send(trusting.url, "203.0.113.20, 203.0.113.21")).status, 200)
  })

  it("are counted by household: a /64 of IPv6 has one allowance, its neighbour its own", async () => {
    const all = await statuses(35, trusting.url, (n) => `2001:4860:1:2:${n}::${n}`)
    assert.strictEqual(all.filter((status) => status === 200).length, 30)
    assert.strictEqual((await send(trusting.url, "2001:4860:1:3::1")).status, 200)
  })

  it("are not counted where no proxy is trusted and everybody comes from loopback, whatever a header says", async () => {
    assert.deepStrictEqual(new Set(await statuses(35, direct.url, () => undefined)), new Set([200]))
    assert.deepStrictEqual(new Set(await statuses(35, direct.url, () => "203.0.113.99")), new Set([200]))
    const [row] = await database.query<{ count: number }>(
      "select count(*)::int from throttles where key like '%203.0.113.99%' or key like '%127.0.0.1%'"
    )
    assert.strictEqual(row?.count, 0)
  })
})

describe("what one address may do to many accounts", () => {
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
  it("is three hundred wrong codes in a quarter of an hour, and then no right one either", async () => {
    const address = "203.0.113.40"
    const mobile = freshMobile()
    const { body } = await post(backend.url, "/auth/send-otp", { mobile })
    assertProblem(await guess(backend.url, address), 400, "otp_invalid")
    // One costs three seconds of the fifteen minutes.
    const [row] = await database.query<{ used: number }>(
      "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = $1",
      [`code:from:${address}`]
    )
    assert.isAtMost(row?.used ?? 99, 3)
    // As after some three hundred; a minute more, so that no wait of this test matters.
    await database.query("update throttles set tat = clock_timestamp() + interval '16 minutes' where key = $1", [
      `code:from:${address}`
    ])
    // The one that is one too many is judged; with it the process knows.
    assertProblem(await guess(backend.url, address), 400, "otp_invalid")
    const right = { mobile, otp: body.otp, challengeId: body.challengeId }
    for (const [path, what] of [
      ["/auth/verify-otp", right],
      ["/auth/reset-password", { mobile, otp: "123456", newPassword: "correct horse battery" }]
    ] as const) {
      const refused = await post(backend.url, path, what, address)
      assertProblem(refused, 429, "too_many_attempts")
      assert.isAtMost(Number(refused.headers.get("retry-after")), 64)
    }
    // The code is as good as it was, for another address; another process learns of the limit with its own first wrong guess.
    assert.strictEqual((await post(backend.url, "/auth/verify-otp", right, "203.0.113.41")).status, 200)
    assertProblem(await guess(peer.url, address), 400, "otp_invalid")
    assertProblem(await guess(peer.url, address), 429, "too_many_attempts")
  })

  it("is sixty wrong passwords in a quarter of an hour, and then no right one either", async () => {
    const address = "203.0.113.42"
    const [mobile, password] = [freshMobile(), "correct horse battery"]
    // Adopted, since the same client proves the number.
    await post(backend.url, "/auth/signup", { mobile, password })
    const { body } = await post(backend.url, "/auth/send-otp", { mobile })
    await post(backend.url, "/auth/verify-otp", { mobile, otp: body.otp, challengeId: body.challengeId })
    const logIn = (more = {}) => post(backend.url, "/auth/login", { mobile, password, ...more }, address)
    assert.strictEqual((await logIn()).status, 200)
    const wrong = { mobile: freshMobile() }
    assertProblem(await logIn(wrong), 401, "credentials_invalid")
    await database.query("update throttles set tat = clock_timestamp() + interval '16 minutes' where key = $1", [
      `password:from:${address}`
    ])
    assertProblem(await logIn(wrong), 401, "credentials_invalid")
    assertProblem(await logIn(), 429, "too_many_attempts")
    // Codes are counted apart.
    assertProblem(await guess(backend.url, address), 400, "otp_invalid")
  })

  it("is four passwords at a time, whoever else may be judged meanwhile", async () => {
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
  ] as const)("counts what is wrong at %s", async (path, body, code, kind, step) => {
    const address = `203.0.113.${70 + path.length}`
    assert.strictEqual((await post(backend.url, path, { mobile: freshMobile(), ...body }, address)).body.code, code)
    const [row] = await database.query<{ used: number }>(
      "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = $1",
      [`${kind}:from:${address}`]
    )
    assert.isAtMost(row?.used ?? 99, step)
  })

  it("is nothing less for those who guess right", { timeout: 60_000 }, async () => {
    const address = "203.0.113.50"
    for (const _ of times(20, (n) => n)) {
      const mobile = freshMobile()
      const { body } = await post(backend.url, "/auth/send-otp", { mobile })
      const reply = await post(backend.url, "/auth/verify-otp", { mobile, otp: body.otp, challengeId: body.challengeId }, address)
      assert.strictEqual(reply.status, 200, reply.text)
    }
    assert.lengthOf(await database.query("select 1 from throttles where key like $1", [`%${address}%`]), 0)
  })

  it("is sixty sign-ups an hour", async () => {
    const signUp = (address?: string) => post(backend.url, "/auth/signup", { mobile: freshMobile() }, address)
    const all = await Promise.all(times(70, () => signUp("203.0.113.60")))
    // One more a minute is taken.
    assert.include([60, 61], all.filter(({ status }) => status === 201).length)
    assertProblem(await signUp("203.0.113.60"), 429, "too_many_attempts")
    assert.strictEqual((await signUp("203.0.113.61")).status, 201)
  })

  it("is not counted where addresses tell nobody apart", async () => {
    for (const address of [undefined, "10.1.2.3", "nonsense"])
      assertProblem(await guess(backend.url, address), 400, "otp_invalid")
    assert.lengthOf(await database.query("select 1 from throttles where key ~ '^(code|password):from:(127|10|nonsense|null)'"), 0)
  })
})

describe("all codes together", () => {
  it("are three thousand in ten minutes, whoever asks and for whatever number", async () => {
    const database = await createDatabase()
    const backend = await startBackend({ DATABASE_URL: database.url, ROLE: "api" })
    try {
      const send = () => request(backend.url, "POST", "/auth/send-otp", { body: { mobile: freshMobile() } })
      assert.strictEqual((await send()).status, 200)
      const [row] = await database.query<{ used: number }>(
        "select extract(epoch from tat - clock_timestamp())::float8 as used from throttles where key = 'otp-send:all'"
      )
      assert.isAtMost(row?.used ?? 99, 600 / 3_000)
      // As after three thousand; a minute more, so that no wait of this test matters.
      await database.query("update throttles set tat = clock_timestamp() + interval '11 minutes' where key = 'otp-send:all'")
      for (const refused of await Promise.all(times(50, send))) assertProblem(refused, 429, "otp_send_limited")
      // Who was refused has no cooldown, and may try as soon as there is room.
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
})
