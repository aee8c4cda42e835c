import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { Cause, Context, Effect, identity } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { AppConfig } from "../config/Settings.ts"
import { Draining } from "../ops/Draining.ts"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import { Admission } from "./Admission.ts"
import { cameWithPrefix } from "./Listener.ts"
import { fromCause, platformProblem, toResponse } from "./Problems.ts"
import { BadRequest, ExpectationFailed, HeadersTooLarge, NotFound, Unavailable } from "../api/Problems.ts"
import { guarded, hasOneHost, hasTooManyHeaders, isOddPath } from "../http/RequestGuard.ts"
import { RequestId, requestIdFrom } from "./RequestId.ts"
import { type Route, routeOf } from "./Routes.ts"
import { securityHeaders } from "./SecurityHeaders.ts"

/** Seconds a handler may take; those that were asked to wait get the time they may wait on top. */
const handlerTimeout = "15 seconds"
const waitingTimeout = "48 seconds"

const exposedHeaders = [
  "cache-status",
  "etag",
  "idempotent-replayed",
  "link",
  "location",
  "ratelimit",
  "ratelimit-policy",
  "retry-after",
  "x-request-id"
]

const decoder = new TextDecoder()

/** Adds to a problem's body the request's id, and to its head what a member of it implies. */
const completeProblem = (response: HttpServerResponse.HttpServerResponse, requestId: string) => {
  if (response.body._tag !== "Uint8Array") return response
  const body = JSON.parse(decoder.decode(response.body.body))
  const headers: Record<string, string> = {}
  if (typeof body.retryAfter === "number") headers["retry-after"] = String(body.retryAfter)
  if (body.status === 401) {
    const isToken = body.code.startsWith("token_") || body.code === "session_revoked"
    const error = !isToken ? "" : `, error="invalid_token", error_description="${body.detail}"`
    headers["www-authenticate"] = `Bearer realm="chat-backend"${error}`
  }
  return HttpServerResponse.jsonUnsafe(
    { ...body, requestId },
    { status: response.status, contentType: "application/problem+json", headers: { ...response.headers, ...headers } }
  )
}

/** Who came by `API_PREFIX` may have no other way: what an answer links to is told with it. */
const withPrefix = ({ link, location }: Readonly<Record<string, string | undefined>>, prefix: string) => ({
  ...(location?.startsWith("/") === true ? { location: `${prefix}${location}` } : {}),
  ...(link?.startsWith("</") === true ? { link: `<${prefix}${link.slice(1)}` } : {})
})

const isProblem = (response: HttpServerResponse.HttpServerResponse) =>
  response.status >= 400 && response.headers["content-type"]?.startsWith("application/problem+json") === true

const mayWait = (request: HttpServerRequest.HttpServerRequest) =>
  request.headers["prefer"] !== undefined || request.url.includes("wait=")

/** What is wrong with a request's head, whatever it is for. */
const faultOf = (request: HttpServerRequest.HttpServerRequest) => {
  if (!hasOneHost(request)) return new BadRequest()
  if (hasTooManyHeaders(request)) return new HeadersTooLarge()
  const { expect } = request.headers
  if (expect !== undefined && !/^100-continue$/i.test(expect)) return new ExpectationFailed()
  return isOddPath(request.url) ? new NotFound() : undefined
}

/** Ends when the client has hung up; until then whoever waits for it waits. */
const goneOf = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const response = NodeHttpServerRequest.toServerResponse(request)
    const tell = () => resume(Effect.void)
    if (response.destroyed) return tell()
    response.on("close", tell)
    return Effect.sync(() => response.off("close", tell))
  })

/**
 * The one global middleware, around routes and what no route answers: the request's place among others, its id, the
 * guard, the time-out, problems in one shape, and the headers every response carries. One and not several, because
 * the order of several would matter and could not be seen.
 */
export const RequestPipeline = HttpRouter.middleware(
  Effect.gen(function* () {
    const { apiPrefix, appUrl, corsOrigins } = yield* AppConfig
    const admission = yield* Admission
    const secure = securityHeaders(appUrl)
    const draining = yield* Draining
    // A list of one would be told to every origin.
    const allowedOrigins = corsOrigins.includes("*") ? corsOrigins : (origin: string) => corsOrigins.includes(origin)
    const cors = corsOrigins.length === 0 ? identity : HttpMiddleware.cors({ allowedOrigins, exposedHeaders, maxAge: 600 })

    const finish = (
      response: HttpServerResponse.HttpServerResponse,
      { cacheControl }: Route,
      prefix: string | undefined,
      requestId: string,
      fault: { readonly status: number } | undefined
    ) => {
      const headers: Record<string, string> = { ...secure, "x-request-id": requestId }
      if (prefix !== undefined) Object.assign(headers, withPrefix(response.headers, prefix))
      // A page says by itself what it may load.
      if (response.headers["content-security-policy"] !== undefined) delete headers["content-security-policy"]
      if (cacheControl !== undefined) headers["cache-control"] = response.headers["cache-control"] ?? cacheControl
      // An open connection would be waited for until its client let it go; one on which a body drips in, or whose
      // requests could mean two things, is of no use to anybody.
      if (draining.isDraining() || response.status === 408 || fault?.status === 400) headers["connection"] = "close"
      return HttpServerResponse.setHeaders(isProblem(response) ? completeProblem(response, requestId) : response, headers)
    }

    return (httpEffect) =>
      Effect.withFiber((fiber) => {
        const request = Context.getUnsafe(fiber.context, HttpServerRequest.HttpServerRequest)
        const requestId = requestIdFrom(request.headers["x-request-id"])
        const cameByPrefix = apiPrefix !== undefined && cameWithPrefix(NodeHttpServerRequest.toIncomingMessage(request))
        const prefix = cameByPrefix ? apiPrefix : undefined
        const route = routeOf(request)
        const slot = admission.enter(route.admission, goneOf(request))
        if (slot === undefined) admission.countRefusal()
        const fault = slot === undefined ? Unavailable.because("overloaded") : faultOf(request)
        const routed = fault === undefined ? httpEffect : toResponse(fault)
        const answered = cors(routed).pipe(
          Effect.timeoutOrElse({
            duration: mayWait(request) ? waitingTimeout : handlerTimeout,
            orElse: () => toResponse(Unavailable.because("timeout"))
          }),
          Effect.matchCauseEffect({
            onSuccess: (response) => {
              const problem = response.status >= 400 && !isProblem(response) ? platformProblem(response) : undefined
              return problem === undefined ? Effect.succeed(response) : toResponse(problem)
            },
            onFailure: (cause) => (Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : fromCause(cause, route.allow))
          }),
          Effect.map((response) => finish(response, route, prefix, requestId, fault)),
          Effect.annotateLogs({ requestId }),
          Effect.provideContext(
            Context.make(HttpServerRequest.HttpServerRequest, guarded(request)).pipe(
              Context.add(RequestId, requestId),
              Context.add(CurrentSlot, slot)
            )
          )
        )
        return slot === undefined ? answered : Effect.ensuring(answered, Effect.sync(slot.release))
      })
  }),
  { global: true }
)
