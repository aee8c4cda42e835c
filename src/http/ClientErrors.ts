import type { Duplex } from "node:stream"

const refusals: Readonly<Record<string, readonly [status: number, reason: string, code: string, title: string]>> = {
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large", "headers_too_large", "The headers are larger than allowed"],
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout", "request_timeout", "The request did not arrive in time"]
}
const unreadable = [400, "Bad Request", "bad_request", "The request is not well-formed HTTP"] as const

/** What cannot be read as a request never reaches a route; its refusal has the shape of any other all the same. */
export const refuseUnreadable = (error: Error, socket: Duplex): void => {
  if (!socket.writable) return void socket.destroy()
  const name = "code" in error ? String(error.code) : ""
  const [status, reason, code, title] = refusals[name] ?? unreadable
  const requestId = crypto.randomUUID()
  const body = JSON.stringify({ type: `urn:problem-type:${code}`, title, status, detail: title, code, requestId })
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    "content-type: application/problem+json",
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    "x-content-type-options: nosniff",
    "connection: close"
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`)
}
