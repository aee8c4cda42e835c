import { createHash } from "node:crypto"
import { BlockList, isIP, SocketAddress } from "node:net"
import type { TrustedProxies } from "../config/Proxies.ts"

/** Where a request came from, as far as the server can determine. */
export interface Origin {
  readonly address: string | null
  readonly userAgent: string | null
}

/**
 * The client's address. Forwarded addresses are used only as far as trusted proxies wrote them: with a count, the one that
 * many places left of the connection's own; with ranges, the first from the right that is not a trusted proxy. A client
 * can invent everything left of it. Null when the address cannot be determined.
 */
export const clientAddress = (
  peer: string | undefined,
  forwardedFor: string | undefined,
  trusted: TrustedProxies
): string | null => {
  const chain = [...(forwardedFor ?? "").split(",").map((hop) => normalise(hop.trim())), normalise(peer ?? "")]
  if (typeof trusted === "number") {
    const client = chain.at(-1 - trusted) ?? ""
    return isIP(client) === 0 ? null : client
  }
  const isTrusted = (address: string) => trusted.check(address, isIP(address) === 4 ? "ipv4" : "ipv6")
  for (const hop of chain.toReversed()) {
    if (isIP(hop) === 0) return null
    if (!isTrusted(hop)) return hop
  }
  return chain[0] ?? null
}

/** Unwraps IPv4-mapped IPv6; strips the brackets and ports some proxies add. */
const normalise = (address: string): string => {
  const bare = address.replace(/^\[([^\]]+)\](?::\d+)?$/, "$1").replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, "$1")
  // One address has many spellings in IPv6.
  const canonical = isIP(bare) === 6 ? new SocketAddress({ address: bare, family: "ipv6" }).address : bare
  return canonical.replace(/^::ffff:(\d+\.\d+\.\d+\.\d+)$/i, "$1")
}

const privateRanges = new BlockList()
for (const [network, prefix] of [
  ["10.0.0.0", 8],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["100.64.0.0", 10]
] as const) {
  privateRanges.addSubnet(network, prefix, "ipv4")
}
for (const [network, prefix] of [
  ["::1", 128],
  ["fc00::", 7],
  ["fe80::", 10]
] as const)
  privateRanges.addSubnet(network, prefix, "ipv6")

/**
 * The key of one client's address: an IPv4 address, or the /64 of an IPv6 address, which is one household. Clients whose
 * address cannot be determined share one key. A private address has none: it belongs to an untrusted proxy, and all
 * clients behind that would share one allowance.
 */
export const addressKey = (address: string | null): string | null => networksOf(address)[0]?.key ?? null

/** A network that limits by address count, and how many times the allowance of one client it has. */
export interface Network {
  readonly key: string
  readonly factor: number
}

/** Factors of the networks around a client. An IPv6 customer often has a /56, and can get a /48 for nothing. */
const widerThanClient = {
  ipv4: [[24, 10]],
  ipv6: [
    [56, 3],
    [48, 10]
  ]
} as const

/** The client's own network first, then wider ones; none for a private address (`addressKey`). */
export const networksOf = (address: string | null): ReadonlyArray<Network> => {
  const family = address === null ? 0 : isIP(address)
  if (address === null || family === 0) return [{ key: "unknown", factor: 1 }]
  if (privateRanges.check(address, family === 4 ? "ipv4" : "ipv6")) return []
  if (family === 4) {
    const wider = widerThanClient.ipv4.map(([prefix, factor]) => ({ key: `${address.replace(/\d+$/, "0")}/${prefix}`, factor }))
    return [{ key: address, factor: 1 }, ...wider]
  }
  const groups = groupsOf(address)
  const wider = widerThanClient.ipv6.map(([prefix, factor]) => ({ key: network6(groups, prefix), factor }))
  return [{ key: network6(groups, 64), factor: 1 }, ...wider]
}

/** The first four groups of an IPv6 address. */
const groupsOf = (address: string): ReadonlyArray<number> => {
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? []
  const before = head === "" ? [] : head.split(":")
  const after = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0")
  return [...before, ...zeros, ...after].slice(0, 4).map((group) => Number.parseInt(group, 16))
}

/** The network of this prefix, 48 to 64 bits: the fourth group without its last bits. */
const network6 = (groups: ReadonlyArray<number>, prefix: number): string => {
  const [a = 0, b = 0, c = 0, d = 0] = groups
  const kept = (d >> (64 - prefix)) << (64 - prefix)
  return `${[a, b, c, kept].map((group) => group.toString(16)).join(":")}::/${prefix}`
}

/** A hash that differs between clients with another address or user agent. */
export const clientFingerprint = ({ address, userAgent }: Origin): string =>
  createHash("sha256")
    .update(`${address ?? ""}\n${userAgent ?? ""}`)
    .digest("base64url")

/** The user agent as it is stored: at most 300 characters. */
export const storedUserAgent = ({ userAgent }: Origin): string | null => userAgent?.slice(0, 300) ?? null
