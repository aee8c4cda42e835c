import { Effect, Semaphore } from "effect"
import { PasswordsBusy, TooManyAttempts } from "../api/auth/AuthErrors.ts"
import { withoutSlot } from "../ops/RequestSlot.ts"

/** Hashes that a process computes at once, and requests that may wait for their turn. */
const concurrency = 2
const maximumWaiting = 32
/** Requests for one number that may wait at once. */
const maximumOfNumber = 16

interface Lane {
  readonly turn: Semaphore.Semaphore
  requests: number
}

/**
 * Bounds the hashing of passwords: two at once, 32 waiting, and of these one per number, so that a few accounts cannot
 * take all places. Further requests for the same number wait for that one.
 */
export const makePasswordQueue = Effect.gen(function* () {
  const permits = yield* Semaphore.make(concurrency)
  const busy = Effect.fail(new PasswordsBusy({ retryAfter: 2 }))
  const lanes = new Map<string, Lane>()
  let admitted = 0

  const compute = <A>(work: () => Promise<A>) =>
    Effect.suspend(() => {
      if (admitted >= maximumWaiting + concurrency) return busy
      admitted++
      // The hashing thread cannot be interrupted, so a client that hangs up keeps the permit until it is done.
      const done = permits.withPermits(1)(Effect.uninterruptible(Effect.promise(work)))
      return done.pipe(Effect.ensuring(Effect.sync(() => void admitted--)))
    })

  /** Runs `work` for a number. Fails without waiting when too many requests wait, of this number or of all. */
  return <A>(mobile: string, work: () => Promise<A>): Effect.Effect<A, PasswordsBusy | TooManyAttempts> =>
    Effect.suspend((): Effect.Effect<A, PasswordsBusy | TooManyAttempts> => {
      const lane = lanes.get(mobile) ?? { turn: Semaphore.makeUnsafe(1), requests: 0 }
      if (lane.requests >= maximumOfNumber) return Effect.fail(new TooManyAttempts({ retryAfter: 1 }))
      lanes.set(mobile, lane)
      lane.requests++
      const leave = Effect.sync(() => {
        if (--lane.requests === 0) lanes.delete(mobile)
      })
      return withoutSlot(lane.turn.withPermits(1)(compute(work)), { kind: "hashing", onFull: busy }).pipe(Effect.ensuring(leave))
    })
})
