import { LRUCache } from "lru-cache"

/** DenialCache a process remembers; past it the least recently asked for is forgotten, and costs a query again. */
const maximumDenials = 20_000
/** Milliseconds for which one is remembered that another process may take back. */
const revocableMillis = 1_000

/**
 * Who was denied, and until when: so that a flood of the denied reaches no database. A denial lasts until its time is
 * over, unless takes of its kind can be given back: then another process may have done so, and it is asked for again
 * after a second.
 */
export class DenialCache {
  private readonly until = new LRUCache<string, { readonly over: number; readonly forgotten: number }>({ max: maximumDenials })

  /** Whole seconds for which the key is denied, as far as is known here; 0 when it is not. */
  left(key: string, now: number): number {
    const denial = this.until.get(key)
    return denial === undefined || denial.forgotten <= now ? 0 : Math.max(1, Math.ceil((denial.over - now) / 1000))
  }

  remember(key: string, seconds: number, now: number, refundable: boolean): void {
    const over = now + seconds * 1000
    this.until.set(key, { over, forgotten: refundable ? Math.min(over, now + revocableMillis) : over })
  }

  forget(key: string): void {
    this.until.delete(key)
  }
}
