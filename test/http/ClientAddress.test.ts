import { assert, describe, it } from "vitest"
import { addressKey, clientAddress, networksOf } from "../../src/http/ClientAddress.ts"
import { parseProxies } from "../../src/config/Proxies.ts"

const proxies = (...list: ReadonlyArray<string>) => parseProxies(list) ?? assert.fail(`not proxies: ${list}`)
const ours = proxies("127.0.0.1", "10.0.0.0/8", "2001:db8:ffff::/48")

describe("clientAddress", () => {
  it.each([
    ["no proxy", "8.8.8.8", undefined, "8.8.8.8"],
    ["a header from an untrusted peer", "8.8.8.8", "1.2.3.4", "8.8.8.8"],
    ["one trusted proxy", "10.0.0.1", "8.8.8.8", "8.8.8.8"],
    ["two trusted proxies", "10.0.0.1", "8.8.8.8, 10.9.9.9", "8.8.8.8"],
    ["an invented left part", "10.0.0.1", "1.1.1.1, 2.2.2.2, 8.8.8.8", "8.8.8.8"],
    ["a trusted proxy in the invented part", "10.0.0.1", "1.1.1.1, 10.1.1.1, 8.8.8.8, 10.9.9.9", "8.8.8.8"],
    ["junk in the invented part", "10.0.0.1", "<script>, unknown, 8.8.8.8", "8.8.8.8"],
    ["trusted proxies only: the first of them", "10.0.0.1", "10.2.2.2, 10.3.3.3", "10.2.2.2"],
    ["an IPv4-mapped IPv6 address", "10.0.0.1", "::ffff:8.8.8.8", "8.8.8.8"],
    ["the same in capitals", "10.0.0.1", "::FFFF:8.8.8.8", "8.8.8.8"],
    ["the same in hexadecimal", "10.0.0.1", "::ffff:0808:0808", "8.8.8.8"],
    ["the same in full", "10.0.0.1", "0:0:0:0:0:ffff:8.8.8.8", "8.8.8.8"],
    ["an IPv4-mapped proxy", "::ffff:10.0.0.1", "8.8.8.8", "8.8.8.8"],
    ["a port", "10.0.0.1", "8.8.8.8:51234", "8.8.8.8"],
    ["brackets", "10.0.0.1", "[2001:4860::1]", "2001:4860::1"],
    ["brackets and a port", "10.0.0.1", "[2001:4860::1]:443", "2001:4860::1"],
    ["a proxy with brackets and a port", "[2001:db8:ffff::9]:80", "2001:4860::1", "2001:4860::1"],
    ["blanks", "10.0.0.1", "  8.8.8.8  ,10.9.9.9 ", "8.8.8.8"],
    ["no address in the client's place", "10.0.0.1", "8.8.8.8, unknown", null],
    ["an obfuscated address (RFC 7239)", "10.0.0.1", "_hidden", null],
    ["a number too large", "10.0.0.1", "8.8.8.256", null],
    ["an octal spelling", "10.0.0.1", "010.8.8.8", null],
    ["a host name", "10.0.0.1", "localhost", null],
    ["an empty entry", "10.0.0.1", "8.8.8.8,,", null],
    ["a CIDR range", "10.0.0.1", "8.8.8.0/24", null],
    ["no peer at all", undefined, "8.8.8.8", null],
    ["a peer that is a pipe", "", undefined, null]
  ] as const)("walks the header from the right: %s", (_, peer, header, expected) => {
    assert.strictEqual(clientAddress(peer, header, ours), expected)
  })

  it("returns the peer when no proxy is trusted", () => {
    assert.strictEqual(clientAddress("10.0.0.1", "8.8.8.8", proxies()), "10.0.0.1")
  })

  it("reads a header of the maximum length", () => {
    assert.strictEqual(clientAddress("10.0.0.1", `${"10.1.1.1, ".repeat(1_500)}10.1.1.1`, ours), "10.1.1.1")
    assert.strictEqual(clientAddress("10.0.0.1", ",".repeat(16_000), ours), null)
    assert.strictEqual(clientAddress("10.0.0.1", `[${"[".repeat(16_000)}`, ours), null)
  })
})

