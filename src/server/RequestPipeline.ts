import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Context, Effect, References } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { BadRequest, ExpectationFailed, HeadersTooLarge, NotFound, Unavailable } from "../api/Problems.ts"
import { AppConfig } from "../config/Settings.ts"
import { cameWithPrefix } from "../http/ApiPrefix.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { addressOf } from "../http/Origin.ts"
import { withCheckedBody, hasOneHost, hasTooManyHeaders, isAmbiguousPath } from "../http/RequestGuard.ts"
import { Draining } from "../ops/Draining.ts"
import { identify } from "../ops/RequestIdentity.ts"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import { spanOf } from "../ops/Tracing.ts"
import { Admission } from "./Admission.ts"
import { disconnected, keepUntilWritten } from "./ClientConnection.ts"
import { makeCompression, variesByEncoding } from "./Compression.ts"
import { namedHeaders } from "./Document.ts"
import { withProblems } from "./HandlerProblems.ts"
import { timeoutOf } from "./HandlerTimeout.ts"
import { hasLargeBody, makeLargeBodies } from "./LargeBodies.ts"
import { completeProblem, isProblem } from "./ProblemResponse.ts"
import { toResponse } from "./Problems.ts"
import { requestIdFrom } from "./RequestId.ts"
import { RequestObserver } from "./RequestObserver.ts"
import { makeResponseHeaders } from "./ResponseHeaders.ts"
import { routeOf } from "./Routes.ts"

/** Refuses a malformed request before it is routed. */
const refusalOf = (request: HttpServerRequest.HttpServerRequest) => {
  if (!hasOneHost(request)) return new BadRequest()
  if (hasTooManyHeaders(request)) return new HeadersTooLarge()
  const { expect } = request.headers
  if (expect !== undefined && !/^100-continue$/i.test(expect)) return new ExpectationFailed()
  return isAmbiguousPath(request.url) ? new NotFound() : undefined
}

/**
 * The one global middleware, around every route and around requests without a route: admission, request id, guard, timeout,
 * problems in one shape, and the headers of every response. One instead of several, because the order of several would
 * matter and would not be visible.
 */
export const RequestPipeline = HttpRouter.middleware(
  Effect.gen(function* () {
    const settings = yield* AppConfig
    const { apiPrefix, corsOrigins, trustedProxies } = settings
    const admission = yield* Admission
    const observer = yield* RequestObserver
    const compress = yield* makeCompression
    const largeBodies = makeLargeBodies()
    const headersOf = makeResponseHeaders(settings, yield* Draining)
    // The CORS middleware would send a one-element array to every origin; a function does not.
    const allowedOrigins = corsOrigins.includes("*") ? corsOrigins : (origin: string) => corsOrigins.includes(origin)
    const exposedHeaders = corsOrigins.length === 0 ? [] : namedHeaders()
    const preflight = HttpMiddleware.cors({ allowedOrigins, exposedHeaders, maxAge: 600 })

    return (httpEffect) =>
      Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const requestId = requestIdFrom(request.headers["x-request-id"])
        const incoming = NodeHttpServerRequest.toIncomingMessage(request)
        const route = routeOf(request.method, request.url)
        const client = { address: () => addressKey(addressOf(request, trustedProxies)), disconnected: disconnected(request) }
        const span = spanOf(fiber)
        if (span?._tag === "Span") span.attribute("http.response.header.x-request-id", [requestId])
        identify(incoming, { requestId, traceId: span?.traceId, address: client.address })
        const slot = admission.enter(route.admission, client)
        if (slot === undefined) admission.countRefusal()
        const refusal = slot === undefined ? Unavailable.because("overloaded") : refusalOf(request)
        const isPreflight = request.method === "OPTIONS" && corsOrigins.length > 0
        const exchange = {
          cacheControl: route.cacheControl,
          isMalformed: refusal?.status === 400,
          isPreflight,
          origin: request.headers["origin"],
          prefix: apiPrefix !== undefined && cameWithPrefix(incoming) ? apiPrefix : undefined,
          requestId
        }
        const finish = (made: HttpServerResponse.HttpServerResponse) => {
          const response = isProblem(made) ? completeProblem(made, requestId, request, observer) : made
          const varies = variesByEncoding(route, response)
          const headers = headersOf(response, { ...exchange, varies })
          const finished = HttpServerResponse.setHeaders(response, headers)
          return varies ? compress(request, route, finished) : Effect.succeed(finished)
        }
        const largeFrom = hasLargeBody(route, request) ? (client.address() ?? "") : undefined
        const turn = largeFrom !== undefined && route.awaitsReply ? largeBodies.turnOf(largeFrom) : undefined
        if (request.method !== "GET" && request.method !== "HEAD") withCheckedBody(request, route, turn?.begin)
        const inTurn = largeFrom === undefined ? httpEffect : largeBodies.inTurn(largeFrom, httpEffect)
        const accepted = turn === undefined ? inTurn : Effect.ensuring(httpEffect, turn.end)
        const handled = refusal === undefined ? accepted : toResponse(refusal)
        const timeout = timeoutOf(route, request)
        const responded = withProblems(isPreflight ? preflight(handled) : handled, timeout, route.allow).pipe(
          Effect.flatMap(finish),
          // Added one by one: a merge would copy every service of the process for each request.
          Effect.provideService(CurrentSlot, slot === undefined ? slot : (turn?.slotOf(slot) ?? slot)),
          Effect.provideService(References.CurrentLogAnnotations, { requestId })
        )
        if (slot === undefined) return responded
        return responded.pipe(
          Effect.map((response) => keepUntilWritten(request, slot, response)),
          Effect.onError(() => Effect.sync(slot.release))
        )
      })
  }),
  { global: true }
)
