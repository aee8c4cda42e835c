import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { BadRequest, HeadersTooLarge, MethodNotAllowed, RequestTimeout } from "../api/Problems.ts"
import { nothingPolicy } from "./SecurityHeaders.ts"

/** What Node's parser says of a request that it cannot read, as a problem of ours. */
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
    `content-security-policy: ${nothingPolicy}`,
    ...(status === 405 ? ["allow: "] : []),
    "connection: close"
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
  // Who does not close in turn is closed.
  setTimeout(() => socket.destroy(), 1_000).unref()
}

/**
 * What cannot be read as a request never reaches a route; its refusal has the shape of any other all the same. In the
 * middle of an answer, to a request that came before on the same connection, there is no place for one.
 */
export const refuseUnreadable = (server: Server): void => {
  const answers = new WeakMap<Duplex, ServerResponse>()
  server.prependListener("request", (request: IncomingMessage, response) => void answers.set(request.socket, response))
  server.on("clientError", (error, socket) => {
    const answer = answers.get(socket)
    if (!socket.writable || (answer?.headersSent === true && !answer.writableFinished)) return void socket.destroy()
    refuse(socket, problemOf(error))
  })
  server.on("connect", (_, socket) => {
    socket.on("error", () => {})
    refuse(socket, new MethodNotAllowed())
  })
}
