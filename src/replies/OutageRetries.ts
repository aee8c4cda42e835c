import { Data, Effect, Schedule } from "effect"
import { isPassing } from "../database/Connections.ts"

/** Repetitions, four a second, of a change that Postgres was away for; after two minutes the lease decides. */
const outageRetries = 480

/** A statement failed because Postgres was away. */
class Outage extends Data.TaggedError("Outage")<{ readonly cause: unknown }> {}

/**
 * Repeats a change that Postgres was away for: its result is kept, and the user's place becomes free when Postgres is
 * back and not when the lease expires. A change that was committed, or a lease that was lost, fences the repetition off.
 */
export const retryOutages = <A, E, R>(change: Effect.Effect<A, E, R>) =>
  change.pipe(
    Effect.catchDefect((cause) => (isPassing(cause) ? Effect.fail(new Outage({ cause })) : Effect.die(cause))),
    Effect.retry({ while: (error) => error instanceof Outage, schedule: Schedule.spaced("250 millis"), times: outageRetries }),
    Effect.catchIf(
      (error) => error instanceof Outage,
      ({ cause }) => Effect.die(cause)
    )
  )
