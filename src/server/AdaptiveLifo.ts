/** Milliseconds a request waits for a place: a burst of some hundreds is served, on a slow machine, too. And how many wait. */
const patience = 5_000
const maximumWaiting = 2_000
/** Milliseconds of waiting up to which the order is kept. */
const orderly = 500
const sweepMillis = 50

interface Visitor {
  readonly since: number
  readonly enter: () => void
  readonly refuse: () => void
  isGone: boolean
}

/**
 * Where requests wait for a place in a process that has none free, in their order as long as that is a matter of moments.
 * When it is not, the newest go first: those who have waited long are about to be refused, or have clients that gave up,
 * and serving them first would make everybody wait for as long. Whoever is refused has waited for a while, which slows
 * those down who would come back at once.
 */
export class AdaptiveLifo {
  private readonly visitors: Array<Visitor> = []
  private timer: NodeJS.Timeout | undefined

  /** Calls `enter` when `letIn` finds room for it, or `refuse` when that takes too long; returns how to leave before. */
  add(enter: () => void, refuse: () => void): () => void {
    if (this.visitors.length >= maximumWaiting) {
      refuse()
      return () => {}
    }
    const visitor = { since: performance.now(), enter, refuse, isGone: false }
    this.visitors.push(visitor)
    this.timer ??= setInterval(() => this.sweep(), sweepMillis).unref()
    return () => void (visitor.isGone = true)
  }

  /** Lets in as many as there are places. */
  letIn(places: number): void {
    const latest = performance.now() - orderly
    for (let left = places; left > 0 && this.visitors.length > 0;) {
      const isOrderly = (this.visitors[0]?.since ?? 0) > latest
      const visitor = isOrderly ? this.visitors.shift() : this.visitors.pop()
      if (visitor === undefined || visitor.isGone) continue
      left--
      visitor.enter()
    }
  }

  private sweep(): void {
    const latest = performance.now() - patience
    const first = this.visitors.findIndex(({ since }) => since > latest)
    const over = this.visitors.splice(0, first === -1 ? this.visitors.length : first)
    for (const visitor of over) if (!visitor.isGone) visitor.refuse()
    if (this.visitors.length > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}
