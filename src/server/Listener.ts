import { IncomingMessage, Server, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { noStore } from "../api/Annotations.ts"
import { cameWithPrefix, markPrefixed } from "../http/ApiPrefix.ts"
import type { Settings } from "../config/Settings.ts"
import type { Draining } from "../ops/Draining.ts"
import { identify } from "../ops/RequestIdentity.ts"
import { errorHeaders, errorOf, isOpenAiPath } from "../openai/ErrorResponse.ts"
import type { Admission } from "./Admission.ts"
import type { ImmediateResponder } from "./ImmediateResponder.ts"
import { refuseUnreadable } from "./ClientErrors.ts"
import { requestIdFrom } from "./RequestId.ts"
import type { RequestObserver } from "./RequestObserver.ts"
import { routeOf } from "./Routes.ts"
import { securityHeaders } from "./SecurityHeaders.ts"

/** Connections of one process: streams, waits, working requests, and as many idle ones. Each is an open file. */
const maximumConnections = 20_000

/** Timeouts are in milliseconds. */
const serverOptions = {
  // Longer than proxies keep idle connections, so that a proxy never writes into one that is being closed.
  keepAliveTimeout: 120_000,
  headersTimeout: 15_000,
  // The longest upload. Other bodies have ten seconds to arrive (`RequestGuard`).
  requestTimeout: 600_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16_384,
  // The pipeline refuses a missing Host with a problem.
  requireHostHeader: false,
  // No other protocol is supported: RFC 9110 allows to ignore `Upgrade` and answer the request.
  shouldUpgradeCallback: () => false
}
/** Milliseconds without a byte in either direction: more than any wait, and streams send comments more often. */
const idleTimeout = 60_000
/** Milliseconds between two looks for unused connections in a process that drains. */
const drainingInterval = 500
/** Milliseconds that the rest of a body has to come after its response, until the connection is closed. */
const restMillis = 10_000
/** Above this Node drops headers silently; the request guard refuses far fewer. */
const maximumHeaders = 1_000

const unavailable = { type: "urn:problem-type:unavailable", title: "Not available now", status: 503 }
const overloaded = { ...unavailable, detail: "Too busy to take the request", code: "overloaded", retryAfter: 1 }

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0"

/** Closes the connection of a client that goes on sending a body slowly whose response it has. */
const boundRest = (request: IncomingMessage): void => {
  if (request.complete) return
  setTimeout(() => {
    if (!request.complete) request.socket.destroy()
  }, restMillis).unref()
}

/**
 * A Node server that removes `API_PREFIX`, and that makes requests above the limit wait, or refuses them, before any other
 * code sees them: a refusal must cost far less than a response, or a flood of refusals is as expensive as a flood of work.
 */
export class Listener extends Server {
  private readonly prefix: string | undefined
  private readonly corsOrigins: ReadonlySet<string>
  private readonly admission: Admission["Service"]
  private readonly headers: Readonly<Record<string, string>>
  private readonly responder: ImmediateResponder
  private readonly observer: RequestObserver["Service"]

  constructor(
    settings: Pick<Settings, "apiPrefix" | "appUrl" | "corsOrigins">,
    admission: Admission["Service"],
    draining: Draining["Service"],
    responder: ImmediateResponder,
    observer: RequestObserver["Service"]
  ) {
    super(serverOptions)
    this.prefix = settings.apiPrefix
    this.corsOrigins = new Set(settings.corsOrigins)
    this.admission = admission
    this.responder = responder
    this.observer = observer
    this.headers = {
      ...securityHeaders(settings.appUrl),
      "content-type": "application/problem+json",
      "cache-control": noStore,
      "retry-after": String(overloaded.retryAfter)
    }
    this.maxHeadersCount = maximumHeaders
    this.timeout = idleTimeout
    // Above this, connections are closed without a response.
    this.maxConnections = maximumConnections
    refuseUnreadable(this, observer)
    this.closeUnusedWhile(draining)
    this.on("checkExpectation", (request, response) => this.emit("request", request, response))
  }

  override emit(event: string | symbol, ...args: ReadonlyArray<unknown>): boolean {
    const [request, response] = args
    const isNew = event === "request" || event === "checkContinue"
    if (isNew && request instanceof IncomingMessage && response instanceof ServerResponse) {
      this.removePrefix(request)
      this.observer.watch(request, response)
      if (hasBody(request)) response.once("finish", () => boundRest(request))
      const route = () => void super.emit(event, request, response)
      const usual = () => this.whenFree(request, response, route)
      this.whenFree(request, response, () => {
        const isAnswered = event === "request" && this.responder.respond(request, response, cameWithPrefix(request), usual)
        if (!isAnswered) route()
      })
      return true
    }
    return super.emit(event, ...args)
  }

  /** Has a request wait, or refuses it, while all working slots are taken. */
  private whenFree(request: IncomingMessage, response: ServerResponse, enter: () => void): void {
    if (!this.admission.isFull() || routeOf(request.method, request.url).admission !== "working") return enter()
    const leave = this.admission.wait(enter, () => this.refuse(request, response))
    response.once("close", leave)
  }

  /** Proxies keep connections open that they do not use, some without ever having sent a request: a drain would wait for them. */
  private closeUnusedWhile(draining: Draining["Service"]): void {
    const sockets = new Set<Socket>()
    this.on("connection", (socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    const timer = setInterval(() => {
      if (!draining.isDraining()) return
      for (const socket of sockets) if (socket.bytesRead === 0) socket.destroy()
      this.closeIdleConnections()
    }, drainingInterval).unref()
    this.once("close", () => clearInterval(timer))
  }

  private removePrefix(request: IncomingMessage): void {
    if (this.prefix === undefined || request.url?.startsWith(this.prefix) !== true) return
    const rest = request.url.slice(this.prefix.length)
    if (!/^([/?]|$)/.test(rest)) return
    request.url = rest.startsWith("/") ? rest : `/${rest}`
    markPrefixed(request)
  }

  private refuse(request: IncomingMessage, response: ServerResponse): void {
    // The pipeline refuses it instead: it adds the CORS headers without which a page could not read the refusal.
    if (this.corsOrigins.has("*") || this.corsOrigins.has(request.headers.origin ?? ""))
      return void super.emit("request", request, response)
    this.admission.countRefusal()
    this.observer.countProblem(overloaded.code)
    const header = request.headers["x-request-id"]
    const requestId = requestIdFrom(typeof header === "string" ? header : undefined)
    identify(request, { requestId, code: overloaded.code })
    const isOpenAi = isOpenAiPath(request.url)
    const body = JSON.stringify(isOpenAi ? errorOf(overloaded) : { ...overloaded, requestId })
    const own = { ...this.headers, "x-request-id": requestId, "content-length": Buffer.byteLength(body) }
    response.writeHead(503, isOpenAi ? { ...own, ...errorHeaders(overloaded) } : own)
    response.end(body)
  }
}
