import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Context, type Duration, Effect, identity, Predicate } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { AppConfig } from "../config/Settings.ts"
import { Draining } from "../ops/Draining.ts"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import { Admission, type AdmittedSlot } from "./Admission.ts"
import type { Share } from "./ClientShares.ts"
import { makeCompression } from "./Compression.ts"
import { cameWithPrefix } from "./Listener.ts"
import { paced } from "./PacedResponse.ts"
import { namedHeaders } from "./Document.ts"
import { fromCause, platformProblem, toResponse } from "./Problems.ts"
import { BadRequest, ExpectationFailed, HeadersTooLarge, NotFound, Unavailable } from "../api/Problems.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { addressOf } from "../http/Origin.ts"
import { withCheckedBody, hasOneHost, hasTooManyHeaders, isAmbiguousPath } from "../http/RequestGuard.ts"
import { RequestId, requestIdFrom } from "./RequestId.ts"
import { routeOf } from "./Routes.ts"
import { securityHeaders } from "./SecurityHeaders.ts"

/** How long a handler may take; a request that asks to wait gets the longest wait on top. */
const handlerTimeout = "15 seconds"
const waitingTimeout = "48 seconds"

const decoder = new TextDecoder()

/** Adds the request's id to a problem's body, and the headers that its members imply. */
const completeProblem = (response: HttpServerResponse.HttpServerResponse, requestId: string) => {
  if (response.body._tag !== "Uint8Array") return response
  const body: unknown = JSON.parse(decoder.decode(response.body.body))
  if (!Predicate.isObject(body)) return response
  const headers: Record<string, string> = {}
  if (Predicate.hasProperty(body, "retryAfter") && typeof body.retryAfter === "number")
    headers["retry-after"] = String(body.retryAfter)
  if (response.status === 401) headers["www-authenticate"] = `Bearer realm="chat-backend"${tokenError(body)}`
  return HttpServerResponse.jsonUnsafe(
    { ...body, requestId },
    { status: response.status, contentType: "application/problem+json", headers: { ...response.headers, ...headers } }
  )
}

/** RFC 6750: what is wrong with the token that was sent; empty when none was. */
const tokenError = (problem: object): string => {
  if (!Predicate.hasProperty(problem, "code") || !Predicate.hasProperty(problem, "detail")) return ""
  const isInvalid = /^token_|^session_revoked$/.test(String(problem.code))
  return isInvalid ? `, error="invalid_token", error_description="${String(problem.detail)}"` : ""
}

/** Clients may reach us only through `API_PREFIX`, so links carry it. */
const withPrefix = ({ link, location }: Readonly<Record<string, string | undefined>>, prefix: string) => ({
  ...(location?.startsWith("/") === true ? { location: `${prefix}${location}` } : {}),
  ...(link?.startsWith("</") === true ? { link: `<${prefix}${link.slice(1)}` } : {})
})

const isProblem = (response: HttpServerResponse.HttpServerResponse) =>
  response.status >= 400 && response.headers["content-type"]?.startsWith("application/problem+json") === true

const mayWait = (request: HttpServerRequest.HttpServerRequest) =>
  request.headers["prefer"] !== undefined || request.url.includes("wait=")

/** Refuses a malformed request before it is routed. */
const refusalOf = (request: HttpServerRequest.HttpServerRequest) => {
  if (!hasOneHost(request)) return new BadRequest()
  if (hasTooManyHeaders(request)) return new HeadersTooLarge()
  const { expect } = request.headers
  if (expect !== undefined && !/^100-continue$/i.test(expect)) return new ExpectationFailed()
  return isAmbiguousPath(request.url) ? new NotFound() : undefined
}

/** Turns a timeout, a failure and a bare refusal of the platform into problems; an interruption stays one. */
const withProblems = <E, R>(
  handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  timeout: Duration.Input,
  allow: string | undefined
) =>
  handled.pipe(
    Effect.timeoutOrElse({ duration: timeout, orElse: () => toResponse(Unavailable.because("timeout")) }),
    Effect.matchCauseEffect({
      onSuccess: (response) => {
        const problem = response.status >= 400 && !isProblem(response) ? platformProblem(response) : undefined
        return problem === undefined ? Effect.succeed(response) : toResponse(problem)
      },
      onFailure: (cause) => (Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : fromCause(cause, allow))
    })
  )

