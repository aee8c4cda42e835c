import { BlockList, isIP } from "node:net"
import { Effect } from "effect"
import { fail, items, optional } from "./Reading.ts"

/** The proxies in front of the server: how many there are, or the addresses that they have. */
export type TrustedProxies = number | BlockList

/**
 * Reads `TRUSTED_PROXIES`: a count of proxies, or addresses and CIDR ranges. Undefined when it is neither. A range of
 * every address is refused: it would trust whatever a client writes.
 */
export const parseProxies = (list: ReadonlyArray<string>): TrustedProxies | undefined => {
  const [first = ""] = list
  if (list.length === 1 && /^[1-9]$/.test(first)) return Number(first)
  const trusted = new BlockList()
  for (const entry of list) {
    // The prefix needs a digit: an empty one would read as 0, so that `10.0.0.0/` would trust every address.
    const [, network = "", prefix] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? []
    const family = isIP(network)
    const bits = prefix === undefined ? (family === 4 ? 32 : 128) : Number(prefix)
    if (family === 0 || bits === 0 || bits > (family === 4 ? 32 : 128)) return undefined
    trusted.addSubnet(network, bits, family === 4 ? "ipv4" : "ipv6")
  }
  return trusted
}

export const trustedProxies = Effect.gen(function* () {
  const proxies = parseProxies(items(yield* optional("TRUSTED_PROXIES")))
  return (
    proxies ?? (yield* fail("TRUSTED_PROXIES", "must be a count of proxies, or a list of addresses and ranges like 10.0.0.0/8"))
  )
})
