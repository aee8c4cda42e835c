import type { IncomingMessage, ServerResponse } from "node:http"
import { pipeline } from "node:stream"
import { Context, Effect } from "effect"
import type { Settings } from "../config/Settings.ts"
import { addressKey, clientAddress } from "../http/ClientAddress.ts"
import type { ImmediateAnswer, ImmediateAnswers } from "../http/ImmediateAnswers.ts"
import { gzipTag } from "../http/Precompressed.ts"
import { hasOneHost, hasTooManyHeaders } from "../http/RequestGuard.ts"
import type { Draining } from "../ops/Draining.ts"
import { identify } from "../ops/RequestIdentity.ts"
import { CurrentSlot } from "../ops/RequestSlot.ts"
import type { Admission, AdmittedSlot } from "./Admission.ts"
import { isCompressedFor, variesByEncoding } from "./Compression.ts"
import { inPieces, overheadBytes, pieceBytes } from "./PacedResponse.ts"
import { requestIdFrom } from "./RequestId.ts"
import type { RequestObserver } from "./RequestObserver.ts"
import { makeResponseHeaders } from "./ResponseHeaders.ts"
import { type Route, routeOf } from "./Routes.ts"
import { holdUntilWritten } from "./WrittenResponse.ts"

/** Requests that the pipeline treats in another way than a plain GET or HEAD. */
const isUnusual = (request: IncomingMessage): boolean => {
  const { headers } = request
  return (
    request.httpVersion !== "1.1" ||
    hasTooManyHeaders({ source: request }) ||
    !hasOneHost({ source: request }) ||
    headers.expect !== undefined ||
    headers["content-length"] !== undefined ||
    headers["transfer-encoding"] !== undefined
  )
}

/** Milliseconds after which a request whose answer needs a read takes the usual way, which has the time-outs and problems. */
const patience = 1_000

/** A request that has an answer. */
interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly path: string
  readonly hadPrefix: boolean
  /** Has the request routed. */
  readonly usual: () => void
}

/** Sends what features answer immediately (`ImmediateAnswers`), byte for byte as the pipeline would. */
export class ImmediateResponder {
  private readonly settings: Settings
  private readonly answers: ImmediateAnswers["Service"]
  private readonly admission: Admission["Service"]
  private readonly headersOf: ReturnType<typeof makeResponseHeaders>
  private readonly observer: RequestObserver["Service"]
  /** Of the process, for the reads. */
  private readonly services: Context.Context<never>
  /** The routes of paths that have answers. */
  private readonly routes = new Map<string, Route>()

  constructor(
    settings: Settings,
    answers: ImmediateAnswers["Service"],
    admission: Admission["Service"],
    draining: Draining["Service"],
    observer: RequestObserver["Service"],
    services: Context.Context<never>
  ) {
    this.settings = settings
    this.answers = answers
    this.admission = admission
    this.headersOf = makeResponseHeaders(settings, draining)
    this.observer = observer
    this.services = services
  }

  /**
   * Returns false when the request has to take the usual way. The caller has seen that a working slot is free; `usual` is
   * called when a request turns out later to need the usual way.
   */
  respond(request: IncomingMessage, response: ServerResponse, hadPrefix: boolean, usual: () => void): boolean {
    const { headers, method, url = "" } = request
    if (method !== "GET" && method !== "HEAD") return false
    const start = url.indexOf("?")
    const path = start === -1 ? url : url.slice(0, start)
    const find = this.answers.find(path)
    // Without a socket, the response to an earlier request of the connection is still being written.
    if (find === undefined || response.socket === null || response.destroyed || isUnusual(request)) return false
    const answer = find({ url, query: start === -1 ? "" : url.slice(start + 1), headers })
    if (answer === undefined) return false
    const exchange = { request, response, path, hadPrefix, usual }
    return Effect.isEffect(answer) ? this.read(exchange, answer) : this.send(exchange, answer)
  }

  /** Holds a slot for the time of the read. */
  private read(exchange: Exchange, reading: Effect.Effect<ImmediateAnswer>): boolean {
    const { response, usual } = exchange
    const slot = this.enter(exchange)
    if (slot === undefined) return false
    let isSettled = false
    const timer = setTimeout(() => giveUp(), patience)
    const giveUp = () => {
      isSettled = true
      slot.release()
      if (!response.destroyed) usual()
    }
    const context = Context.add(this.services, CurrentSlot, slot)
    Effect.runForkWith(context)(reading).addObserver((exit) => {
      if (isSettled) return
      clearTimeout(timer)
      if (response.destroyed) return slot.release()
      if (exit._tag === "Failure" || !this.send(exchange, exit.value, slot)) giveUp()
    })
    return true
  }

  /** Returns false when the body is yet to be compressed, or no slot is free for one that takes long to write. */
  private send(exchange: Exchange, { body, headers, status }: ImmediateAnswer, ownSlot?: AdmittedSlot): boolean {
    const { request, response } = exchange
    const isCompressed = body !== undefined && isCompressedFor(request, body.bytes.length, body.gzipped !== undefined)
    const sent = isCompressed ? body.gzipped : body?.bytes
    if (body !== undefined && sent === undefined) return false
    const isPaced = sent !== undefined && sent.length > pieceBytes
    let slot = ownSlot ?? (isPaced ? this.enter(exchange) : undefined)
    if (isPaced && slot === undefined) return false

    const own: Record<string, string> = { ...headers }
    if (body !== undefined) {
      own["content-type"] = body.contentType
      own["content-length"] = String(body.bytes.length)
    }
    Object.assign(own, this.commonHeaders(exchange, { headers: own, status }))
    if (isCompressed && sent !== undefined) {
      own["content-encoding"] = "gzip"
      own["content-length"] = String(sent.length)
      if (own["etag"] !== undefined) own["etag"] = gzipTag(own["etag"])
    }
    response.writeHead(status, own)
    if (request.method === "HEAD" || sent === undefined) response.end()
    else if (isPaced)
      pipeline(
        inPieces(sent, () => slot?.progress()),
        response,
        () => {}
      )
    else response.end(sent)
    // What the kernel did not take counts against the budget of responses that are being written.
    if (request.socket.writableLength > 0) slot ??= this.enter(exchange)
    if (slot !== undefined) holdUntilWritten(request, response, slot, overheadBytes + (sent?.length ?? 0))
    return true
  }

  private commonHeaders({ hadPrefix, path, request }: Exchange, response: Parameters<typeof this.headersOf>[0]) {
    const route = this.routeOf(path)
    const { origin, "x-request-id": given } = request.headers
    const requestId = requestIdFrom(typeof given === "string" ? given : undefined)
    if (this.observer.logsAll) identify(request, { requestId })
    return this.headersOf(response, {
      cacheControl: route.cacheControl,
      isMalformed: false,
      isPreflight: false,
      origin,
      prefix: hadPrefix ? this.settings.apiPrefix : undefined,
      requestId,
      varies: variesByEncoding(route, response)
    })
  }

  private enter({ path, request }: Exchange): AdmittedSlot | undefined {
    const { headers, socket } = request
    const forwarded = headers["x-forwarded-for"]
    const peer = socket.remoteAddress
    const address = () =>
      addressKey(clientAddress(peer, typeof forwarded === "string" ? forwarded : undefined, this.settings.trustedProxies))
    // The reads are short, and do not wait for the client.
    return this.admission.enter(this.routeOf(path).admission, { address, disconnected: Effect.never })
  }

  private routeOf(path: string): Route {
    const route = this.routes.get(path) ?? routeOf("GET", path)
    this.routes.set(path, route)
    return route
  }
}
