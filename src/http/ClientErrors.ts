import { STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { BadRequest, HeadersTooLarge, RequestTimeout } from "./ProblemsApi.ts"

/** What Node's parser says of a request that it cannot read, as a problem of ours. */
const problemOf = (error: Error) => {
  const name = "code" in error ? error.code : ""
  if (name === "HPE_HEADER_OVERFLOW") return new HeadersTooLarge()
  return name === "ERR_HTTP_REQUEST_TIMEOUT" ? new RequestTimeout() : new BadRequest()
}

/** What cannot be read as a request never reaches a route; its refusal has the shape of any other all the same. */
export const refuseUnreadable = (error: Error, socket: Duplex): void => {
  if (!socket.writable) return void socket.destroy()
  const { code, detail, status, title, type } = problemOf(error)
  const requestId = crypto.randomUUID()
  const body = JSON.stringify({ type, title, status, detail, code, requestId })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    "x-content-type-options: nosniff",
    "connection: close"
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
}
