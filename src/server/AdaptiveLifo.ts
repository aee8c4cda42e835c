/** Milliseconds after which a waiting request is refused: long enough to serve a burst of some hundreds on a slow machine. */
const maxWaitMillis = 5_000
const maxWaiters = 2_000
/** First in, first out while the oldest waiter has waited less than this; beyond it the newest goes first. */
const fifoWindowMillis = 500
const sweepMillis = 50

interface Waiter {
  readonly since: number
  readonly enter: () => void
  readonly refuse: () => void
  hasLeft: boolean
}

/**
 * A queue of requests that wait for a free slot (adaptive LIFO). It is first in, first out as long as waits are short.
 * Under overload the newest go first: the oldest are about to be refused, or their clients have given up, and serving them
 * first would make every request wait that long. A refused request has waited a while, which slows clients that retry
 * immediately.
 */
export class AdaptiveLifo {
  private readonly waiters: Array<Waiter> = []
  private timer: NodeJS.Timeout | undefined

  /** Calls `enter` when `admit` reaches the request, or `refuse` after the longest wait. Returns a function that leaves. */
  add(enter: () => void, refuse: () => void): () => void {
    if (this.waiters.length >= maxWaiters) {
      refuse()
      return () => {}
    }
    const waiter = { since: performance.now(), enter, refuse, hasLeft: false }
    this.waiters.push(waiter)
    this.timer ??= setInterval(() => this.sweep(), sweepMillis).unref()
    return () => void (waiter.hasLeft = true)
  }

  /** Admits at most `slots` waiters. */
  admit(slots: number): void {
    const windowStart = performance.now() - fifoWindowMillis
    for (let left = slots; left > 0 && this.waiters.length > 0;) {
      const isFifo = (this.waiters[0]?.since ?? 0) > windowStart
      const waiter = isFifo ? this.waiters.shift() : this.waiters.pop()
      if (waiter === undefined || waiter.hasLeft) continue
      left--
      waiter.enter()
    }
  }

  private sweep(): void {
    const deadline = performance.now() - maxWaitMillis
    const firstInTime = this.waiters.findIndex(({ since }) => since > deadline)
    const overdue = this.waiters.splice(0, firstInTime === -1 ? this.waiters.length : firstInTime)
    for (const waiter of overdue) if (!waiter.hasLeft) waiter.refuse()
    if (this.waiters.length > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}
