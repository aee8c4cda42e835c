import { Effect, type Scope } from "effect"
import { LRUCache } from "lru-cache"
import type { Notifications } from "./Notifications.ts"
import type { TopicKind } from "./Topics.ts"

export interface Cached<V> {
  readonly value: V
  readonly from: "hit" | "miss" | "bypass"
}

export interface NotifiedCache<V> {
  /** The cached value; undefined while the listener is down. */
  readonly peek: (key: string) => V | undefined
  /** Runs the effect and caches its value, unless the key changed or the listener was lost meanwhile. */
  readonly fill: <E, R>(key: string, effect: Effect.Effect<V, E, R>) => Effect.Effect<Cached<V>, E, R>
}

/**
 * An LRU cache that notifications of one kind (`kind:key`) invalidate.
 *
 * The value of a fill that began before an invalidation is returned but not cached, because it may have been read
 * before the change. While the listener is down the cache is empty and bypassed, because changes are not notified.
 */
export const makeNotifiedCache = Effect.fnUntraced(function* <V extends object>(options: {
  readonly notifications: Notifications["Service"]
  readonly kind: TopicKind
  /** In bytes, or in any unit that `size` counts in. */
  readonly maxSize: number
  readonly size: (value: V) => number
  /** Milliseconds after which a value expires. */
  readonly ttl: number
}): Effect.fn.Return<NotifiedCache<V>, never, Scope.Scope> {
  const { kind, notifications, size, ttl } = options
  const cache = new LRUCache<string, V>({ maxSize: options.maxSize, sizeCalculation: (value) => Math.max(1, size(value)), ttl })
  const filling = new Map<string, Set<{ stale: boolean }>>()
  const markStale = (fills: Iterable<{ stale: boolean }>) => {
    for (const fill of fills) fill.stale = true
  }

  yield* notifications.onKind(kind, (key) => {
    cache.delete(key)
    markStale(filling.get(key) ?? [])
  })
  yield* notifications.onReset(() => {
    cache.clear()
    for (const fills of filling.values()) markStale(fills)
  })

  const beginFill = (key: string) => {
    const fill = { stale: false }
    const fills = filling.get(key) ?? new Set()
    filling.set(key, fills.add(fill))
    const end = () => {
      fills.delete(fill)
      if (fills.size === 0 && filling.get(key) === fills) filling.delete(key)
    }
    return { fill, end }
  }

  return {
    peek: (key) => (notifications.connected() ? cache.get(key) : undefined),
    fill: (key, effect) =>
      Effect.suspend(() => {
        const from = notifications.connected() ? "miss" : "bypass"
        const { end, fill } = beginFill(key)
        return effect.pipe(
          Effect.map((value): Cached<V> => {
            if (from === "miss" && !fill.stale) cache.set(key, value)
            return { value, from }
          }),
          Effect.ensuring(Effect.sync(end))
        )
      })
  }
})