/** What a response needs to know of its request. */
interface Exchange {
  readonly cacheControl: string | undefined
  readonly isMalformed: boolean
  /** `API_PREFIX`, when the request's path began with it. */
  readonly prefix: string | undefined
  readonly requestId: string
}

/** Completes when the client disconnects. */
const disconnected = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    const done = () => resume(Effect.void)
    if (response.destroyed) return done()
    response.on("close", done)
    return Effect.sync(() => response.off("close", done))
  })

/** Keeps the slot until the response is written, or its client does not read it. */
const keepUntilWritten = (
  request: HttpServerRequest.HttpServerRequest,
  slot: AdmittedSlot,
  response: HttpServerResponse.HttpServerResponse
) => {
  const nodeResponse = NodeHttpServerRequest.toServerResponse(request)
  const { bytes, response: watched } = paced(response, slot.progress)
  if (bytes === undefined || nodeResponse.destroyed) {
    slot.release()
    return watched
  }
  const { socket } = NodeHttpServerRequest.toIncomingMessage(request)
  const end: Share["end"] = (cause) => {
    // The response to an earlier request of the connection is still being written.
    if (cause === "idle" && nodeResponse.socket === null) slot.write(bytes, end)
    else socket.destroy()
  }
  slot.write(bytes, end)
  nodeResponse.once("close", slot.release)
  return watched
}

/**
 * The one global middleware, around every route and around requests without a route: admission, request id, guard, timeout,
 * problems in one shape, and the headers of every response. One instead of several, because the order of several would
 * matter and would not be visible.
 */
export const RequestPipeline = HttpRouter.middleware(
  Effect.gen(function* () {
    const { apiPrefix, appUrl, corsOrigins, trustedProxies } = yield* AppConfig
    const admission = yield* Admission
    const compress = yield* makeCompression
    const secure = securityHeaders(appUrl)
    const draining = yield* Draining
    // The CORS middleware would send a one-element array to every origin; a function does not.
    const allowedOrigins = corsOrigins.includes("*") ? corsOrigins : (origin: string) => corsOrigins.includes(origin)
    const cors =
      corsOrigins.length === 0 ? identity : HttpMiddleware.cors({ allowedOrigins, exposedHeaders: namedHeaders(), maxAge: 600 })

    const finish = (
      response: HttpServerResponse.HttpServerResponse,
      { cacheControl, isMalformed, prefix, requestId }: Exchange
    ) => {
      const headers: Record<string, string> = { ...secure, "x-request-id": requestId }
      if (prefix !== undefined) Object.assign(headers, withPrefix(response.headers, prefix))
      // A page has a CSP of its own.
      if (response.headers["content-security-policy"] !== undefined) delete headers["content-security-policy"]
      if (cacheControl !== undefined) headers["cache-control"] = response.headers["cache-control"] ?? cacheControl
      // A draining process would wait for idle connections; one with a slow body or ambiguous requests cannot be reused.
      if (draining.isDraining() || response.status === 408 || isMalformed) headers["connection"] = "close"
      return HttpServerResponse.setHeaders(isProblem(response) ? completeProblem(response, requestId) : response, headers)
    }

    return (httpEffect) =>
      Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const requestId = requestIdFrom(request.headers["x-request-id"])
        const hadPrefix = apiPrefix !== undefined && cameWithPrefix(NodeHttpServerRequest.toIncomingMessage(request))
        const route = routeOf(request.method, request.url)
        const client = { address: () => addressKey(addressOf(request, trustedProxies)), disconnected: disconnected(request) }
        const slot = admission.enter(route.admission, client)
        if (slot === undefined) admission.countRefusal()
        const refusal = slot === undefined ? Unavailable.because("overloaded") : refusalOf(request)
        const exchange = {
          cacheControl: route.cacheControl,
          isMalformed: refusal?.status === 400,
          prefix: hadPrefix ? apiPrefix : undefined,
          requestId
        }
        const handled = cors(refusal === undefined ? httpEffect : toResponse(refusal))
        const responded = withProblems(handled, mayWait(request) ? waitingTimeout : handlerTimeout, route.allow).pipe(
          Effect.flatMap((response) => compress(request, route, finish(response, exchange))),
          Effect.annotateLogs({ requestId }),
          Effect.provideContext(
            Context.make(HttpServerRequest.HttpServerRequest, withCheckedBody(request)).pipe(
              Context.add(RequestId, requestId),
              Context.add(CurrentSlot, slot)
            )
          )
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
