import { Effect } from "effect"
import { LRUCache } from "lru-cache"
import type { Scope } from "effect"
import type { Notifications } from "./Notifications.ts"
import type { TopicKind } from "./Topics.ts"

export interface Cached<V> {
  readonly value: V
  readonly from: "hit" | "miss" | "bypass"
}

export interface NotifiedCache<V> {
  /** What is known of the key; nothing while the listener is down. */
  readonly peek: (key: string) => V | undefined
  /** Keeps what the effect gives, unless the key changed, or the listener was lost, while it ran. */
  readonly fill: <E, R>(key: string, effect: Effect.Effect<V, E, R>) => Effect.Effect<Cached<V>, E, R>
}

/**
 * An LRU kept honest by notifications of one kind (`kind:key`).
 *
 * A fill that began before an invalidation is given to its caller but not kept: what it read may be older than
 * the change. While the listener is down the cache is empty and bypassed, since what changed is unknown.
 */
export const makeNotifiedCache = Effect.fnUntraced(function* <V extends object>(options: {
  readonly notifications: Notifications["Service"]
  readonly kind: TopicKind
  /** Bytes (or any unit `size` counts in) kept at the most. */
  readonly maxSize: number
  readonly size: (value: V) => number
  /** Milliseconds a value is kept at the most. */
  readonly ttl: number
}): Effect.fn.Return<NotifiedCache<V>, never, Scope.Scope> {
  const { kind, notifications, size, ttl } = options
  const cache = new LRUCache<string, V>({ maxSize: options.maxSize, sizeCalculation: (value) => Math.max(1, size(value)), ttl })
  const filling = new Map<string, Set<{ stale: boolean }>>()
  const spoil = (fills: Iterable<{ stale: boolean }>) => {
    for (const fill of fills) fill.stale = true
  }

  yield* notifications.onKind(kind, (key) => {
    cache.delete(key)
    spoil(filling.get(key) ?? [])
  })
  yield* notifications.onReset(() => {
    cache.clear()
    for (const fills of filling.values()) spoil(fills)
  })

  const watch = (key: string) => {
    const mine = { stale: false }
    const fills = filling.get(key) ?? new Set()
    filling.set(key, fills.add(mine))
    const done = () => {
      fills.delete(mine)
      if (fills.size === 0 && filling.get(key) === fills) filling.delete(key)
    }
    return { mine, done }
  }

  return {
    peek: (key) => (notifications.connected() ? cache.get(key) : undefined),
    fill: (key, effect) =>
      Effect.suspend(() => {
        const from = notifications.connected() ? "miss" : "bypass"
        const { done, mine } = watch(key)
        return effect.pipe(
          Effect.map((value): Cached<V> => {
            if (from === "miss" && !mine.stale) cache.set(key, value)
            return { value, from }
          }),
          Effect.ensuring(Effect.sync(done))
        )
      })
  }
})
