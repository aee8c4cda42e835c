import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** One connection through the proxy. A paused socket is not read, so neither data nor a close gets through. */
class Link {
  isFrozen = false
  private readonly ends: readonly [Socket, Socket]

  constructor(inner: Socket, outer: Socket) {
    this.ends = [inner, outer]
    this.forward(inner, outer)
    this.forward(outer, inner)
  }

  private forward(from: Socket, to: Socket): void {
    from.setNoDelay(true)
    from.on("data", (chunk) => {
      if (!to.write(chunk)) from.pause()
    })
    to.on("drain", () => {
      if (!this.isFrozen) from.resume()
    })
    from.on("end", () => to.end())
    from.on("error", () => {})
    from.on("close", () => {
      if (!this.isFrozen) to.destroy()
    })
  }

  freeze(): void {
    this.isFrozen = true
    for (const end of this.ends) end.pause()
  }

  /** Forwards what has waited; a close of either side as well. */
  thaw(): void {
    this.isFrozen = false
    const [inner, outer] = this.ends
    if (inner.destroyed || outer.destroyed) this.destroy()
    else for (const end of this.ends) end.resume()
  }

  destroy(): void {
    for (const end of this.ends) end.destroy()
  }
}

/**
 * A TCP proxy whose connections can go silent without closing: what a hung proxy, a NAT table that lost its state or
 * an address that moved to another host looks like to both sides. It can also cut its connections, and close its port.
 */
export class TcpProxy {
  readonly port: number
  private readonly host: string
  private readonly links = new Set<Link>()
  private readonly server: ReturnType<typeof createServer>
  private takesNewOnes = true
  private isCut = false
  private refusals = 0

  private constructor(target: URL, server: ReturnType<typeof createServer>, observe: (sent: Buffer) => void) {
    this.server = server
    const { address, port } = server.address() as AddressInfo
    this.host = address
    this.port = port
    server.on("connection", (inner) => {
      if (this.isCut) {
        this.refusals++
        inner.on("error", () => {}).destroy()
        return
      }
      const link = new Link(inner, connect(Number(target.port), target.hostname))
      this.links.add(link)
      inner.on("data", observe)
      if (!this.takesNewOnes) link.freeze()
      inner.once("close", () => {
        if (!link.isFrozen) this.links.delete(link)
      })
    })
  }

  /** In front of the server of this URL, on an address of this machine. `observe` gets what clients send. */
  static async start(target: string, observe: (sent: Buffer) => void = () => {}, host = "127.0.0.1"): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true }).listen(0, host)
    await once(server, "listening")
    return new TcpProxy(new URL(target), server, observe)
  }

  /** The same URL by way of this proxy. */
  through(url: string): string {
    return Object.assign(new URL(url), { hostname: this.host, port: `${this.port}` }).href
  }

  /** Stops forwarding on all present connections, which stay open; later ones work, unless they are to be silent as well. */
  freeze(options: { readonly newOnes?: boolean } = {}): void {
    this.takesNewOnes = options.newOnes !== true
    for (const link of this.links) link.freeze()
  }

  /** Forwards again, what was written meanwhile first. */
  thaw(): void {
    this.takesNewOnes = true
    for (const link of this.links) link.thaw()
  }

  /** Destroys all present connections, and later ones as soon as they are accepted. */
  cut(): void {
    this.isCut = true
    for (const link of this.links) link.destroy()
  }

  /** Accepts connections again. */
  restore(): void {
    this.isCut = false
  }

  /** Connections refused while it was cut. */
  refused(): number {
    return this.refusals
  }

  /** Destroys all connections and closes the port. */
  async stop(): Promise<void> {
    for (const link of this.links) link.destroy()
    if (!this.server.listening) return
    this.server.close()
    await once(this.server, "close")
  }

  /** Listens on the same port again. */
  async restart(): Promise<void> {
    this.server.listen(this.port, this.host)
    await once(this.server, "listening")
  }
}
