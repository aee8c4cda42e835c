import { createHash } from "node:crypto"

/** A year of HTTPS. Without `includeSubDomains`: the other hosts of the domain are not ours. */
const strictTransport = "max-age=31536000"

/** The CSP of responses that are not HTML: blocks everything. */
export const blockAllPolicy = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** Headers of every response; a page has a CSP of its own. HSTS only when `APP_URL` is HTTPS. */
export const securityHeaders = (appUrl: string): Readonly<Record<string, string>> => ({
  "content-security-policy": blockAllPolicy,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  ...(appUrl.startsWith("https:") ? { "strict-transport-security": strictTransport } : {})
})

/** The hashes of the page's inline scripts, so that an injected script does not run. */
const scriptHashes = (page: string): ReadonlyArray<string> =>
  [...page.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, source = ""]) => `'sha256-${createHash("sha256").update(source).digest("base64")}'`
  )

const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
}

/** What both pages may not do. */
const closed = ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"]

/**
 * Headers of the playground: scripts, styles and requests of this server only, nothing inline, and HTML only from its
 * sanitiser (Trusted Types). Pictures are its icon and those that its scripts have in memory. Where files are in S3
 * (`bucketUrl`), the server sends their requests on to it.
 */
export const playgroundHeaders = (bucketUrl: string | undefined): Readonly<Record<string, string>> => ({
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    ["connect-src 'self'", ...(bucketUrl === undefined ? [] : [new URL(bucketUrl).origin])].join(" "),
    ...closed,
    "require-trusted-types-for 'script'",
    "trusted-types dompurify"
  ].join("; "),
  ...isolation
})

/** Headers of the reference: its CSP allows its own scripts, inline styles and requests to this server only. */
export const pageHeaders = (page: string): Readonly<Record<string, string>> => ({
  "content-security-policy": [
    "default-src 'none'",
    `script-src ${scriptHashes(page).join(" ")}`,
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
    ...closed
  ].join("; "),
  ...isolation
})
