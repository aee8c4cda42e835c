import type { IncomingMessage, ServerResponse } from "node:http"
import { Effect } from "effect"
import type { Settings } from "../config/Settings.ts"
import { addressKey, clientAddress } from "../http/ClientAddress.ts"
import type { ImmediateAnswers } from "../http/ImmediateAnswers.ts"
import { gzipTag } from "../http/Precompressed.ts"
import { hasOneHost, hasTooManyHeaders } from "../http/RequestGuard.ts"
import type { Draining } from "../ops/Draining.ts"
import type { Admission } from "./Admission.ts"
import { isCompressedFor, variesByEncoding } from "./Compression.ts"
import { overheadBytes, pieceBytes } from "./PacedResponse.ts"
import { requestIdFrom } from "./RequestId.ts"
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

/**
 * Sends what features answer immediately (`ImmediateAnswers`), byte for byte as the pipeline would. Returns false when the
 * request has to take the usual way. The caller has seen that a working slot is free.
 */
export const makeImmediateResponder = (
  settings: Settings,
  answers: ImmediateAnswers["Service"],
  admission: Admission["Service"],
  draining: Draining["Service"]
) => {
  const { apiPrefix, trustedProxies } = settings
  const headersOf = makeResponseHeaders(settings, draining)
  const routes = new Map<string, Route>()
  /** Only of paths that have immediate answers. */
  const knownRoute = (path: string): Route => {
    const route = routes.get(path) ?? routeOf("GET", path)
    routes.set(path, route)
    return route
  }

  /** What the kernel did not take counts against the budget of responses that are being written. */
  const holdRest = (request: IncomingMessage, response: ServerResponse, route: Route, bytes: number) => {
    const forwarded = request.headers["x-forwarded-for"]
    const peer = request.socket.remoteAddress
    const address = () => addressKey(clientAddress(peer, typeof forwarded === "string" ? forwarded : undefined, trustedProxies))
    const slot = admission.enter(route.admission, { address, disconnected: Effect.never })
    if (slot !== undefined) holdUntilWritten(request, response, slot, bytes)
  }

  return (request: IncomingMessage, response: ServerResponse, hadPrefix: boolean): boolean => {
    const { headers, method, url = "" } = request
    if (method !== "GET" && method !== "HEAD") return false
    const start = url.indexOf("?")
    const path = start === -1 ? url : url.slice(0, start)
    const find = answers.find(path)
    // Without a socket, the response to an earlier request of the connection is still being written.
    if (find === undefined || response.socket === null || response.destroyed || isUnusual(request)) return false
    const answer = find({ url, query: start === -1 ? "" : url.slice(start + 1), headers })
    if (answer === undefined) return false

    const { body, status } = answer
    const isCompressed = body !== undefined && isCompressedFor(request, body.bytes.length, body.gzipped !== undefined)
    const sent = isCompressed ? body.gzipped : body?.bytes
    // A body that is yet to be compressed, or that is sent in pieces.
    if (body !== undefined && (sent === undefined || sent.length > pieceBytes)) return false

    const own: Record<string, string> = { ...answer.headers }
    if (body !== undefined) {
      own["content-type"] = body.contentType
      own["content-length"] = String(body.bytes.length)
    }
    const route = knownRoute(path)
    const varies = variesByEncoding(route, { headers: own, status })
    const header = headers["x-request-id"]
    Object.assign(
      own,
      headersOf(
        { headers: own, status },
        {
          cacheControl: route.cacheControl,
          isMalformed: false,
          isPreflight: false,
          origin: headers.origin,
          prefix: hadPrefix ? apiPrefix : undefined,
          requestId: requestIdFrom(typeof header === "string" ? header : undefined),
          varies
        }
      )
    )
    if (isCompressed && sent !== undefined) {
      own["content-encoding"] = "gzip"
      own["content-length"] = String(sent.length)
      if (own["etag"] !== undefined) own["etag"] = gzipTag(own["etag"])
    }
    response.writeHead(status, own)
    response.end(method === "HEAD" ? undefined : sent)
    if (request.socket.writableLength > 0) holdRest(request, response, route, overheadBytes + (sent?.length ?? 0))
    return true
  }
}
