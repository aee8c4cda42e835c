import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { addressKey, clientAddress, parseProxies } from "../../src/auth/ClientAddress.ts"
import { startBackend } from "../support/Backend.ts"
import { freshMobile, request } from "../support/Client.ts"
import { createDatabase, type TestDatabase } from "../support/Database.ts"
import { assertProblem, times } from "./People.ts"

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
