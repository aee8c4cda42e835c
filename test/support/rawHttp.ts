import { request } from "node:http"
import { connect } from "node:net"

export interface RawReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  // oxlint-disable-next-line typescript/no-explicit-any -- what came over the wire is what the tests are about
  readonly body: any
  readonly text: string
}

/** Sends an HTTP request exactly as given; `fetch` would normalise the path and the headers. */
export const rawRequest = (
  base: string,
  method: string,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly body?: string | Uint8Array; readonly chunked?: boolean } = {}
): Promise<RawReply> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    const body = options.body === undefined ? undefined : Buffer.from(options.body)
    const length = body === undefined || options.chunked === true ? {} : { "content-length": String(body.length) }
    const outgoing = request(
      { hostname, port, method, path, headers: { ...length, ...options.headers }, agent: false },
      (incoming) => {
        const chunks: Array<Buffer> = []
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
        incoming.on("error", reject)
        incoming.on("end", () => {
          const text = Buffer.concat(chunks).toString()
          const headers = Object.fromEntries(Object.entries(incoming.headers).map(([name, value]) => [name, String(value)]))
          const isJson = headers["content-type"]?.includes("json") === true && text !== ""
          resolve({ status: incoming.statusCode ?? 0, headers, text, body: isJson ? JSON.parse(text) : undefined })
        })
      }
    )
    outgoing.on("error", reject)
    if (body !== undefined && options.chunked === true) {
      for (let at = 0; at < body.length; at += 8_192) outgoing.write(body.subarray(at, at + 8_192))
    } else if (body !== undefined) outgoing.write(body)
    outgoing.end()
  })

/** Sends bytes on a connection and returns everything received until the server closes it. */
export const rawExchange = (base: string, text: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(base)
    let answer = ""
    const socket = connect(Number(port), hostname, () => socket.write(text))
    socket.on("data", (chunk) => (answer += String(chunk)))
    socket.on("close", () => resolve(answer))
    socket.on("error", reject)
  })
