import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import { AppConfig } from "../config/Settings.ts"
import { type Origin, clientAddress } from "./ClientAddress.ts"

/** Where a request came from: the client's address behind the trusted proxies, and its user agent. */
export const originOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Origin, never, AppConfig> =>
  Effect.map(AppConfig, ({ trustedProxies }) => ({
    address: clientAddress(Option.getOrUndefined(request.remoteAddress), request.headers["x-forwarded-for"], trustedProxies),
    userAgent: request.headers["user-agent"] ?? null
  }))
