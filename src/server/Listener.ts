import { IncomingMessage, Server, ServerResponse } from "node:http"
import { noStore } from "../api/Annotations.ts"
import type { Settings } from "../config/Settings.ts"
import type { Admission } from "./Admission.ts"
import { refuseUnreadable } from "./ClientErrors.ts"
import { requestIdFrom } from "./RequestId.ts"
import { routeOf } from "./Routes.ts"
import { securityHeaders } from "./SecurityHeaders.ts"
import { AdaptiveLifo } from "./AdaptiveLifo.ts"

/** Connections of one process: its streams and waits, those at work, and as many idle ones. An open file each. */
const maximumConnections = 20_000

/** Time-outs of a server behind a proxy, in milliseconds, and how large a request's head may be. */
const limits = {
  /** Idle connections are kept longer than a proxy keeps them, so that it never writes into one we are closing. */
  keepAliveTimeout: 120_000,
  /** A request that has begun arrives in time, its head and the whole of it. */
  headersTimeout: 15_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16_384,
  // Ours to refuse, with a problem like any other.
  requireHostHeader: false,
  // Nothing here speaks another protocol: an upgrade is not made, as RFC 9110 lets us, and the request is answered.
  shouldUpgradeCallback: () => false
}
/** Neither a byte in nor a byte out for so long: more than any wait, and streams are pinged in between. */
const silence = 60_000
/** The guard refuses far fewer; past this many Node drops the rest without a word. */
const maximumHeaders = 1_000

const unavailable = { type: "urn:problem-type:unavailable", title: "Not available now", status: 503 }
const overloaded = { ...unavailable, detail: "Too busy to take the request", code: "overloaded", retryAfter: 1 }

const prefixed = new WeakSet()
/** Whether the request's path began with `API_PREFIX`, which is cut. */
export const cameWithPrefix = (request: object): boolean => prefixed.has(request)

/**
 * A Node server that lets what would be one too many wait, and refuses it, before anything else looks at it: a refusal
 * must cost a small part of what an answer costs, or a flood of refusals is as bad as one of answers. `API_PREFIX` is
 * cut first, too.
 */
export class Listener extends Server {
  private readonly prefix: string | undefined
  private readonly corsOrigins: ReadonlySet<string>
  private readonly admission: Admission["Service"]
  private readonly waitingRoom = new AdaptiveLifo()
  private readonly headers: Readonly<Record<string, string>>

  constructor(settings: Pick<Settings, "apiPrefix" | "appUrl" | "corsOrigins">, admission: Admission["Service"]) {
    super(limits)
    this.prefix = settings.apiPrefix
    this.corsOrigins = new Set(settings.corsOrigins)
    this.admission = admission
    this.headers = {
      ...securityHeaders(settings.appUrl),
      "content-type": "application/problem+json",
      "cache-control": noStore,
      "retry-after": String(overloaded.retryAfter)
    }
    this.maxHeadersCount = maximumHeaders
    this.timeout = silence
    // Past it a connection is closed as it is opened: there is nobody left who could say why.
    this.maxConnections = maximumConnections
    // Not at once: who leaves a place is in the middle of something.
    admission.onFree(() => queueMicrotask(() => this.waitingRoom.letIn(admission.free())))
    refuseUnreadable(this)
    this.on("checkExpectation", (request, response) => this.emit("request", request, response))
  }

  override emit(event: string | symbol, ...args: ReadonlyArray<unknown>): boolean {
    const [request, response] = args
    const isNew = event === "request" || event === "checkContinue"
    if (isNew && request instanceof IncomingMessage && response instanceof ServerResponse) {
      this.cutPrefix(request)
      if (this.admission.free() <= 0 && routeOf(request).admission === "working") {
        const enter = () => super.emit(event, ...args)
        const leave = this.waitingRoom.add(enter, () => this.refuse(request, response))
        response.once("close", leave)
        return true
      }
    }
    return super.emit(event, ...args)
  }

  private cutPrefix(request: IncomingMessage): void {
    if (this.prefix === undefined || request.url?.startsWith(this.prefix) !== true) return
    const rest = request.url.slice(this.prefix.length)
    if (!/^([/?]|$)/.test(rest)) return
    request.url = rest.startsWith("/") ? rest : `/${rest}`
    prefixed.add(request)
  }

  private refuse(request: IncomingMessage, response: ServerResponse): void {
    // A page of another origin could not read it without the headers that the routes' own middleware adds.
    if (this.corsOrigins.has("*") || this.corsOrigins.has(request.headers.origin ?? ""))
      return void super.emit("request", request, response)
    this.admission.countRefusal()
    const header = request.headers["x-request-id"]
    const requestId = requestIdFrom(typeof header === "string" ? header : undefined)
    const body = JSON.stringify({ ...overloaded, requestId })
    response.writeHead(503, { ...this.headers, "x-request-id": requestId, "content-length": Buffer.byteLength(body) })
    response.end(body)
  }
}
