import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

export interface Delivery {
  readonly path: string
  readonly headers: IncomingMessage["headers"]
  readonly body: string
  /** The body, read as JSON. */
  readonly code: {
    readonly mobile: string
    readonly otp: string
    readonly purpose: string
    readonly expiresIn: number
    readonly challengeId: string
  }
}

/** How a gateway answers; an answer that never comes is none at all. */
export type Answer = (response: ServerResponse, delivery: Delivery) => void

/** An SMS gateway that sends nothing, and answers as it is told. */
export const startGateway = async () => {
  const deliveries: Array<Delivery> = []
  const open = new Set<ServerResponse>()
  const accept: Answer = (response) => response.writeHead(202).end()
  let answer = accept
  let mostOpen = 0
  const server = createServer((request, response) => {
    open.add(response.on("close", () => open.delete(response)))
    mostOpen = Math.max(mostOpen, open.size)
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString()
      const delivery = { path: request.url ?? "", headers: request.headers, body, code: body === "" ? {} : JSON.parse(body) }
      deliveries.push(delivery)
      answer(response, delivery)
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/codes?key=token-of-the-url`,
    deliveries,
    /** Requests that have no whole answer yet. */
    open: () => open.size,
    mostOpen: () => mostOpen,
    answerWith: (next: Answer = accept) => void (answer = next),
    stop: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    }
  }
}