describe("clientAddress behind a count of proxies", () => {
  it.each([
    ["one proxy", 1, "10.0.0.1", "8.8.8.8", "8.8.8.8"],
    ["an invented left part", 1, "10.0.0.1", "1.1.1.1, 8.8.8.8", "8.8.8.8"],
    ["two proxies, as on Render", 2, "10.21.157.68", "8.8.8.8, 104.22.17.40", "8.8.8.8"],
    ["a client of the same network as a proxy", 2, "10.21.157.68", "6.6.6.6, 104.28.0.9, 104.22.17.40", "104.28.0.9"],
    ["a request that came past the first proxy", 2, "10.21.157.68", "8.8.8.8", null],
    ["no header", 1, "10.0.0.1", undefined, null],
    ["junk in the client's place", 1, "10.0.0.1", "8.8.8.8, unknown", null]
  ] as const)("takes the address that the outermost proxy saw: %s", (_, count, peer, header, expected) => {
    assert.strictEqual(clientAddress(peer, header, proxies(String(count))), expected)
  })
})

describe("addressKey", () => {
  it("is the same for all clients of unknown address", () => {
    assert.strictEqual(addressKey(null), "unknown")
    for (const text of ["junk", "", "8.8.8.8:80"]) assert.strictEqual(addressKey(text), "unknown")
  })

  it.each([
    ["8.8.8.8", "8.8.8.8"],
    ["2001:4860:1:2:3:4:5:6", "2001:4860:1:2::/64"],
    ["2001:4860:1:2::", "2001:4860:1:2::/64"],
    ["2001:4860:0001:0002:ffff::", "2001:4860:1:2::/64"],
    ["2001:4860::1", "2001:4860:0:0::/64"],
    ["2001:4860:0:0::1", "2001:4860:0:0::/64"],
    ["2001::1:2:3:4:5", "2001:0:0:1::/64"],
    ["2001:DB8:A:B::1", "2001:db8:a:b::/64"]
  ])("maps %s to %s", (address, key) => {
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
    "::ffff:10.0.0.1"
  ])("returns null for %j, because clients behind it would share one allowance", (address) => assert.isNull(addressKey(address)))

  it.each(["172.32.0.1", "100.128.0.1", "169.255.0.1", "11.0.0.1", "192.169.0.1", "fec0::1", "2001:db8::1"])(
    "returns a key for %s, which is next to a private range",
    (address) => {
      assert.isNotNull(addressKey(address))
    }
  )
})

describe("networksOf", () => {
  const keys = (address: string | null) => networksOf(address).map(({ key }) => key)

  it("widens an IPv4 address to its /24 and an IPv6 address to its /56 and /48", () => {
    assert.deepStrictEqual(keys("8.8.4.200"), ["8.8.4.200", "8.8.4.0/24"])
    assert.deepStrictEqual(keys("2001:4860:ab:12ff::1"), [
      "2001:4860:ab:12ff::/64",
      "2001:4860:ab:1200::/56",
      "2001:4860:ab:0::/48"
    ])
    assert.deepStrictEqual(keys("2001::1"), ["2001:0:0:0::/64", "2001:0:0:0::/56", "2001:0:0:0::/48"])
  })

  it("gives wider networks larger allowances", () => {
    assert.deepStrictEqual(
      ["8.8.8.8", "2001:4860::1"].map((address) => networksOf(address).map(({ factor }) => factor)),
      [
        [1, 10],
        [1, 3, 10]
      ]
    )
  })

  it("has one network for unknown addresses, and none for private ones", () => {
    assert.deepStrictEqual(keys(null), ["unknown"])
    assert.deepStrictEqual(keys("10.1.2.3"), [])
  })
})

describe("parseProxies", () => {
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
    "*",
    "0.0.0.0/0",
    "::/0",
    "2"
  ])("refuses the entry %j", (entry) => {
    assert.isUndefined(parseProxies(["127.0.0.1", entry]))
  })

  it("accepts addresses and ranges of both families", () => {
    const list = proxies("192.0.2.1", "198.51.100.0/24", "2001:db8::/32", "::1")
    if (typeof list === "number") return assert.fail("a count")
    for (const address of ["192.0.2.1", "198.51.100.200"]) assert.isTrue(list.check(address, "ipv4"), address)
    for (const address of ["192.0.2.2", "198.51.101.1"]) assert.isFalse(list.check(address, "ipv4"), address)
    for (const address of ["2001:db8:1::1", "::1"]) assert.isTrue(list.check(address, "ipv6"), address)
    assert.isFalse(list.check("2001:db9::1", "ipv6"))
  })
})
