import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { BadRequest, HeadersTooLarge, MethodNotAllowed, RequestTimeout } from "../api/Problems.ts"
import type { RequestObserver } from "./RequestObserver.ts"
import { blockAllPolicy } from "./SecurityHeaders.ts"

/** The problem for an error of Node's HTTP parser. */
const problemOf = (error: Error) => {
  const name = "code" in error ? error.code : ""
  if (name === "HPE_HEADER_OVERFLOW") return new HeadersTooLarge()
  return name === "ERR_HTTP_REQUEST_TIMEOUT" ? new RequestTimeout() : new BadRequest()
}

const refuse = (socket: Duplex, { code, detail, status, title, type }: ReturnType<typeof problemOf> | MethodNotAllowed): void => {
  const requestId = crypto.randomUUID()
  const body = JSON.stringify({ type, title, status, detail, code, requestId })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    "x-content-type-options: nosniff",
    `content-security-policy: ${blockAllPolicy}`,
    ...(status === 405 ? ["allow: "] : []),
    "connection: close"
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
  // A client that keeps its side open is cut off.
  setTimeout(() => socket.destroy(), 1_000).unref()
}

/**
 * Refuses bytes that are not an HTTP request with a problem, like any other refusal; they never reach a route. While the
 * response to an earlier request of the same connection is being sent, the connection is closed instead.
 */
export const refuseUnreadable = (server: Server, observer: Pick<RequestObserver["Service"], "countProblem">): void => {
  const responses = new WeakMap<Duplex, ServerResponse>()
  server.prependListener("request", (request: IncomingMessage, response) => void responses.set(request.socket, response))
  server.on("clientError", (error, socket) => {
    const response = responses.get(socket)
    if (!socket.writable || (response?.headersSent === true && !response.writableFinished)) return void socket.destroy()
    const problem = problemOf(error)
    observer.countProblem(problem.code)
    refuse(socket, problem)
  })
  server.on("connect", (_, socket) => {
    socket.on("error", () => {})
    observer.countProblem("method_not_allowed")
    refuse(socket, new MethodNotAllowed())
  })
}
