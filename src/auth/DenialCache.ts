import { LRUCache } from "lru-cache"

/** Denials that a process remembers. Beyond this, the least recently used one is evicted and costs a query again. */
const maximumDenials = 20_000
/** Milliseconds for which a denial is remembered when another process may end it early. */
const refundableMillis = 1_000

/**
 * Remembers which keys are denied and until when, so that a flood of denied requests reaches no database. A denial is
 * remembered until it is over. When takes of its kind can be refunded, another process may have ended it, so it is
 * remembered for a second only.
 */
export class DenialCache {
  private readonly denials = new LRUCache<string, { readonly over: number; readonly expires: number }>({ max: maximumDenials })

  /** Whole seconds until the key is allowed again, as far as this process knows; 0 when it knows no denial. */
  secondsLeft(key: string, now: number): number {
    const denial = this.denials.get(key)
    return denial === undefined || denial.expires <= now ? 0 : Math.max(1, Math.ceil((denial.over - now) / 1000))
  }

  remember(key: string, seconds: number, now: number, refundable: boolean): void {
    const over = now + seconds * 1000
    this.denials.set(key, { over, expires: refundable ? Math.min(over, now + refundableMillis) : over })
  }

  forget(key: string): void {
    this.denials.delete(key)
  }
}
