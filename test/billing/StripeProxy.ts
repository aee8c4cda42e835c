import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

interface HeldAnswer {
  readonly arrived: Promise<void>
  readonly release: () => void
}

/** A proxy in front of Stripe that can delay an answer after Stripe has given it, or change it. */
export const startStripeProxy = async (target: string) => {
  const holds: Array<{ readonly path: string; readonly arrive: () => void; readonly released: Promise<void> }> = []
  let rewriting: { readonly path: string; readonly change: (answer: unknown) => unknown } | undefined
  const server = createServer(async (request, response) => {
    const chunks: Array<Buffer> = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const { connection: _connection, host: _host, "content-length": _length, ...headers } = request.headers
    const index = holds.findIndex(({ path }) => (request.url ?? "").startsWith(path))
    const [held] = index === -1 ? [] : holds.splice(index, 1)
    const answer = await fetch(target + (request.url ?? ""), {
      method: request.method ?? "GET",
      headers: Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]),
      ...(body.length > 0 ? { body } : {})
    })
    const given = await answer.text()
    const isRewritten = rewriting !== undefined && answer.ok && (request.url ?? "").startsWith(rewriting.path)
    const text = isRewritten ? JSON.stringify(rewriting?.change(JSON.parse(given))) : given
    if (held !== undefined) {
      held.arrive()
      await held.released
    }
    response.writeHead(answer.status, { "content-type": "application/json" }).end(text)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    /** Holds the answer to the next call of this path. */
    hold: (path: string): HeldAnswer => {
      const arrival = Promise.withResolvers<void>()
      const release = Promise.withResolvers<void>()
      holds.push({ path, arrive: arrival.resolve, released: release.promise })
      return { arrived: arrival.promise, release: release.resolve }
    },
    /** Changes every answer to calls of this path from now on. */
    rewrite: (path: string, change: (answer: unknown) => unknown) => {
      rewriting = { path, change }
    },
    stop: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}
