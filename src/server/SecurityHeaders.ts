import { createHash } from "node:crypto"

/** A year: how long browsers keep to HTTPS once they have seen it. Not for other hosts of the domain, which are not ours. */
const strictTransport = "max-age=31536000"

/** What an answer that is no page tells a browser that shows it all the same: run nothing, load nothing, frame it nowhere. */
export const nothingPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** The headers every response carries; a page replaces the policy with its own. HSTS only where the product is reached by HTTPS. */
export const securityHeaders = (appUrl: string): Readonly<Record<string, string>> => ({
  "content-security-policy": nothingPolicy,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  ...(appUrl.startsWith("https:") ? { "strict-transport-security": strictTransport } : {})
})

/** Scripts that stand in the page, by their hashes: whatever else gets into it does not run. */
const scriptHashes = (page: string): ReadonlyArray<string> =>
  [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, source = ""]) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`
  )

/** For a page: its own scripts, styles it makes as it goes, requests to this server, and nothing from elsewhere. */
export const pageHeaders = (page: string): Readonly<Record<string, string>> => ({
  "content-security-policy": [
    "default-src 'none'",
    `script-src ${scriptHashes(page).join(" ")}`,
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
})
