import { BlockList, isIP, SocketAddress } from "node:net"

/** Where a request came from, as far as the server can tell. */
export interface Origin {
  readonly address: string | null
  readonly userAgent: string | null
}

/**
 * Whose address a request came from. Forwarded headers are believed only from trusted proxies, and walked from the
 * right: everything left of the first address that is no proxy of ours may be invented.
 */
export const clientAddress = (peer: string | undefined, forwardedFor: string | undefined, trusted: BlockList): string | null => {
  const isTrusted = (address: string) => isIP(address) > 0 && trusted.check(address, isIP(address) === 4 ? "ipv4" : "ipv6")
  const chain = [...(forwardedFor ?? "").split(",").map((hop) => normalise(hop.trim())), normalise(peer ?? "")]
  for (const hop of chain.toReversed()) {
    if (isIP(hop) === 0) return null
    if (!isTrusted(hop)) return hop
  }
  return chain[0] ?? null
}

/** An IPv4 address in IPv6's clothes is an IPv4 address; brackets and ports are a proxy's ornament. */
const normalise = (address: string): string => {
  const bare = address.replace(/^\[([^\]]+)\](?::\d+)?$/, "$1").replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, "$1")
  // Written in hexadecimal or in full it is the same address.
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
 * What limits by address count by: an IPv4 address, or the /64 of an IPv6 one, which is one household. Nothing for a
 * private address: that is a proxy nobody told us to trust, behind which everybody would share one allowance.
 */
export const addressKey = (address: string | null): string | null => {
  const family = address === null ? 0 : isIP(address)
  if (address === null || family === 0) return null
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
