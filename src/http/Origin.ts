import { createHash } from "node:crypto"
import { Effect, Option } from "effect"
import type { HttpServerRequest } from "effect/http"
import { AppConfig } from "../config/Settings.ts"
import { type Origin, clientAddress } from "./ClientAddress.ts"

/** Where a request came from: the address behind our own proxies, and what the client calls itself. */
export const originOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<Origin, never, AppConfig> =>
  Effect.map(AppConfig, ({ trustedProxies }) => ({
    address: clientAddress(Option.getOrUndefined(request.remoteAddress), request.headers["x-forwarded-for"], trustedProxies),
    userAgent: request.headers["user-agent"] ?? null
  }))

/** Tells one client from another, as far as a request shows. */
export const clientOf = ({ address, userAgent }: Origin): string =>
  createHash("sha256")
    .update(`${address ?? ""}\n${userAgent ?? ""}`)
    .digest("base64url")
