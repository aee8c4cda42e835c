import { refreshTokenHeader } from "../api/auth/AuthBodies.ts"
import type { Settings } from "../config/Settings.ts"
import type { Draining } from "../ops/Draining.ts"
import { namedHeaders } from "./Document.ts"
import { securityHeaders } from "./SecurityHeaders.ts"

type Headers = Readonly<Record<string, string | undefined>>

/** What the headers of a response depend on besides the response itself. */
export interface Exchange {
  /** The `Cache-Control` of a response that sets none. */
  readonly cacheControl: string | undefined
  readonly isMalformed: boolean
  readonly isPreflight: boolean
  /** The request's `Origin`. */
  readonly origin: string | undefined
  /** `API_PREFIX`, when the request's path began with it. */
  readonly prefix: string | undefined
  readonly requestId: string
  /** Whether the body depends on `Accept-Encoding`. */
  readonly varies: boolean
}

/** Clients may reach us only through `API_PREFIX`, so links carry it. */
const withPrefix = ({ link, location }: Headers, prefix: string) => ({
  ...(location?.startsWith("/") === true ? { location: `${prefix}${location}` } : {}),
  ...(link?.startsWith("</") === true ? { link: `<${prefix}${link.slice(1)}` } : {})
})

/** The headers by which a browser lets a page of another origin read a response (Fetch standard, CORS protocol). */
const makeCors = (origins: ReadonlyArray<string>) => {
  const exposed = namedHeaders().join(",")
  const isPublic = origins.length === 1 && origins[0] === "*"
  return (headers: Record<string, string>, ownVary: string | undefined, origin: string | undefined): void => {
    if (isPublic) headers["access-control-allow-origin"] = "*"
    else {
      if (origin !== undefined && origins.includes(origin)) headers["access-control-allow-origin"] = origin
      const vary = headers["vary"] ?? ownVary
      headers["vary"] = vary === undefined ? "Origin" : `${vary}, Origin`
    }
    headers["access-control-expose-headers"] = exposed
  }
}

/** What a preflight allows: any header that the page asks for, except the one that asks for the refresh cookie. */
const allowedHeaders = (asked: string) =>
  asked
    .split(",")
    .filter((name) => name.trim().toLowerCase() !== refreshTokenHeader)
    .join(",")

/** Makes the headers that every response gets; one that the response has already is replaced. */
export const makeResponseHeaders = (
  { appUrl, corsOrigins }: Pick<Settings, "appUrl" | "corsOrigins">,
  draining: Draining["Service"]
) => {
  const secure = securityHeaders(appUrl)
  const addCors = corsOrigins.length === 0 ? undefined : makeCors(corsOrigins)

  return (response: { readonly headers: Headers; readonly status: number }, exchange: Exchange): Record<string, string> => {
    const { headers: own, status } = response
    const headers: Record<string, string> = { ...secure, "x-request-id": exchange.requestId }
    if (exchange.prefix !== undefined) Object.assign(headers, withPrefix(own, exchange.prefix))
    // A page has a CSP of its own.
    if (own["content-security-policy"] !== undefined) delete headers["content-security-policy"]
    if (exchange.cacheControl !== undefined) headers["cache-control"] = own["cache-control"] ?? exchange.cacheControl
    // A draining process would wait for idle connections; one with a slow body or ambiguous requests cannot be reused.
    if (draining.isDraining() || status === 408 || exchange.isMalformed) headers["connection"] = "close"
    const { vary } = own
    if (exchange.varies) headers["vary"] = vary === undefined ? "Accept-Encoding" : `${vary}, Accept-Encoding`
    const allowed = own["access-control-allow-headers"]
    if (exchange.isPreflight && allowed !== undefined) headers["access-control-allow-headers"] = allowedHeaders(allowed)
    if (!exchange.isPreflight) addCors?.(headers, vary, exchange.origin)
    return headers
  }
}
