import { Data, type Duration, Effect, type Scope, Semaphore } from "effect"
import { clientDisconnected, withoutSlot } from "./RequestSlot.ts"

/** Too many operations of one key run and wait already, or no permit came free in time. */
export class BulkheadFull extends Data.TaggedError("BulkheadFull") {}

export interface BulkheadOptions {
  /** Operations of one key that run at once. */
  readonly permits: number
  /** Operations of one key that may wait for a permit; with 0, the next one fails immediately. */
  readonly waiting: number
  readonly maxWait: Duration.Input
}

/** Bounds the operations that run at once for each key (a user, an address), so that one key cannot crowd out others. */
export interface Bulkhead {
  /** Takes a permit of the key for the scope. A request that waits holds no working slot, and leaves when its client does. */
  readonly acquire: (key: string) => Effect.Effect<void, BulkheadFull, Scope.Scope>
  /** Runs the effect with a permit of the key. */
  readonly run: <A, E, R>(key: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BulkheadFull, R>
}

/** Permits are given in order of arrival. Keys without operations take no memory. */
export const makeBulkhead = ({ maxWait, permits, waiting }: BulkheadOptions): Bulkhead => {
  const keys = new Map<string, { readonly semaphore: Semaphore.Semaphore; operations: number }>()
  const full = Effect.fail(new BulkheadFull())

  const enter = (key: string) =>
    Effect.suspend(() => {
      const entry = keys.get(key) ?? { semaphore: Semaphore.makeUnsafe(permits), operations: 0 }
      if (entry.operations >= permits + waiting) return full
      entry.operations++
      keys.set(key, entry)
      return Effect.succeed(entry)
    })

  const acquire: Bulkhead["acquire"] = Effect.fnUntraced(function* (key) {
    const { operations, semaphore } = yield* Effect.acquireRelease(enter(key), (entry) =>
      Effect.sync(() => {
        entry.operations--
        if (entry.operations === 0) keys.delete(key)
      })
    )
    const permit = semaphore.takeScoped(1)
    if (operations <= permits) return yield* permit
    const wait = permit.pipe(
      Effect.timeoutOrElse({ duration: maxWait, orElse: () => full }),
      Effect.raceFirst(Effect.andThen(clientDisconnected, full))
    )
    yield* withoutSlot(wait, { onFull: full })
  })

  return { acquire, run: (key, effect) => Effect.scoped(Effect.andThen(acquire(key), effect)) }
}

/** A read that ends, and cancels its statement, when the client of the current request has disconnected. */
export const untilDisconnected = <A, E, R>(read: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.raceFirst(read, Effect.andThen(clientDisconnected, Effect.interrupt))
