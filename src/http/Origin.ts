import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import type { TrustedProxies } from "../config/Proxies.ts"
import { AppConfig } from "../config/Settings.ts"
import { type Origin, clientAddress } from "./ClientAddress.ts"

/** The client's address behind the trusted proxies; null when it cannot be determined. */
export const addressOf = (request: HttpServerRequest.HttpServerRequest, trusted: TrustedProxies): string | null =>
  clientAddress(Option.getOrUndefined(request.remoteAddress), request.headers["x-forwarded-for"], trusted)

/** Where a request came from: the client's address behind the trusted proxies, and its user agent. */
export const originOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Origin, never, AppConfig> =>
  Effect.map(AppConfig, ({ trustedProxies }) => ({
    address: addressOf(request, trustedProxies),
    userAgent: request.headers["user-agent"] ?? null
  }))
