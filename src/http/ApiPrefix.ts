import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Effect } from "effect"
import type { HttpServerRequest } from "effect/http"
import { AppConfig } from "../config/Settings.ts"

const prefixed = new WeakSet()

/** Notes that the request's path began with `API_PREFIX` before the listener removed it. */
export const markPrefixed = (request: object): void => void prefixed.add(request)

export const cameWithPrefix = (request: object): boolean => prefixed.has(request)

/** A path as the client of a request reaches it. */
export const pathFor = (request: HttpServerRequest.HttpServerRequest, path: string): Effect.Effect<string, never, AppConfig> =>
  Effect.map(AppConfig, ({ apiPrefix = "" }) =>
    cameWithPrefix(NodeHttpServerRequest.toIncomingMessage(request)) ? `${apiPrefix}${path}` : path
  )
