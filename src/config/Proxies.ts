import { BlockList, isIP } from "node:net"

/** Reads `TRUSTED_PROXIES`: addresses and CIDR ranges. Returns undefined when an entry is neither. */
export const parseProxies = (list: ReadonlyArray<string>): BlockList | undefined => {
  const trusted = new BlockList()
  for (const entry of list) {
    // The prefix needs a digit: an empty one would read as 0, so that `10.0.0.0/` would trust every address.
    const [, network = "", prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? []
    const family = isIP(network)
    const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix)
    if (family === 0 || bits > (family === 4 ? 32 : 128)) return undefined
    trusted.addSubnet(network, bits, family === 4 ? "ipv4" : "ipv6")
  }
  return trusted
}
