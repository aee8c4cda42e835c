/** What a slow client makes the process keep: a body that is being received, a response that is being written. */
export interface Share {
  /** The key of the client's address; null when it has none, as behind a proxy that is not trusted. */
  readonly client: string | null
  readonly size: number
  /** Ends the exchange of the share: another share needs its place, or it made no progress. */
  readonly end: (cause: "crowded" | "idle") => void
}

interface Limits {
  readonly total: number
  readonly perClient: number
}

/**
 * The shares of clients in a bounded resource. Above a bound, the shares of the client that has most end, oldest first: a
 * flood ends what it began itself, and other clients still get their share.
 */
export class ClientShares {
  private readonly limits: Limits
  /** In the order in which they were added or renewed, as are those of one client. */
  private readonly all = new Map<Share, { renewedAt: number }>()
  private readonly clients = new Map<string | null, { size: number; readonly shares: Set<Share> }>()
  private size = 0

  constructor(limits: Limits) {
    this.limits = limits
  }

  countOf(client: string | null): number {
    return this.clients.get(client)?.shares.size ?? 0
  }

  /** Adds a share, and ends others when a bound is passed. The new share is kept even when it is larger than the bound. */
  add(share: Share): void {
    const client = this.clients.get(share.client) ?? { size: 0, shares: new Set() }
    this.clients.set(share.client, client)
    client.shares.add(share)
    client.size += share.size
    this.all.set(share, { renewedAt: performance.now() })
    this.size += share.size
    if (share.client !== null) while (client.size > this.limits.perClient && this.endOldest(client.shares, share));
    while (this.size > this.limits.total && this.endOldest(this.largest(), share));
  }

  /** Makes a share the newest: its client has made progress. */
  renew(share: Share): void {
    const shares = this.clients.get(share.client)?.shares
    if (!this.all.delete(share) || shares?.delete(share) !== true) return
    this.all.set(share, { renewedAt: performance.now() })
    shares.add(share)
  }

  remove(share: Share): void {
    const client = this.clients.get(share.client)
    if (!this.all.delete(share) || client === undefined) return
    this.size -= share.size
    client.size -= share.size
    client.shares.delete(share)
    if (client.shares.size === 0) this.clients.delete(share.client)
  }

  /** Ends the shares that were neither added nor renewed for so many milliseconds. */
  endIdle(millis: number): void {
    const limit = performance.now() - millis
    for (const [share, { renewedAt }] of this.all) {
      if (renewedAt > limit) return
      this.end(share, "idle")
    }
  }

  private end(share: Share, cause: "crowded" | "idle"): void {
    this.remove(share)
    share.end(cause)
  }

  private endOldest(shares: Iterable<Share>, except: Share): boolean {
    for (const share of shares) {
      if (share === except) continue
      this.end(share, "crowded")
      return true
    }
    return false
  }

  private largest(): Iterable<Share> {
    let most = { size: 0, shares: new Set<Share>() }
    for (const client of this.clients.values()) if (client.size > most.size) most = client
    return most.shares
  }
}
