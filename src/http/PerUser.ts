import { Effect } from "effect"
import { TooManyRequests } from "../api/Problems.ts"
import { BulkheadFull } from "../ops/Bulkhead.ts"

/** Answers 429 when the caller has its maximum of these requests in progress. */
export const orTooManyRequests = <A, E, R>(effect: Effect.Effect<A, E | BulkheadFull, R>) =>
  Effect.catchIf(
    effect,
    (error): error is Extract<E | BulkheadFull, BulkheadFull> => error instanceof BulkheadFull,
    () => Effect.fail(new TooManyRequests({ retryAfter: 1 }))
  )
