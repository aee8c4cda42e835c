import { Data, Effect, type Scope, Semaphore } from "effect"

/** How long a request waits for a connection. */
const maxWait = "3 seconds"

/** No connection came free in time. A defect, because no service can recover from it. */
export class DatabaseBusy extends Data.TaggedError("DatabaseBusy") {}

/** A bulkhead: takes one of `size` permits for the scope, in order of arrival, or runs `onBusy` and dies with `DatabaseBusy`. */
export const makeBulkhead = (size: number, onBusy: Effect.Effect<void> = Effect.void): Effect.Effect<void, never, Scope.Scope> =>
  Semaphore.makeUnsafe(size)
    .takeScoped(1)
    .pipe(Effect.timeoutOrElse({ duration: maxWait, orElse: () => Effect.andThen(onBusy, Effect.die(new DatabaseBusy())) }))
