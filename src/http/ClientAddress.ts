import { BlockList, isIP, SocketAddress } from "node:net"
import type { TrustedProxies } from "../config/Proxies.ts"

/** Where a request came from, as far as the server can tell. */
export interface Origin {
  readonly address: string | null
  readonly userAgent: string | null
}

/**
 * The client's address. Forwarded addresses are believed only as far as trusted proxies wrote them: with a count, the
 * one that many places left of the connection's own; with ranges, the first from the right that is not a trusted proxy.
 * Everything left of it can be invented. Null when it cannot be told.
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
 * The key of limits by address: an IPv4 address, or the /64 of an IPv6 address, which is one household. Clients whose
 * address cannot be told share one key. A private address has none: it is a proxy that is not trusted, and everybody
 * behind it would share one allowance.
 */
export const addressKey = (address: string | null): string | null => {
  const family = address === null ? 0 : isIP(address)
  if (address === null || family === 0) return "unknown"
  if (privateRanges.check(address, family === 4 ? "ipv4" : "ipv6")) return null
  return family === 4 ? address : network64(address)
}

const network64 = (address: string): string => {
  const [head = "", tail] = address.split("%")[0]?.split("::") ?? []
  const before = head === "" ? [] : head.split(":")
  const after = tail === undefined || tail === "" ? [] : tail.split(":")
  const zeros = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0")
  const groups = [...before, ...zeros, ...after].slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
  return `${groups.join(":")}::/64`
}
