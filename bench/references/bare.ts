/** The reference: a bare node:http server that reads each request and sends the product's bytes and headers. */
import { createServer } from "node:http"

export interface Sample {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

process.once("message", ({ body, headers, status }: Sample) => {
  const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
    const answer = () => response.writeHead(status, headers).end(body)
    if (request.method === "GET") answer()
    else request.resume().once("end", answer)
  })
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    process.send?.(typeof address === "object" ? address?.port : 0)
  })
})
