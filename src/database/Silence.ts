import type { Duplex } from "node:stream"

/** Milliseconds between two looks at the connections that wait for an answer. */
const lookMillis = 500

/**
 * The time since a connection asked something and has heard nothing. A connection can go silent without closing (a
 * frozen proxy, a lost host, a NAT table without its state). Neither the kernel nor the drivers notice, and what waits
 * for an answer would wait for ever; so a silent connection is destroyed. One timer serves all of them.
 */
export class Silence {
  private static readonly all = new Set<Silence>()
  private static timer: NodeJS.Timeout | undefined
  private askedAt: number | undefined
  private readonly maximumMillis: number
  private readonly socket: Duplex

  constructor(socket: Duplex, maximumMillis: number) {
    this.socket = socket
    this.maximumMillis = maximumMillis
    Silence.all.add(this)
    Silence.timer ??= setInterval(Silence.look, lookMillis).unref()
    socket.once("close", () => this.end())
  }

  asked(): void {
    this.askedAt ??= performance.now()
  }

  heard(): void {
    this.askedAt = undefined
  }

  private end(): void {
    Silence.all.delete(this)
    if (Silence.all.size > 0) return
    clearInterval(Silence.timer)
    Silence.timer = undefined
  }

  /** Milliseconds that Postgres has owed an answer on the most silent connection of this process, whatever uses it. */
  static longest(): number {
    const now = performance.now()
    return Math.max(0, ...[...Silence.all].map(({ askedAt }) => (askedAt === undefined ? 0 : now - askedAt)))
  }

  private static look(): void {
    const now = performance.now()
    for (const { askedAt, maximumMillis, socket } of Silence.all) {
      if (askedAt === undefined || now - askedAt < maximumMillis) continue
      socket.destroy(new Error(`Postgres has not answered for ${Math.round(maximumMillis / 1_000)} seconds`))
    }
  }
}
