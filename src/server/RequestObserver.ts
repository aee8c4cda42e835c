import type { IncomingMessage, ServerResponse } from "node:http"
import { Context, Effect, Layer, Schedule } from "effect"
import { AppConfig } from "../config/Settings.ts"
import { counters, type Histogram, histograms, requestSeconds } from "../ops/Metrics.ts"
import { identityOf, type RequestIdentity } from "../ops/RequestIdentity.ts"
import { RefusalCounts } from "./RefusalCounts.ts"
import { requestedWait } from "./RequestedWait.ts"
import { type Route, routeOf } from "./Routes.ts"

/** Methods as labels; a client may make up others. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
const labelOf = (method: string): string => (methods.has(method) ? method : "_OTHER")

/** The status of a request whose client disconnected before its response began, as nginx logs it. */
const clientClosed = 499

/** Routes that supervisors call all the time. */
const isProbe = (template: string): boolean => template === "/healthz" || template === "/readyz" || template === "/metrics"

const wantsWait = ({ headers, url = "" }: IncomingMessage): boolean => {
  const { prefer } = headers
  if (prefer === undefined && !url.includes("wait=")) return false
  return (requestedWait({ url, headers: typeof prefer === "string" ? { prefer } : {} }) ?? 0) > 0
}

/** Refusals of one caller in a minute from which the log names it. */
const floodRefusals = 100

interface Finished {
  readonly identity: RequestIdentity | undefined
  readonly route: Route
  readonly method: string
  readonly status: number
  readonly seconds: number
}

/** Measures every request, and logs it where `REQUEST_LOG` says so. */
export class RequestObserver extends Context.Service<
  RequestObserver,
  {
    /** Is called once for a request, before anything else sees it. */
    readonly watch: (request: IncomingMessage, response: ServerResponse) => void
    /** Whether requests that succeed are logged too. */
    readonly logsAll: boolean
    /** Counts a response that is a problem, and has the log name it for the request. */
    readonly countProblem: (code: string, request?: object) => void
  }
>()("chat-backend/server/RequestObserver") {
  static readonly layer = Layer.effect(
    RequestObserver,
    Effect.gen(function* () {
      const { requestLog } = yield* AppConfig
      const durations = yield* histograms(
        "http_server_request_duration_seconds",
        "Time from a request to the end of its response, by route; `waits` are requests that ask to wait for a reply.",
        ["route", "method", "status", "waits"],
        requestSeconds
      )
      const problems = yield* counters("chat_problems_total", "Responses that are problems, by code.", ["code"])
      // Alerts compare with these from the start.
      for (const code of ["overloaded", "internal", "timeout", "unavailable", "too_many_requests", "quota_exceeded"])
        problems(code)
      const log = Effect.runForkWith(yield* Effect.context<never>())

      const refusals = new RefusalCounts()
      yield* Effect.suspend(() => {
        const most = refusals.take()
        if (most === undefined || most.refusals < floodRefusals) return Effect.void
        return Effect.logWarning(`${most.refusals} requests of ${most.caller} were refused in a minute`)
      }).pipe(Effect.repeat(Schedule.spaced("1 minute")), Effect.forkScoped)

      /** A request finds its series by the route's object and two numbers, without making a string. */
      const known = new Map<Route, Map<number, Map<string, Histogram>>>()
      const seriesOf = (route: Route, method: string, status: number, waits: boolean): Histogram => {
        const ofRoute = known.get(route) ?? new Map<number, Map<string, Histogram>>()
        known.set(route, ofRoute)
        const key = waits ? -status : status
        const ofStatus = ofRoute.get(key) ?? new Map<string, Histogram>()
        ofRoute.set(key, ofStatus)
        const label = labelOf(method)
        const series = ofStatus.get(label) ?? durations(route.template, label, String(status), String(waits))
        ofStatus.set(label, series)
        return series
      }

      const logRequest = ({ identity, method, route, seconds, status }: Finished) => {
        const ms = Math.round(seconds * 10_000) / 10
        const { code, requestId, traceId, userId } = identity ?? {}
        const line = [labelOf(method), route.template, status, ...(code === undefined ? [] : [code]), ms, "ms"].join(" ")
        const level = isProbe(route.template) ? "Debug" : status >= 500 ? "Warn" : "Info"
        log(
          Effect.annotateLogs(Effect.logWithLevel(level)(line), {
            method: labelOf(method),
            route: route.template,
            status,
            ms,
            ...(code === undefined ? {} : { code }),
            ...(userId === undefined ? {} : { userId }),
            ...(requestId === undefined ? {} : { requestId }),
            ...(traceId === undefined ? {} : { trace_id: traceId })
          })
        )
      }

      const finish = (request: IncomingMessage, response: ServerResponse, start: number) => {
        const { method = "", url } = request
        const seconds = (performance.now() - start) / 1_000
        const route = routeOf(method, url)
        const status = response.headersSent ? response.statusCode : clientClosed
        seriesOf(route, method, status, wantsWait(request)).observe(seconds)
        const identity = identityOf(request)
        if (status === 429 || identity?.code === "room_busy") {
          const { address, userId } = identity ?? {}
          refusals.add(userId === undefined ? `the address ${address?.() ?? "unknown"}` : `the user ${userId}`)
        }
        if (requestLog === "off" || (requestLog === "errors" && status < 500)) return
        logRequest({ identity, route, method, status, seconds })
      }

      return RequestObserver.of({
        watch: (request, response) => {
          const start = performance.now()
          response.on("close", () => finish(request, response, start))
        },
        logsAll: requestLog === "all",
        countProblem: (code, request) => {
          problems(code).add(1)
          const identity = request === undefined ? undefined : identityOf(request)
          if (identity !== undefined) identity.code = code
        }
      })
    })
  )
}
