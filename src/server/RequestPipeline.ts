import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import { ByteSize, Cause, Context, Effect, Exit, Predicate, References } from "effect"
import { HttpMiddleware, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { AppConfig } from "../config/Settings.ts"
import { BulkheadFull, makeBulkhead } from "../ops/Bulkhead.ts"
import { Draining } from "../ops/Draining.ts"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import { spanOf } from "../ops/Tracing.ts"
import { Admission, type AdmittedSlot } from "./Admission.ts"
import { askedWait } from "./AskedWait.ts"
import { makeCompression, variesByEncoding } from "./Compression.ts"
import { cameWithPrefix } from "../http/ApiPrefix.ts"
import { paced } from "./PacedResponse.ts"
import { namedHeaders } from "./Document.ts"
import { fromCause, platformProblem, toResponse } from "./Problems.ts"
import { BadRequest, ExpectationFailed, HeadersTooLarge, NotFound, Unavailable } from "../api/Problems.ts"
import { addressKey } from "../http/ClientAddress.ts"
import { addressOf } from "../http/Origin.ts"
import { errorHeaders, errorOf, isOpenAiPath } from "../openai/ErrorResponse.ts"
import { withCheckedBody, hasOneHost, hasTooManyHeaders, isAmbiguousPath } from "../http/RequestGuard.ts"
import { requestIdFrom } from "./RequestId.ts"
import { RequestObserver } from "./RequestObserver.ts"
import { makeResponseHeaders } from "./ResponseHeaders.ts"
import { defaultBody, type Route, routeOf } from "./Routes.ts"
import { holdUntilWritten } from "./WrittenResponse.ts"

/** How long a handler may take; a request that asks to wait gets its wait, and the time to look again, on top, and an upload its body's time. */
const handlerMillis = 15_000
const lookMillis = 3_000
const uploadingMillis = 600_000
/** A reply ends within ten minutes of its first attempt. */
const replyMillis = 660_000

/**
 * Requests with a body over the usual limit that are answered at once in a process, because each takes some 50 MiB with all
 * that is made of its body; and those of one address, so that it cannot take all places.
 */
const largeBodies = { permits: 4, waiting: 60, maxWait: "10 seconds" } as const
const largeBodiesOfAddress = { permits: 1, waiting: 10, maxWait: "10 seconds" } as const

const mebibyte = ByteSize.mebibytes(1)

const decoder = new TextDecoder()

/** Adds the request's id to a problem's body, and the headers that its members imply; or puts it into the form of OpenAI's API. */
const completeProblem = (
  response: HttpServerResponse.HttpServerResponse,
  requestId: string,
  isOpenAi: boolean,
  observer: Pick<RequestObserver["Service"], "countProblem">
) => {
  if (response.body._tag !== "Uint8Array") return response
  const body: unknown = JSON.parse(decoder.decode(response.body.body))
  if (!Predicate.isObject(body)) return response
  const headers: Record<string, string> = {}
  if (Predicate.hasProperty(body, "code") && typeof body.code === "string") observer.countProblem(body.code)
  if (Predicate.hasProperty(body, "retryAfter") && typeof body.retryAfter === "number")
    headers["retry-after"] = String(body.retryAfter)
  if (response.status === 401) headers["www-authenticate"] = `Bearer realm="chat-backend"${tokenError(body)}`
  const { status } = response
  if (isOpenAi) {
    const problem = { ...body, status }
    const own = { ...response.headers, ...headers, ...errorHeaders(problem) }
    return HttpServerResponse.jsonUnsafe(errorOf(problem), { status, headers: own })
  }
  return HttpServerResponse.jsonUnsafe(
    { ...body, requestId },
    { status, contentType: "application/problem+json", headers: { ...response.headers, ...headers } }
  )
}

/** RFC 6750: what is wrong with the token that was sent; empty when none was. */
const tokenError = (problem: object): string => {
  if (!Predicate.hasProperty(problem, "code") || !Predicate.hasProperty(problem, "detail")) return ""
  const isInvalid = /^token_|^session_revoked$/.test(String(problem.code))
  return isInvalid ? `, error="invalid_token", error_description="${String(problem.detail)}"` : ""
}

const isProblem = (response: HttpServerResponse.HttpServerResponse) =>
  response.status >= 400 && response.headers["content-type"]?.startsWith("application/problem+json") === true

/** Refuses a malformed request before it is routed. */
const refusalOf = (request: HttpServerRequest.HttpServerRequest) => {
  if (!hasOneHost(request)) return new BadRequest()
  if (hasTooManyHeaders(request)) return new HeadersTooLarge()
  const { expect } = request.headers
  if (expect !== undefined && !/^100-continue$/i.test(expect)) return new ExpectationFailed()
  return isAmbiguousPath(request.url) ? new NotFound() : undefined
}

/**
 * Turns a failure, a bare refusal of the platform and a handler that takes too long into problems; an interruption stays
 * one. The handler has a fiber of its own, because a client that disconnects does not interrupt it. A timer is much
 * cheaper than a race with a second fiber.
 */
const withProblems = <E, R>(
  handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>,
  timeoutMillis: number,
  allow: string | undefined
) =>
  Effect.contextWith((context: Context.Context<R>) => {
    const handler = Effect.runForkWith(context)(handled)
    let isLate = false
    const completed = (exit: Exit.Exit<HttpServerResponse.HttpServerResponse, E>) => {
      if (Exit.isSuccess(exit)) {
        const problem = exit.value.status >= 400 && !isProblem(exit.value) ? platformProblem(exit.value) : undefined
        return problem === undefined ? exit : toResponse(problem)
      }
      if (isLate) return toResponse(Unavailable.because("timeout"))
      return Cause.hasInterruptsOnly(exit.cause) ? exit : fromCause(exit.cause, allow)
    }
    const exit = handler.pollUnsafe()
    if (exit !== undefined) return completed(exit)
    return Effect.callback<HttpServerResponse.HttpServerResponse, E>((resume) => {
      const timer = setTimeout(() => {
        isLate = true
        handler.interruptUnsafe()
      }, timeoutMillis)
      handler.addObserver((late) => {
        clearTimeout(timer)
        resume(completed(late))
      })
    })
  })

/** Whether a request may have a body of many megabytes. */
const hasLargeBody = ({ maximumBody }: Route, { headers }: HttpServerRequest.HttpServerRequest): boolean =>
  maximumBody > mebibyte && (headers["content-length"] === undefined || Number(headers["content-length"]) > defaultBody)

/** Has requests with large bodies answered a few at a time. */
const makeInTurns = () => {
  const all = makeBulkhead(largeBodies)
  const ofAddress = makeBulkhead(largeBodiesOfAddress)
  return <E, R>(address: string, handled: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.catchIf(
      ofAddress.run(address, all.run("", handled)),
      (error): error is Extract<E | BulkheadFull, BulkheadFull> => error instanceof BulkheadFull,
      () => toResponse(Unavailable.because("overloaded"))
    )
}

/** How long the handler may take; `wait` is in seconds. */
const timeoutOf = (route: Route, wait: number | undefined): number => {
  if (route.admission === "uploading") return uploadingMillis
  if (route.awaitsReply) return replyMillis
  return wait === undefined ? handlerMillis : handlerMillis + wait * 1_000 + lookMillis
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

/** Keeps the slot until the response is written, and has a large body written piece by piece. */
const keepUntilWritten = (
  request: HttpServerRequest.HttpServerRequest,
  slot: AdmittedSlot,
  response: HttpServerResponse.HttpServerResponse
) => {
  const nodeResponse = NodeHttpServerRequest.toServerResponse(request)
  const { bytes, response: watched } = paced(response, slot.progress)
  const incoming = NodeHttpServerRequest.toIncomingMessage(request)
  if (bytes === undefined) slot.release()
  // By then the platform has written the response.
  else queueMicrotask(() => holdUntilWritten(incoming, nodeResponse, slot, bytes))
  return watched
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
    const inTurns = makeInTurns()
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
        observer.identify(incoming, { requestId, traceId: spanOf(fiber)?.traceId })
        const route = routeOf(request.method, request.url)
        const client = { address: () => addressKey(addressOf(request, trustedProxies)), disconnected: disconnected(request) }
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
          const response = isProblem(made) ? completeProblem(made, requestId, isOpenAiPath(request.url), observer) : made
          const varies = variesByEncoding(route, response)
          const headers = headersOf(response, { ...exchange, varies })
          const finished = HttpServerResponse.setHeaders(response, headers)
          return varies ? compress(request, route, finished) : Effect.succeed(finished)
        }
        if (request.method !== "GET" && request.method !== "HEAD") withCheckedBody(request, route.maximumBody)
        const accepted = hasLargeBody(route, request) ? inTurns(client.address() ?? "", httpEffect) : httpEffect
        const handled = refusal === undefined ? accepted : toResponse(refusal)
        const wait = askedWait(request)
        const timeout = timeoutOf(route, wait)
        const responded = withProblems(isPreflight ? preflight(handled) : handled, timeout, route.allow).pipe(
          Effect.flatMap(finish),
          // Added one by one: a merge would copy every service of the process for each request.
          Effect.provideService(CurrentSlot, slot),
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
