import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** A TCP proxy to Postgres that can be cut and mended. LISTEN uses it when it is the `DATABASE_DIRECT_URL`. */
export const openLine = async (url: string) => {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  let up = true
  let refused = 0
  const server = createServer((client) => {
    if (!up) {
      refused++
      return void client.destroy()
    }
    const upstream = connect(Number(target.port), target.hostname)
    for (const [socket, peer] of [
      [client, upstream],
      [upstream, client]
    ] as const) {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => {
        sockets.delete(socket)
        peer.destroy()
      })
      socket.pipe(peer)
    }
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const cut = () => {
    up = false
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: Object.assign(new URL(url), { hostname: "127.0.0.1", port: String((server.address() as AddressInfo).port) }).href,
    cut,
    mend: () => {
      up = true
    },
    /** Connections refused while it was cut. */
    refused: () => refused,
    close: async () => {
      cut()
      server.close()
      await once(server, "close")
    }
  }
}
